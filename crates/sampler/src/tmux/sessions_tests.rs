//! Tests of the choice of agents: whole names only, one owner for each pane.

use super::*;
use crate::ErrorKind;

/// Sessions with these names, each with one pane whose process is 100, 101, …
fn sessions(names: &[&str]) -> Vec<TmuxSession> {
    (0..)
        .zip(names)
        .map(|(number, name)| session(number, name, &[(u64::from(number), Some(100 + number))]))
        .collect()
}

fn session(id: u32, name: &str, panes: &[(u64, Option<u32>)]) -> TmuxSession {
    TmuxSession {
        key: SessionKey { server: Pid(10), id: u64::from(id), created: 1_700_000_000 },
        name: name.to_owned(),
        panes: panes.iter().map(|(pane, root)| (PaneId(*pane), root.map(Pid))).collect(),
    }
}

fn named(names: &[&str]) -> AgentSelector {
    AgentSelector { named: names.iter().map(|name| NamedAgent::new(name)).collect(), patterns: vec![] }
}

fn patterns(patterns: &[&str]) -> AgentSelector {
    let patterns = patterns.iter().map(|pattern| SessionPattern::new(pattern).unwrap()).collect();
    AgentSelector { named: vec![], patterns }
}

/// Agents as `name=root+root`, a stopped one as `name=`, a named view as `name!`.
fn check(selector: &AgentSelector, sessions: &[TmuxSession], expected: &[&str]) {
    let show = |agent: &Agent| {
        let roots: Vec<String> = agent.roots.iter().map(|(_, root)| root.to_string()).collect();
        let mark = if agent.hold == Hold::Own { "=" } else { "!" };
        format!("{}{mark}{}", agent.identity.name, roots.join("+"))
    };
    let agents: Vec<String> = selector.agents(sessions).iter().map(show).collect();
    assert_eq!(agents, expected);
}

#[test]
fn with_nothing_configured_every_session_is_an_agent() {
    check(&AgentSelector::default(), &sessions(&["zen", "a1", "a b"]), &["zen=100", "a1=101", "a b=102"]);
    check(&AgentSelector::default(), &[], &[]);
}

#[test]
fn a_name_is_compared_whole() {
    check(&named(&["a1"]), &sessions(&["a10", "xa1", "a1 ", "A1"]), &["a1="]);
    check(&named(&["a1", "a10"]), &sessions(&["a10", "a1"]), &["a10=100", "a1=101"]);
    check(&named(&["a", "$1", "=a1", "a*", "%1"]), &sessions(&["a1"]), &["a=", "$1=", "=a1=", "a*=", "%1="]);
}

#[test]
fn a_name_that_tmux_spells_otherwise_is_found() {
    check(&named(&["a.b:c"]), &sessions(&["a_b_c"]), &["a.b:c=100"]);
    let mut selector = named(&["worker"]);
    selector.named[0].session = "team 7".to_owned();
    check(&selector, &sessions(&["worker", "team 7"]), &["worker=101"]);
}

#[test]
fn a_pattern_must_match_the_whole_name() {
    let selector = patterns(&["(?<agent>a1)"]);
    check(&selector, &sessions(&["a10", "xa1", "a1", "a1\n"]), &["a1=102"]);
    check(&patterns(&["(?P<agent>a|a1)"]), &sessions(&["a10", "a1"]), &["a1=101"]);
}

#[test]
fn a_pattern_names_role_and_tool_and_gathers_sessions() {
    let selector = patterns(&[r"(?<tool>claude|codex)-(?<role>\w+)-(?<agent>\d+)", "solo-(?<agent>.*)"]);
    let agents =
        selector.agents(&sessions(&["claude-worker-7", "codex-worker-7", "solo-x", "solo-", "other"]));
    let shown: Vec<_> = agents
        .iter()
        .map(|agent| {
            let Identity { name, role, tool } = &agent.identity;
            (name.as_str(), role.as_str(), tool.as_str(), agent.sessions.len())
        })
        .collect();
    assert_eq!(shown, [("7", "worker", "claude", 2), ("x", "", "", 1)]);
}

#[test]
fn a_named_agent_comes_before_a_pattern() {
    let selector =
        AgentSelector { patterns: patterns(&["(?<agent>.)(?<role>.*)"]).patterns, ..named(&["zen"]) };
    check(&selector, &sessions(&["zen", "work"]), &["zen=100", "w=101"]);
}

#[test]
fn patterns_that_cannot_be_used() {
    let check = |pattern: &str, message: &str| {
        let error = SessionPattern::new(pattern).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    };
    check("(", "is no regular expression");
    check("(?<agent>a)|b)(?:c", "is no regular expression");
    check("(?<agents>.*)", "has no group named agent, such as");
}

#[test]
fn panes_that_two_sessions_show_count_once() {
    let group = [
        session(1, "zen", &[(0, Some(100)), (1, None)]),
        session(2, "zen-phone", &[(0, Some(100)), (1, None)]),
        session(3, "linked", &[(0, Some(100)), (7, Some(107))]),
    ];
    check(&AgentSelector::default(), &group, &["zen=100", "linked=107"]);
    check(&patterns(&["(?<agent>zen-.*)"]), &group, &["zen-phone=100"]);
    check(&named(&["zen", "zen-phone"]), &group, &["zen=100", "zen-phone!"]);
}

#[test]
fn a_session_whose_processes_ended_is_still_an_agent() {
    check(&AgentSelector::default(), &[session(1, "dead", &[(0, None)])], &["dead="]);
}
