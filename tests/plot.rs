//! `plot`: pictures of answers, as files that are whole or not there; and the manual that the program prints of itself.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use support::log::Log;
use support::{json as answer_of, record, stderr, stdout, tailwater};

const DAY: [&str; 4] = ["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-02T01:00:00Z"];
/// A name that would end a script, or begin a tag.
const HOSTILE: &str = "</script><b>&";

struct Scene {
    log: Log,
}

impl Scene {
    /// An hour of two agents, one of them away for ten minutes; calls of two models, one of which nobody knows.
    fn new(with_daemon: bool) -> Self {
        let mut log = Log::new(false);
        let sample = |minute: u64, name: &str, cpu: u64| {
            json!({"kind": "agent_sample", "time": format!("2026-01-02T00:{minute:02}:00Z"), "agent_name": name,
                "cpu_percent": cpu, "mem_used_bytes": cpu << 24, "net_rx_bytes": minute * 100_000, "net_tx_bytes": 1})
        };
        let call = |minute: u64, model: &str| {
            json!({"kind": "token_usage", "time": format!("2026-01-02T00:{minute:02}:30Z"), "agent_name": "zen",
                "model": model, "message_id": format!("{model}{minute}"), "input_tokens": 1000, "output_tokens": 500})
        };
        let mut events: Vec<Value> = Vec::new();
        for minute in (0..60).step_by(5) {
            events.push(sample(minute, HOSTILE, 60 - minute));
            events.push(call(minute, "claude-opus-4-5"));
            events.push(call(minute, "nobody-knows"));
            if !(20..30).contains(&minute) {
                events.push(sample(minute, "zen", minute));
            }
        }
        let channel = json!({"kind": "channel_sample", "time": "2026-01-02T00:10:00Z", "channel_name": "general",
            "message_count": 7, "member_count": 3, "reaction_count": 1});
        let system = json!({"kind": "system_sample", "time": "2026-01-02T00:10:00Z", "system_name": "db", "cpu_percent": 5});
        events.extend([channel, system]);
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        answer_of(&record(&log.data(), &lines));
        if with_daemon {
            log.start_daemon();
        }
        Self { log }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.log.home.path().join(name)
    }

    fn plot(&self, question: &[&str], name: &str) -> Output {
        let mut command = tailwater(&self.log.data());
        command.arg("plot").args(question).args(DAY).arg("--out").arg(self.file(name)).output().unwrap()
    }

    fn drawn(&self, question: &[&str], name: &str) -> Vec<u8> {
        let output = self.plot(question, name);
        assert!(output.status.success(), "{question:?}: {}", stderr(&output));
        assert!(stdout(&output).starts_with("drew "), "{}", stdout(&output));
        fs::read(self.file(name)).unwrap()
    }
}

/// How many elements of this name have this attribute.
fn elements(svg: &str, begin: &str, attribute: &str) -> usize {
    svg.split('<').filter(|tag| tag.starts_with(begin) && tag.contains(attribute)).count()
}

#[test]
fn every_question_about_time_is_drawn_as_svg() {
    for with_daemon in [false, true] {
        let scene = Scene::new(with_daemon);
        let questions: [(&[&str], &str); 9] = [
            (&["agents", "cpu"], "Agents: CPU, 100 % is one core"),
            (&["agents", "mem"], "Agents: memory used"),
            (&["agents", "net", "--agent", "zen"], "zen received"),
            (&["system", "cpu"], "db"),
            (&["channels"], "Channels: messages"),
            (&["channels", "members"], "Channels: members"),
            (&["tokens", "--by", "model"], "nobody-knows"),
            (&["cost", "--interval", "all", "--by", "none"], "Cost of tokens"),
            (
                &["cost", "--day", "--tz", "UTC", "--title", "What it cost <today>"],
                "What it cost &lt;today&gt;",
            ),
        ];
        for (question, expected) in questions {
            let svg = String::from_utf8(scene.drawn(question, "a.svg")).unwrap();
            assert!(
                svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
                "{question:?}: {svg:.300}"
            );
            assert!(svg.contains(expected), "{question:?}: {expected}: {svg:.3000}");
            assert!(!svg.contains("NaN") && !svg.contains("<script") && !svg.contains("<b>"), "{question:?}");
        }
    }
}

#[test]
fn what_is_not_there_is_a_gap() {
    let scene = Scene::new(false);
    let svg = String::from_utf8(scene.drawn(&["agents", "cpu", "--agent", "zen"], "a.svg")).unwrap();
    assert_eq!(elements(&svg, "polyline", "stroke=\"#1F77B4\""), 2, "{svg}");
    let output = scene.plot(&["cost", "--by", "model"], "a.svg");
    assert!(stderr(&output).starts_with("12 calls without a price are not in it"), "{}", stderr(&output));
}

#[test]
fn a_png_has_the_size_that_was_asked_for() {
    let scene = Scene::new(false);
    let check = |more: &[&str], width: u32, height: u32| {
        let file = scene.drawn(&[&["agents", "cpu"], more].concat(), "a.PNG");
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (width, height));
        let coloured = pixels.chunks_exact(3).filter(|it| **it == [31, 119, 180]).count();
        assert!(coloured > 100, "a line: {coloured}");
    };
    check(&[], 1200, 600);
    check(&["--width", "320", "--height", "240"], 320, 240);
}

#[test]
fn a_page_is_one_file_that_names_cannot_break() {
    let scene = Scene::new(false);
    let page = String::from_utf8(scene.drawn(&["agents", "cpu"], "a.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("plotly.js v3."), "{page:.100}");
    assert!(!page.contains("<script src") && !page.contains("<link"), "it needs nothing from elsewhere");
    assert!(!page.contains(HOSTILE), "a name is text");
    assert_eq!(page.matches("</script>").count(), 2, "plotly.js and the chart");
}

#[test]
fn what_cannot_be_drawn_leaves_the_files_as_they_were() {
    let scene = Scene::new(false);
    let before = scene.drawn(&["agents", "cpu"], "a.svg");
    let check = |question: &[&str], name: &str, code: i32, expected: &str| {
        let output = scene.plot(question, name);
        assert_eq!(output.status.code(), Some(code), "{question:?} {name}");
        assert!(stderr(&output).contains(expected), "{question:?} {name}: {}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    };
    check(&["agents", "cpu", "--agent", "nobody"], "a.svg", 1, "nothing found in this range");
    check(&["agents", "disk"], "a.svg", 1, "nothing to draw: no row of this range has a value of disk");
    check(&["agents", "cpu", "--interval", "1"], "a.svg", 2, "--interval");
    check(&["agents", "cpu"], "a.jpg", 2, "the ending says what to draw: .svg, .png or .html");
    check(&["agents", "cpu"], "none/a.svg", 2, "No such file or directory (os error 2)");
    fs::create_dir(scene.file("folder.svg")).unwrap();
    check(&["agents", "cpu"], "folder.svg", 2, "is a directory");
    assert_eq!(fs::read(scene.file("a.svg")).unwrap(), before);
    let mut left: Vec<String> = fs::read_dir(scene.log.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "data")
        .collect();
    left.sort();
    assert_eq!(left, ["a.svg", "folder.svg"], "nothing half done");
}

#[test]
fn the_program_prints_its_completions_and_its_manual() {
    let scene = Scene::new(false);
    let run = |arguments: &[&str]| tailwater(&scene.log.data()).args(arguments).output().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&run(&["completions", shell]));
        assert!(script.contains("quarantine") && script.contains("interval"), "{shell}");
    }
    let page = stdout(&run(&["man"]));
    assert!(page.contains(".TH tailwater 1") && page.contains("NOTES AND EXAMPLES"), "{page}");
    let folder = scene.file("man/man1");
    let folder_name = folder.to_str().unwrap();
    assert!(run(&["man", "--dir", folder_name]).status.success());
    let page = fs::read_to_string(folder.join("tailwater-query-agents-cpu.1")).unwrap();
    assert!(page.contains("\n  tailwater query agents cpu"), "an example in a line of its own: {page}");
    fs::write(scene.file("plain"), "").unwrap();
    let refused = run(&["man", "--dir", scene.file("plain").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
}
