//! Tests of the registry: whose word counts, for how long, and whose a path is.

use super::*;

const NOW: Time = Time::from_micros(1_767_323_045_000_000);

fn at(seconds: i64) -> Time {
    NOW.plus_micros(seconds * 1_000_000)
}

fn said(agent: &str, seconds: i64, state: State) -> AgentState {
    AgentState { time: at(seconds), agent_name: agent.into(), state, ..AgentState::default() }
}

fn seen(agent: &str, life: Life) -> Seen {
    Seen { name: agent.into(), runtime: "tmux".into(), life, ..Seen::default() }
}

fn runs(since: i64) -> Life {
    Life::Runs { since: Some(at(since)) }
}

fn sample(registry: &Registry, seconds: i64, seen: &Seen) -> AgentSample {
    match registry.sample(at(seconds), seen, Resources::default()) {
        Some(Event::AgentSample(sample)) => sample,
        other => panic!("{other:?}"),
    }
}

fn state(registry: &Registry, seconds: i64, life: Life) -> State {
    sample(registry, seconds, &seen("zen", life)).state
}

#[test]
fn who_lives_in_two_places_is_sampled_in_one() {
    let registry = Registry::default();
    let is_sampled = |seconds: i64, runtime: &str, life: Life| {
        let seen = Seen { runtime: runtime.into(), ..seen("zen", life) };
        registry.sample(at(seconds), &seen, Resources::default()).is_some()
    };
    assert!(is_sampled(0, "tmux", runs(-10)), "it is not known yet that there is a container");
    assert!(is_sampled(1, "docker", runs(-10)));
    assert!(!is_sampled(10, "tmux", runs(-10)));
    assert!(is_sampled(11, "docker", Life::Unseen), "the engine does not answer now");
    assert!(!is_sampled(20, "tmux", runs(-10)));
    assert!(!is_sampled(21, "docker", Life::Stopped), "the session lives");
    assert!(is_sampled(30, "tmux", runs(-10)));
    assert!(is_sampled(31, "docker", runs(31)));
    assert!(!is_sampled(40, "tmux", Life::Stopped));
    assert!(is_sampled(41, "docker", Life::Stopped), "one of two that have stopped tells it");
    assert!(!is_sampled(50, "tmux", Life::Stopped));
    assert!(is_sampled(51, "docker", runs(31)));
    assert!(is_sampled(52 + 600, "tmux", runs(-10)), "nothing was heard of the container for ten minutes");
    let other = Seen { runtime: "docker".into(), ..seen("zen1", runs(0)) };
    assert!(registry.sample(at(700), &other, Resources::default()).is_some());
    assert!(is_sampled(701, "tmux", runs(-10)), "names are compared whole");
}

#[test]
fn a_state_counts_in_the_life_that_it_was_said_in() {
    let registry = Registry::default();
    assert_eq!(state(&registry, 0, runs(-10)), State::Unknown, "nobody said");
    registry.hear(&said("zen", 1, State::Working));
    assert_eq!(state(&registry, 2, runs(-10)), State::Working);
    assert_eq!(state(&registry, 3, Life::Runs { since: None }), State::Working);
    assert_eq!(state(&registry, 4, Life::Unseen), State::Working, "as it was");
    assert_eq!(state(&registry, 5, Life::Stopped), State::Stopped, "whatever was said");
    assert_eq!(state(&registry, 6, Life::Unseen), State::Unknown, "it may have come back");
    assert_eq!(state(&registry, 8, runs(7)), State::Unknown, "that was another life");
    registry.hear(&said("zen", 9, State::Done));
    registry.hear(&said("zen", 1, State::Stuck));
    assert_eq!(state(&registry, 10, runs(7)), State::Done, "what is late and old changes nothing");
    assert_eq!(sample(&registry, 10, &seen("zen2", runs(7))).state, State::Unknown, "another agent");
    assert_eq!(state(&registry, 11, runs(1_000_000)), State::Done, "nobody begins in the future");
}

#[test]
fn a_state_from_the_future_or_from_elsewhere_does_not_stick() {
    let here = Surroundings { hosts: vec!["here".into()], user_home: None };
    let registry = Registry::new(Vec::new(), here);
    registry.hear(&said("zen", 3_600, State::Stuck));
    assert_eq!(state(&registry, 0, runs(-10)), State::Unknown);
    registry.hear(&said("zen", 1, State::Working));
    assert_eq!(state(&registry, 1, runs(-10)), State::Working);
    registry.hear(&AgentState { host: Some("afar".into()), ..said("zen", 2, State::Idle) });
    assert_eq!(state(&registry, 3, runs(-10)), State::Working);
    registry.hear(&AgentState { host: Some("here".into()), ..said("zen", 4, State::Idle) });
    assert_eq!(state(&registry, 5, runs(-10)), State::Idle);
}

#[test]
fn labels_come_from_the_configuration_the_sampler_and_the_agent_in_this_order() {
    let agent = ConfiguredAgent { name: "zen".into(), role: "boss".into(), ..ConfiguredAgent::default() };
    let registry = Registry::new(vec![agent], Surroundings::default());
    let own = AgentState {
        role: "said".into(),
        tool: "codex".into(),
        runtime: "shell".into(),
        ..said("zen", 0, State::Idle)
    };
    registry.hear(&own);
    registry.hear(&AgentState { agent_name: "a".into(), ..own });
    let labels = |seen: &Seen| {
        let sample = sample(&registry, 1, seen);
        [sample.role, sample.tool, sample.runtime].map(|text| text.to_string())
    };
    let by_pattern = |name| Seen { role: "seen".into(), ..seen(name, runs(-1)) };
    assert_eq!(labels(&by_pattern("zen")), ["boss", "codex", "tmux"]);
    assert_eq!(labels(&by_pattern("a")), ["seen", "codex", "tmux"]);
    assert_eq!(
        labels(&seen("a", Life::Stopped)),
        ["said", "codex", "tmux"],
        "it is the same agent when it stops"
    );
    assert_eq!(labels(&Seen { runtime: "".into(), ..seen("a", runs(-1)) }), ["said", "codex", "shell"]);
}

fn place(registry: &Registry, agent: &str, path: &str, life: Life) {
    let seen = Seen { directory: Some(path.into()), ..seen(agent, life) };
    let _ = sample(registry, 0, &seen);
}

#[test]
fn a_path_is_the_agents_in_whose_place_it_lies() {
    let agent = |name: &str, home: Option<&str>, directory: Option<&str>| ConfiguredAgent {
        name: name.into(),
        home: home.map(Text::new),
        directory: directory.map(Text::new),
        ..ConfiguredAgent::default()
    };
    let configured =
        vec![agent("c1", Some("/homes/c1"), Some("/work/c")), agent("c2", None, Some("/work/c/deep/"))];
    let surroundings = Surroundings { hosts: Vec::new(), user_home: Some("/home/me".into()) };
    let registry = Registry::new(configured, surroundings);
    for (name, path) in [
        ("a1", "/work/a"),
        ("b", "/work/a/b"),
        ("s1", "/same"),
        ("s2", "/same"),
        ("me", "/home/me"),
        ("r", "/"),
    ] {
        place(&registry, name, path, runs(-1));
    }
    place(&registry, "nosy", "/work/c/deep/est", runs(-1));
    place(&registry, "left", "/work/a", Life::Stopped);
    let check = |path: &str, agent: Option<&str>| {
        assert_eq!(registry.agent_at(path).as_deref(), agent, "{path}");
    };
    check("/work/a", Some("a1"));
    check("/work/a/x/y", Some("a1"));
    check("/work/a/b/x", Some("b"));
    check("/work/ab", None);
    check("/work", None);
    check("/same/x", None);
    check("/homes/c1/.claude", Some("c1"));
    check("/work/c/x", Some("c1"));
    check("/work/c/deep/est", Some("c2"));
    check("/home/me", Some("me"));
    check("/home/me/.claude", None);
    check("work/a", None);
    check("", None);
    assert_eq!(registry.homes(), ["/homes/c1"]);
    let _ = sample(&registry, 1, &seen("s2", Life::Stopped));
    check("/same/x", Some("s1"));
}

fn agents(registry: &Registry, seconds: i64) -> Vec<(String, State, Life)> {
    registry.agents(at(seconds)).into_iter().map(|it| (it.name.to_string(), it.state, it.life)).collect()
}

#[test]
fn who_was_seen_or_heard_in_the_last_day_is_there_now() {
    let agent = ConfiguredAgent { name: "quiet".into(), ..ConfiguredAgent::default() };
    let registry = Registry::new(vec![agent], Surroundings::default());
    let _ = sample(&registry, 0, &seen("a", runs(-60)));
    let _ = sample(&registry, 0, &seen("b", Life::Stopped));
    registry.hear(&said("b", -5, State::Working));
    let started_at = Some(at(-30));
    registry.hear(&AgentState { started_at, ..said("c", 0, State::Working) });
    let since = |since: Option<i64>| Life::Runs { since: since.map(at) };
    let line = |name: &str, state, life| (name.to_owned(), state, life);
    let a = line("a", State::Unknown, since(Some(-60)));
    let c = line("c", State::Working, since(Some(-30)));
    let quiet = line("quiet", State::Unknown, Life::Unseen);
    let expected = [a.clone(), line("b", State::Stopped, Life::Stopped), c.clone(), quiet.clone()];
    assert_eq!(agents(&registry, 1), expected);
    registry.hear(&said("b", 5, State::Idle));
    registry.hear(&said("c", 6, State::Stopped));
    let b = line("b", State::Idle, since(None));
    assert_eq!(agents(&registry, 7), [a, b, line("c", State::Stopped, Life::Stopped), quiet.clone()]);
    assert_eq!(agents(&registry, 24 * 3_600 + 7), [quiet]);
}

#[test]
fn a_sample_of_the_log_is_recalled_with_what_its_sampler_knew() {
    let registry = Registry::default();
    let recall = |agent: &str, seconds, state, runtime: &str| {
        registry.recall(&AgentSample {
            time: at(seconds),
            agent_name: agent.into(),
            runtime: runtime.into(),
            state,
            ..AgentSample::default()
        });
    };
    registry.hear(&said("a", -9, State::Stuck));
    registry.hear(&said("b", -9, State::Stuck));
    recall("a", 0, State::Unknown, "tmux");
    recall("b", 0, State::Unknown, "");
    recall("c", 0, State::Working, "tmux");
    recall("d", 0, State::Stopped, "tmux");
    let states: Vec<State> = registry.agents(NOW).into_iter().map(|agent| agent.state).collect();
    assert_eq!(states, [State::Unknown, State::Stuck, State::Working, State::Stopped]);
    registry.hear(&said("c", 1, State::Done));
    recall("c", -1, State::Idle, "tmux");
    assert_eq!(agents(&registry, 2)[2].1, State::Done, "what is older changes nothing");
}

#[test]
fn names_from_outside_do_not_fill_the_memory() {
    let registry = Registry::new(
        vec![ConfiguredAgent { name: "kept".into(), ..ConfiguredAgent::default() }],
        Surroundings::default(),
    );
    for number in 0..2 * AGENTS_MAX {
        registry.hear(&said(&format!("n{number}"), i64::try_from(number).unwrap(), State::Idle));
    }
    let all = agents(&registry, i64::try_from(2 * AGENTS_MAX).unwrap());
    assert!((AGENTS_MAX / 2..=AGENTS_MAX).contains(&all.len()), "{}", all.len());
    assert!(all.iter().any(|(name, ..)| name == "kept"));
    assert!(all.iter().any(|(name, ..)| *name == format!("n{}", 2 * AGENTS_MAX - 1)));
}
