//! The tmux sampler against a real tmux server on a socket of its own, with processes of known load.
//!
//! What a process used is compared with what the kernel says of that process, never with the time that passed:
//! on a loaded machine a loop that burns does not get its core. The sampler's own idea of the time between two
//! passes is a clock that the tests move by one second, so that a percent is a hundredth of a second.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, its helpers too")]
#![expect(clippy::print_stdout, reason = "a skipped test says so loudly")]

mod common;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Agents, Tmux, no_tmux, scheduled_ms, wait_for};
use event::{Event, State};
use sampler::tmux::{
    AgentSelector, NamedAgent, ProcTmux, SessionPattern, TmuxSampler, TmuxServer, TmuxSettings,
};
use sampler::{Clock, Life, Pass, Registry, Sampler, SystemClock};

/// The kernel rounds four counters of a process to ticks of 10 ms, and a pass reads a little later than the test.
const SLACK_MS: f64 = 100.0;

#[test]
fn a_process_that_burns_is_told_by_its_own_clock_and_one_that_sleeps_is_zero() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("burn");
    tmux.session("burn", "while :; do :; done");
    tmux.session("sleep", "exec sleep 1000");
    let burner = tmux.pane_pid("burn");
    let mut agents = Agents::new(&tmux, AgentSelector::default());
    wait_for("the burner to run", || scheduled_ms(burner) > 50.0);

    let earliest = scheduled_ms(burner);
    agents.pass();
    let early = scheduled_ms(burner);
    wait_for("the burner to burn a second", || scheduled_ms(burner) > early + 1000.0);
    let late = scheduled_ms(burner);
    let told = agents.pass();
    let latest = scheduled_ms(burner);

    let cpu_ms = told.cpu_ms("burn");
    assert!(cpu_ms > late - early - SLACK_MS, "{cpu_ms} ms, it used {} at least", late - early);
    assert!(cpu_ms < latest - earliest + SLACK_MS, "{cpu_ms} ms, it used {} at most", latest - earliest);
    assert!(told.cpu_ms("sleep") <= 20.0, "{}", told.cpu_ms("sleep"));
    let sleep = told.agent("sleep");
    assert_eq!((sleep.runtime.as_str(), sleep.state), ("tmux", State::Unknown));
    let resources = sleep.resources;
    assert!(resources.mem_used_bytes.unwrap() > 100_000 && resources.mem_limit_bytes.unwrap() > 1 << 20);
    assert!(resources.mem_percent.unwrap() > 0.0);
    assert_eq!((resources.net_rx_bytes, resources.net_tx_bytes), (None, None));
}

/// On a machine with a core to spare this is 100 %, and the kernel says how much of one the loop got elsewhere.
#[test]
fn a_session_that_burns_a_core_reads_as_much_of_it_as_it_got() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("core");
    tmux.session("a1", "while :; do :; done");
    tmux.session("a10", "exec sleep 1000");
    let burner = tmux.pane_pid("a1");
    wait_for("the burner to run", || scheduled_ms(burner) > 50.0);
    let settings = TmuxSettings { server: TmuxServer::Path(tmux.path("s")), ..TmuxSettings::default() };
    let probe = ProcTmux::open(settings).unwrap();
    let mut sampler = TmuxSampler::new(AgentSelector::default(), probe, Arc::new(SystemClock));
    let mut pass = || {
        let (mut pass, before) = (Pass::default(), (Instant::now(), scheduled_ms(burner)));
        sampler.sample(SystemClock.now(), &mut pass).unwrap();
        let percent = |name: &str| {
            let agent = |event: &Event| match event {
                Event::AgentSample(sample) if sample.agent_name == name => sample.resources.cpu_percent,
                _ => None,
            };
            pass.events.iter().find_map(agent)
        };
        (before, percent("a1").zip(percent("a10")))
    };
    let ((began, burnt), _) = pass();
    let (mut told_ms, mut idle_ms, mut last) = (0.0, 0.0, began);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(1_000).saturating_sub(last.elapsed()));
        let ((now, _), percents) = pass();
        let (busy, idle) = percents.unwrap();
        let elapsed_ms = (now - last).as_secs_f64() * 1e3;
        told_ms += busy / 100.0 * elapsed_ms;
        idle_ms += idle / 100.0 * elapsed_ms;
        last = now;
    }
    let elapsed_ms = (last - began).as_secs_f64() * 1e3;
    let (told, got) = (100.0 * told_ms / elapsed_ms, 100.0 * (scheduled_ms(burner) - burnt) / elapsed_ms);
    assert!((told - got).abs() <= 5.0, "told {told} %, it got {got} % of a core");
    assert!(100.0 * idle_ms / elapsed_ms <= 1.0, "a10 sleeps: {idle_ms} ms");
}

#[test]
fn a_tree_of_fifty_processes_is_their_sum() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("fifty");
    let gate = tmux.path("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let mut gate_keeper = std::fs::File::options().read(true).write(true).open(&gate).unwrap();
    let script = format!(
        "i=0; while [ $i -lt 50 ]; do i=$((i+1)); \
         (read line < {gate}; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; exec sleep 1000) & done; wait",
        gate = gate.display(),
    );
    tmux.session("fifty", &script);
    tmux.session("other", "exec sleep 1000");
    let shell = tmux.pane_pid("fifty");
    let children = || -> Vec<u32> {
        let list = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    };
    wait_for("fifty children", || children().len() == 50);
    let tree = [children(), vec![shell]].concat();
    let used_ms = || tree.iter().map(|pid| common::own_ms(*pid)).sum::<f64>();
    let mut agents = Agents::new(&tmux, AgentSelector::default());
    let earliest = used_ms();
    agents.pass();
    let early = used_ms();
    std::io::Write::write_all(&mut gate_keeper, &[b'\n'; 50]).unwrap();
    let mut told_ms = 0.0;
    let has_slept =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim() == "sleep";
    wait_for("fifty children to burn and sleep", || {
        told_ms += agents.pass().cpu_ms("fifty");
        children().iter().all(has_slept)
    });
    let late = used_ms();
    let last = agents.pass();
    told_ms += last.cpu_ms("fifty");
    assert!(late - early > 500.0, "fifty loops used {} ms: too few to tell anything", late - early);
    assert!(told_ms >= late - early - 1.0, "told {told_ms} ms of {} at least", late - early);
    assert!(told_ms <= used_ms() - earliest + 1.0, "told {told_ms} ms of {} at most", used_ms() - earliest);
    assert!(last.cpu_ms("other") <= 20.0);
    assert!(last.agent("fifty").resources.mem_used_bytes > last.agent("other").resources.mem_used_bytes);
}

#[test]
fn the_registry_hears_where_an_agent_works_and_since_when_it_lives() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("places");
    let folder = tmux.path("line\n10:$3:1700:%5:55:0:forged");
    std::fs::create_dir(&folder).unwrap();
    tmux.session("zen", &format!("cd '{}' && exec sleep 1000", folder.display()));
    let shell = tmux.pane_pid("zen");
    wait_for("the shell to be there", || {
        std::fs::read_to_string(format!("/proc/{shell}/comm")).unwrap().trim() == "sleep"
    });
    let registry = Registry::default();
    let settings = TmuxSettings { server: TmuxServer::Path(tmux.path("s")), ..TmuxSettings::default() };
    let probe = ProcTmux::open(settings).unwrap();
    let sampler = TmuxSampler::new(AgentSelector::default(), probe, Arc::new(SystemClock));
    let mut sampler = sampler.with_registry(registry.clone());
    let mut pass = Pass::default();
    let begin = SystemClock.now();
    sampler.sample(begin, &mut pass).unwrap();
    assert_eq!((pass.events.len(), pass.problems.len()), (1, 0), "{pass:?}");
    assert_eq!(registry.agent_at(folder.join("src/x").to_str().unwrap()).as_deref(), Some("zen"));
    assert_eq!(registry.agent_at(folder.parent().unwrap().to_str().unwrap()), None);
    let agents = registry.agents(begin);
    let Life::Runs { since: Some(since) } = agents[0].life else { panic!("{agents:?}") };
    let age = begin.micros() - since.micros();
    assert!((0..600_000_000).contains(&age), "made a moment ago: {age} us");
}

#[test]
fn a_thousand_short_children_are_counted_as_the_shell_counts_them() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("children");
    let (go, done) = (tmux.path("go"), tmux.path("done"));
    let script = format!(
        "until [ -e {go} ]; do sleep 0.05; done; times > {done}.begin; i=0; \
         while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done; times > {done}.end; mv {done}.end {done}; \
         exec sleep 1000",
        go = go.display(),
        done = done.display(),
    );
    tmux.session("children", &script);
    let mut agents = Agents::new(&tmux, AgentSelector::default());
    agents.pass();
    std::fs::write(&go, "").unwrap();
    let mut told_ms = 0.0;
    // NOTE: passes in the middle of the storm, where children end while they are read.
    wait_for("a thousand children", || {
        told_ms += agents.pass().cpu_ms("children");
        done.exists()
    });
    told_ms += agents.pass().cpu_ms("children");
    told_ms += agents.pass().cpu_ms("children");

    let begin = std::fs::read_to_string(done.with_extension("begin")).unwrap();
    let end = std::fs::read_to_string(&done).unwrap();
    let used_ms = common::times_ms(&end) - common::times_ms(&begin);
    assert!(used_ms > 100.0, "a thousand children used {used_ms} ms: too few to tell anything");
    let slack = SLACK_MS + 0.1 * used_ms;
    assert!(told_ms > used_ms - slack, "told {told_ms} ms of {used_ms}");
    assert!(told_ms < used_ms + slack + common::times_ms(&begin), "told {told_ms} ms of {used_ms}");
}

#[test]
fn a_prefix_of_a_name_is_another_agent() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("names");
    tmux.session("a10", "while :; do :; done");
    let burner = tmux.pane_pid("a10");
    let named = vec![NamedAgent::new("a1")];
    let mut agents = Agents::new(&tmux, AgentSelector { named, patterns: vec![] });
    agents.pass();
    wait_for("a10 to burn", || scheduled_ms(burner) > 100.0);
    let told = agents.pass();
    assert_eq!(told.names(), ["a1"]);
    assert_eq!(told.agent("a1").state, State::Stopped);
    assert!(told.cpu_ms("a1").abs() < f64::EPSILON);

    tmux.session("a1", "exec sleep 1000");
    let told = agents.pass();
    assert_eq!(told.agent("a1").state, State::Unknown);
    wait_for("a10 to burn on", || scheduled_ms(burner) > 300.0);
    assert!(agents.pass().cpu_ms("a1") <= 20.0);
}

#[test]
fn odd_names_arrive_whole() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("odd");
    for name in ["zén 世界", "a b", "-dash", "$1", "#{pid}", "semi;colon", "quo\"te'", "back\\slash"] {
        tmux.session(name, "exec sleep 1000");
    }
    tmux.session("tab\there", "exec sleep 1000");
    tmux.session("a:b.c", "exec sleep 1000");
    let told = Agents::new(&tmux, AgentSelector::default()).pass();
    let names = told.names();
    for name in ["zén 世界", "a b", "-dash", "$1", "semi;colon", "quo\"te'", "tab\\there", "a_b_c"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(told.problems, Vec::<String>::new());

    let patterns = vec![SessionPattern::new("(?<agent>zén) (?<role>.+)").unwrap()];
    let told = Agents::new(&tmux, AgentSelector { named: vec![], patterns }).pass();
    assert_eq!(told.agent("zén").role, "世界");
}

#[test]
fn a_pane_that_outlives_its_process_and_a_view_of_another_session() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("dead");
    tmux.session("zen", "exec sleep 1000");
    tmux.run(&["set-option", "-g", "remain-on-exit", "on"]);
    tmux.run(&["new-session", "-d", "-t", "zen", "-s", "zen-phone"]);
    tmux.session("dead", "exit 0");
    wait_for("the process to end", || tmux.run(&["list-panes", "-t", "=dead:", "-F", "#{pane_dead}"]) == "1");
    let told = Agents::new(&tmux, AgentSelector::default()).pass();
    assert_eq!(told.names(), ["zen", "dead"], "zen-phone only shows the pane of zen");
    let dead = told.agent("dead");
    assert_eq!((dead.state, dead.resources.mem_used_bytes), (State::Stopped, Some(0)));
    assert_eq!(dead.resources.cpu_percent, Some(0.0));
}

#[test]
fn between_two_answers_of_tmux_its_servers_children_tell_what_begins_and_ends() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("between");
    tmux.session("zen", "exec sleep 1000");
    let agents = |answer_age_max: Duration| {
        let server = TmuxServer::Path(tmux.path("s"));
        let timeout = Duration::from_mins(2);
        let settings = TmuxSettings { server, timeout, answer_age_max, ..TmuxSettings::default() };
        Agents::with(settings, AgentSelector::default())
    };
    let (mut lasting, mut asking) = (agents(Duration::MAX), agents(Duration::ZERO));
    let names = |agents: &mut Agents| -> Vec<String> {
        agents.pass().names().into_iter().map(ToOwned::to_owned).collect()
    };
    for _ in 0..2 {
        assert_eq!(names(&mut lasting), ["zen"]);
    }
    tmux.session("two", "exec sleep 1000");
    assert_eq!(names(&mut lasting), ["zen", "two"], "a session that begins");
    tmux.run(&["split-window", "-t", "=zen:", "--", "while :; do :; done"]);
    wait_for("what burns in the new pane of zen", || lasting.pass().cpu_ms("zen") > 0.0);
    tmux.run(&["kill-session", "-t", "=two"]);
    wait_for("a session that ends", || names(&mut lasting) == ["zen"]);

    assert_eq!(names(&mut asking), ["zen"]);
    tmux.run(&["rename-session", "-t", "=zen", "other"]);
    assert_eq!(names(&mut lasting), ["zen"], "the kernel knows no names");
    assert_eq!(asking.pass().agent("other").state, State::Unknown);
    tmux.run(&["kill-server"]);
    wait_for("the server to end", || names(&mut lasting).is_empty());
}

#[test]
fn disk_counters_follow_the_kernel_through_children_that_end() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("disk");
    let (go, done, file) = (tmux.path("go"), tmux.path("done"), tmux.path("file"));
    let script = format!(
        "until [ -e {go} ]; do sleep 0.05; done; \
         dd if=/dev/zero of={file} bs=65536 count=64 conv=fsync 2>/dev/null; touch {done}; \
         while :; do sleep 1; done",
        go = go.display(),
        file = file.display(),
        done = done.display(),
    );
    tmux.session("disk", &script);
    let shell = tmux.pane_pid("disk");
    let mut agents = Agents::new(&tmux, AgentSelector::default());
    let written = |told: &common::Told| told.agent("disk").resources.disk_write_bytes.unwrap();
    let before = written(&agents.pass());
    std::fs::write(&go, "").unwrap();
    let mut last = before;
    wait_for("the file to be written", || {
        let now = written(&agents.pass());
        assert!(now >= last, "the counter fell from {last} to {now}");
        last = now;
        done.exists()
    });
    agents.pass();
    let told = written(&agents.pass()) - before;
    let kernel = common::write_bytes(shell);
    assert!(told <= kernel, "told {told} bytes, the kernel {kernel}");
    // NOTE: on a tmpfs nothing reaches a disk, and both are 0.
    assert!(told + 65_536 >= kernel, "told {told} bytes, the kernel {kernel}");
}

#[test]
fn a_server_that_ends_and_one_that_never_was() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("ends");
    tmux.session("zen", "exec sleep 1000");
    let mut agents = Agents::new(&tmux, AgentSelector::default());
    assert_eq!(agents.describe(), "tmux: 1 session: zen");
    agents.pass();
    tmux.run(&["kill-server"]);
    wait_for("the server to end", || agents.describe() == "tmux: no server running");
    let told = agents.pass();
    assert_eq!((told.names(), told.agent("zen").state), (vec!["zen"], State::Stopped));
    assert_eq!(agents.pass().names(), Vec::<&str>::new());

    let server = TmuxServer::Path(tmux.path("nothing"));
    let settings = TmuxSettings { server, ..TmuxSettings::default() };
    assert_eq!(Agents::with(settings, AgentSelector::default()).describe(), "tmux: no server running");
}

#[test]
fn a_server_that_hangs_fails_the_pass_in_time_and_heals() {
    if no_tmux() {
        return;
    }
    let tmux = Tmux::start("hangs");
    tmux.session("zen", "exec sleep 1000");
    let server = tmux.run(&["display-message", "-p", "#{pid}"]);
    let signal =
        |signal: &str| assert!(Command::new("kill").args([signal, &server]).status().unwrap().success());
    let settings = TmuxSettings {
        server: TmuxServer::Path(tmux.path("s")),
        timeout: Duration::from_millis(500),
        answer_age_max: Duration::ZERO,
        ..TmuxSettings::default()
    };
    let mut agents = Agents::with(settings, AgentSelector::default());
    wait_for("a pass", || agents.try_pass().is_ok());
    signal("-STOP");
    let error = agents.try_pass().unwrap_err();
    signal("-CONT");
    assert_eq!(error, "cannot list the sessions: tmux did not answer within 500 ms");
    wait_for("the sampler to heal", || agents.try_pass().is_ok());
}
