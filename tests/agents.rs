//! Agents: what they say of themselves reaches their samples and the statistics, with real tmux and the real daemon.
#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::host::Host;
use support::{eventually, json, record, stderr, stdout};

#[test]
fn what_an_agent_says_is_in_its_next_sample_and_in_the_statistics_and_survives_a_restart() {
    let host = Host::new(
        "[[agents]]\nname = \"zen\"\nrole = \"worker\"\ntool = \"claude\"\nsession = \"zen's\"\n\
         [[agents]]\nname = \"boss\"\nrole = \"coordinator\"\nsession = \"boss\"\n\
         [[agents]]\nname = \"quiet\"\n",
    );
    host.tmux.session("zen's", "exec sleep 600");
    host.tmux.session("stranger", "exec sleep 600");
    let daemon = host.start();
    let sample = host.wait_for("zen", "");
    assert_eq!(
        (&sample["role"], &sample["tool"], &sample["runtime"]),
        (&"worker".into(), &"claude".into(), &"tmux".into())
    );
    host.say("zen", "working");
    host.wait_for("zen", "working");
    assert_eq!(host.wait_for("boss", "stopped")["cpu_percent"], 0.0);
    assert_eq!(host.sample("stranger"), None, "sessions that nobody named are no agents then");

    host.say("outside", "stuck");
    let (states, stats) = host.stats();
    let state = |name: &str| states.get(name).map(String::as_str);
    assert_eq!((state("zen"), state("boss")), (Some("working"), Some("stopped")));
    assert_eq!((state("quiet"), state("outside"), states.len()), (Some(""), Some("stuck"), 4));
    let agents = &stats["agents"];
    for (number, expected) in [
        ("total_agents", 4),
        ("active_agents", 2),
        ("coordinators", 1),
        ("workers", 1),
        ("working", 1),
        ("stuck", 1),
        ("stopped", 1),
        ("idle", 0),
    ] {
        assert_eq!(agents[number], expected, "{number} of {stats}");
    }
    assert_eq!(stats["utilization"], 0.5);
    assert_eq!(stats["workspace_path"].as_str(), host.data().to_str());
    let uptime = |name: &str| {
        let agents = agents["agent_stats"].as_array().unwrap();
        agents.iter().find(|agent| agent["name"] == name).unwrap()["uptime"].as_u64()
    };
    assert!(uptime("zen") > Some(0) && uptime("boss") == Some(0), "{stats}");
    let table = stdout(&host.command().arg("stats").output().unwrap());
    assert!(table.contains("working; worker; up ") && table.contains("stopped; coordinator"), "{table}");

    let (exit, output) = daemon.stop();
    assert!(exit.success(), "{output}");
    let (alone, _) = host.stats();
    assert_eq!(alone, states, "the same without a daemon");
    let daemon = host.start();
    let before = host.sample("zen").unwrap()["time"].clone();
    let after = eventually("another sample", || host.sample("zen").filter(|sample| sample["time"] != before));
    assert_eq!(after["state"], "working", "a state of the log is in the registry");

    host.tmux.run(&["kill-session", "-t", "=zen's"]);
    host.wait_for("zen", "stopped");
    host.tmux.session("zen's", "exec sleep 600");
    host.wait_for("zen", "");
    host.say("zen", "idle");
    host.wait_for("zen", "idle");
    drop(daemon);
}

#[test]
fn without_agents_there_is_nothing_to_tell() {
    let host = Host::new("");
    json(&record(&host.data(), ""));
    let output = host.command().args(["stats", "--format", "csv"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("no agents"), "{}", stderr(&output));
    assert!(stdout(&output).contains("total_agents,0\n"), "{}", stdout(&output));
}

#[test]
fn agents_are_shown_and_checked_with_the_settings() {
    let host = Host::new("[[agents]]\nname = \"zen\"\nrole = \"worker\"\n");
    let shown = host.ask(&["config", "show", "--format", "json"]);
    let file = host.home.path().join("tailwater.toml").display().to_string();
    let value = |key: &str| shown.as_array().unwrap().iter().find(|setting| setting["key"] == key).cloned();
    let role = value("agents.zen.role").unwrap();
    assert_eq!((role["value"].as_str(), role["origin"].as_str()), (Some("worker"), Some(&*file)));
    assert_eq!(value("host.interval").unwrap()["value"], "10s");
    let host = Host::new("[[agents]]\nname = \"zen\"\nrole = 5\n");
    let output = host.command().args(["config", "check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.contains("agent zen: key role: must be text") && error.lines().count() == 1, "{error}");
}

/// The commands of the hooks in the documentation, by event and matcher.
fn hooks() -> Vec<(String, String, String)> {
    let text = include_str!("../docs/hooks/claude-code.md");
    let settings =
        text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("settings");
    let settings: Value = serde_json::from_str(settings).expect("JSON");
    let mut hooks = Vec::new();
    for (event, groups) in settings["hooks"].as_object().expect("hooks") {
        for group in groups.as_array().expect("groups") {
            let matcher = group["matcher"].as_str().unwrap_or_default();
            for hook in group["hooks"].as_array().expect("hooks of a group") {
                assert_eq!(hook["type"], "command", "{event}");
                let command = hook["command"].as_str().expect("a command");
                hooks.push((event.clone(), matcher.to_owned(), command.to_owned()));
            }
        }
    }
    hooks
}

/// Runs a hook as Claude Code does: a shell, what happened on its standard input.
fn run_hook(host: &Host, command: &str, agent: Option<&str>, path: &Path) {
    let mut shell = host.command();
    let program = Path::new(env!("CARGO_BIN_EXE_tailwater")).parent().unwrap();
    let path = format!("{}:{}", path.display(), program.display());
    let own = shell.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    let own: Vec<_> = own.collect();
    shell = Command::new("sh");
    shell.env_clear().envs(own).args(["-c", command]);
    shell.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()));
    shell.envs(agent.map(|agent| ("TAILWATER_AGENT", agent)));
    let output = support::run_with(&mut shell, br#"{"session_id":"s","hook_event_name":"x","cwd":"/"}"#);
    assert!(output.status.success(), "a hook never fails, it would hold up the agent: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "what a hook prints, the model reads");
}

#[test]
fn the_hooks_of_the_documentation_tell_the_state() {
    let host = Host::new("");
    host.tmux.session("by session", "exec sleep 600");
    let hooks = hooks();
    let expected = [
        ("Notification", "idle_prompt", "idle"),
        ("Notification", "permission_prompt", "stuck"),
        ("PostToolUse", "", "working"),
        ("SessionEnd", "", "stopped"),
        ("SessionStart", "", "idle"),
        ("Stop", "", "idle"),
        ("UserPromptSubmit", "", "working"),
    ];
    let mut events: Vec<_> = hooks.iter().map(|(event, matcher, _)| (&**event, &**matcher)).collect();
    events.sort_unstable();
    assert_eq!(events, expected.map(|(event, matcher, _)| (event, matcher)));
    for (_, _, command) in &hooks {
        run_hook(&host, command, Some("nobody"), Path::new("/nonexistent"));
    }
    let daemon = host.start();
    let state = |agent: &str| host.stats().0.get(agent).cloned();
    for (event, matcher, state_of_it) in expected {
        let is_it = |hook: &&(String, String, String)| hook.0 == event && hook.1 == matcher;
        let (_, _, command) = hooks.iter().find(is_it).unwrap();
        run_hook(&host, command, Some("zen"), Path::new("/nonexistent"));
        assert_eq!(state("zen").as_deref(), Some(state_of_it), "{event} {matcher}");
    }
    let samples = host.ask(&["stats", "--format", "json"]);
    assert!(samples["agents"]["total_agents"].as_u64() >= Some(2), "{samples}");

    // Without a name of its own the agent is the tmux session that it runs in.
    let (_, _, command) = hooks.iter().find(|(event, ..)| event == "UserPromptSubmit").unwrap();
    let script = host.home.path().join("hook");
    let program = Path::new(env!("CARGO_BIN_EXE_tailwater")).parent().unwrap();
    let data = host.data();
    let script_text = format!(
        "PATH={}:$PATH; TAILWATER_DATA_DIR={}; export PATH TAILWATER_DATA_DIR\n{command}\nexec sleep 600\n",
        program.display(),
        data.display()
    );
    fs::write(&script, script_text).unwrap();
    host.tmux.session("team 7", &format!("sh {}", script.display()));
    host.wait_for("team 7", "working");
    assert_eq!(host.sample("by session").unwrap()["state"].as_str().unwrap_or_default(), "");
    drop(daemon);
}
