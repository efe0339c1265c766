//! `top` in real terminals: what it shows at several sizes, what its keys do, and what it says when the daemon goes.
#![cfg(test)]

mod support;

use std::time::SystemTime;

use serde_json::{Value, json};
use support::log::Log;
use support::tmux::Tmux;
use support::{eventually, json as answer_of, record, stderr, tailwater};
use tempfile::TempDir;

fn now() -> String {
    tailwater::Time::from(SystemTime::now()).to_string()
}

struct Scene {
    log: Log,
    folder: TempDir,
    tmux: Tmux,
}

impl Scene {
    /// A daemon that has two agents, of which one works and has calls.
    fn new() -> Self {
        let mut log = Log::new(false);
        let sample = |name: &str, state: &str, cpu: f64| {
            json!({"kind": "agent_sample", "time": now(), "agent_name": name, "state": state, "role": "worker",
                "cpu_percent": cpu, "mem_used_bytes": 512 << 20, "disk_read_bytes": 1})
        };
        let events: [Value; 5] = [
            sample("zen", "working", 42.5),
            sample("ada", "stuck", 1.0),
            json!({"kind": "token_usage", "time": now(), "agent_name": "zen", "model": "claude-opus-4-5", "message_id": "m",
                "input_tokens": 1000, "output_tokens": 9000, "final": true}),
            json!({"kind": "agent_state", "time": now(), "agent_name": "zen", "state": "working"}),
            json!({"kind": "gap", "time": now(), "from": now(), "to": now(), "events": 7, "what": "tmux", "reason": "x"}),
        ];
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        answer_of(&record(&log.data(), &lines));
        log.start_daemon();
        let folder = tempfile::tempdir().unwrap();
        let tmux = Tmux::new(folder.path());
        Self { log, folder, tmux }
    }

    /// Starts it in a terminal of this size.
    fn open(&self, name: &str, width: u32, height: u32) {
        let command = format!(
            "env -i TERM=screen PATH=\"$PATH\" LANG=C.UTF-8 HOME='{home}' TAILWATER_DATA_DIR='{data}' '{binary}' top \
             --interval 1; echo EXIT $?; sleep 600",
            home = self.log.home.path().display(),
            data = self.log.data().display(),
            binary = env!("CARGO_BIN_EXE_tailwater"),
        );
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux.run(&["-u", "new-session", "-d", "-s", name, "-x", &width, "-y", &height, &command]);
    }

    fn press(&self, name: &str, keys: &[&str]) {
        for key in keys {
            self.tmux.run(&["send-keys", "-t", name, key]);
        }
    }

    /// What it shows once it shows this.
    fn sees(&self, name: &str, expected: &str) -> String {
        let mut last = String::new();
        eventually(&format!("{name} shows {expected:?}"), || {
            last = self.tmux.shown(name, false);
            last.contains(expected).then(|| last.clone())
        })
    }
}

#[test]
fn the_fleet_an_agent_and_the_pipeline_are_shown_at_several_sizes() {
    let scene = Scene::new();
    for (name, width, height) in [("wide", 160, 50), ("usual", 80, 24), ("small", 44, 12)] {
        scene.open(name, width, height);
        let text = scene.sees(name, "2 agents: 1 working, 1 stuck");
        let places =
            ["ada", "zen"].map(|agent| text.find(&format!("\n{agent} ")).unwrap_or_else(|| panic!("{text}")));
        assert!(places[0] < places[1], "who is stuck comes first: {text}");
        assert!(text.contains("42.5") && text.contains("512.0 MiB"), "{text}");
        assert_eq!(text.contains("30 MINUTES"), name == "wide", "{text}");
        assert_eq!(
            text.contains("2k") && text.contains("$0.23"),
            name != "small",
            "tokens a minute, cost: {text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= width as usize), "{text}");

        scene.press(name, &["c", "Home", "Enter"]);
        let text = scene.sees(name, "calls of 24 hours");
        assert!(text.contains("zen@") && text.contains("claude-opus-4-5: 1k in, 9k out"), "{text}");
        assert_eq!(text.contains("CPU 42.5 %"), name != "small", "{text}");

        scene.press(name, &["p"]);
        let text = scene.sees(name, "events       5");
        assert!(text.contains("positions    1 to 5"), "{text}");
        scene.press(name, &["Escape"]);
        scene.sees(name, "AGENT");
        scene.press(name, &["?"]);
        scene.sees(name, "keys \u{2500}");
        scene.press(name, &["x", "q"]);
        scene.sees(name, "EXIT 0");
    }
}

#[test]
fn what_comes_is_shown_and_a_daemon_that_goes_is_told() {
    let mut scene = Scene::new();
    scene.open("s", 100, 20);
    scene.sees("s", "2 agents");
    let more = json!({"kind": "agent_sample", "time": now(), "agent_name": "grace", "state": "error", "cpu_percent": 7});
    answer_of(&record(&scene.log.data(), &format!("{more}\n")));
    scene.sees("s", "3 agents: 1 working, 1 stuck, 1 error");
    scene.press("s", &["/", "g", "r", "a", "Enter"]);
    eventually("only one is left", || (!scene.tmux.shown("s", false).contains("zen")).then_some(()));
    scene.log.stop_daemon();
    let text = scene.sees("s", "no daemon records into");
    assert!(text.contains("grace"), "what was known stays: {text}");
    scene.log.start_daemon();
    eventually("it is there again", || (!scene.tmux.shown("s", false).contains("no daemon")).then_some(()));
    // The terminal is made smaller and larger.
    scene.tmux.run(&["resize-window", "-t", "s", "-x", "60", "-y", "10"]);
    eventually("it fits", || (!scene.tmux.shown("s", false).contains("30 MINUTES")).then_some(()));
    scene.tmux.run(&["resize-window", "-t", "s", "-x", "140", "-y", "30"]);
    scene.sees("s", "30 MINUTES");
    scene.press("s", &["C-c"]);
    scene.sees("s", "EXIT 0");
}

#[test]
fn without_a_terminal_or_a_daemon_there_is_one_line() {
    let scene = Scene::new();
    let output = tailwater(&scene.log.data()).arg("top").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("top needs a terminal"), "{}", stderr(&output));
    let nobody = scene.folder.path().join("nobody");
    let command = format!(
        "'{}' top --data-dir '{}'; echo EXIT $?; sleep 600",
        env!("CARGO_BIN_EXE_tailwater"),
        nobody.display()
    );
    scene.tmux.session("s", &command);
    let text = scene.sees("s", "EXIT 2");
    assert!(text.contains("no daemon records into"), "{text}");
}
