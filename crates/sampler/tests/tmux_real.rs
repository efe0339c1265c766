//! The tmux sampler against a real tmux server on a socket of its own, with processes of known load.
//!
//! What a process used is compared with what the kernel says of that process, never with the time that passed:
//! on a loaded machine a loop that burns does not get its core. The sampler's own idea of the time between two
//! passes is a clock that the tests move by one second, so that a percent is a hundredth of a second.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, its helpers too")]
#![expect(clippy::print_stdout, reason = "a skipped test says so loudly")]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Agents, Tmux, no_tmux, scheduled_ms, wait_for};
use event::State;
use sampler::tmux::{AgentSelector, NamedAgent, SessionPattern, TmuxServer, TmuxSettings};

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
