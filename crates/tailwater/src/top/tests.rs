//! What the keys do to what is shown, on a terminal of memory.

use event::{Resources, Text, Time};
use query::{AgentRow, TokenRow, TokensUsed};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::app::{App, Flow};
use super::ask::{Facts, More, News, Wanted};
use super::draw::{ago, draw};
use crate::service::StatusAnswer;

const NOW: &str = "2026-01-02T04:00:00Z";

fn now() -> Time {
    NOW.parse().unwrap()
}

fn agent(name: &str, state: &str, cpu: Option<f64>) -> AgentRow {
    AgentRow {
        time: now().plus_micros(-5_000_000),
        agent_name: name.into(),
        state: state.into(),
        host: "h".into(),
        resources: Resources { cpu_percent: cpu, ..Resources::default() },
        ..AgentRow::default()
    }
}

fn used(name: &str, output_tokens: u64, cost_usd: Option<f64>) -> TokenRow {
    let used = TokensUsed { output_tokens, cost_usd, ..TokensUsed::default() };
    TokenRow { agent_name: name.into(), host: "h".into(), used, ..TokenRow::default() }
}

fn status() -> StatusAnswer {
    let counts = json!({"read": 0, "sent": 0, "inserted": 0, "present": 0, "conflicting": 0, "quarantined": 0, "expired": 0,
        "unavailable": 0});
    let mut projection = json!({"state": "disabled", "unavailable_events": 0, "ranges": [], "events_per_second": 0,
        "retries": 0});
    projection.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
    let usage = serde_json::to_value(usage::ledger::Counts::default()).unwrap();
    serde_json::from_value(json!({
        "log": {"id": "x", "host": "h", "first_position": 1, "next_position": 8, "durable_position": 7, "bytes": 4096},
        "recording": {"state": "ok", "refused_events": 0, "hole_events": 0, "error": null},
        "projection": projection, "jobs": [], "quarantine": {"events": 0}, "gaps": {"events": 0}, "usage": usage,
        "samplers": [],
    }))
    .unwrap()
}

fn facts(latest: Vec<AgentRow>) -> News {
    let cpu = vec![AgentRow { time: now().plus_micros(-60_000_000), ..agent("busy", "", Some(50.0)) }];
    let tokens = vec![used("idle", 5_000, None)];
    let day = vec![used("idle", 9_000, Some(1.5)), used("busy", 1, None)];
    News::Facts(Box::new(Facts {
        at: now(),
        status: status(),
        latest,
        cpu,
        tokens,
        day,
        more: More::Nothing,
    }))
}

fn fleet() -> Vec<AgentRow> {
    vec![
        agent("idle", "idle", Some(1.0)),
        agent("busy", "working", Some(99.0)),
        agent("new", "", None),
        agent("lost", "stuck", None),
    ]
}

fn app() -> App {
    let mut app = App::new(false);
    app.learn(facts(fleet()));
    app
}

fn press(app: &mut App, keys: &str) {
    for letter in keys.chars() {
        let code = match letter {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            'v' => KeyCode::Down,
            letter => KeyCode::Char(letter),
        };
        assert_eq!(app.press(KeyEvent::new(code, KeyModifiers::NONE)), Flow::GoOn);
    }
}

fn names(app: &mut App) -> Vec<Text> {
    app.rows().into_iter().map(|row| row.name).collect()
}

fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let text = terminal.backend().to_string();
    text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
}

#[test]
fn the_fleet_is_ordered_by_every_column_and_what_is_unknown_comes_last() {
    let mut app = app();
    for (keys, expected) in [
        ("", ["lost", "busy", "idle", "new"]),
        ("c", ["busy", "idle", "lost", "new"]),
        ("c", ["idle", "busy", "lost", "new"]),
        ("n", ["busy", "idle", "lost", "new"]),
        ("r", ["new", "lost", "idle", "busy"]),
        ("t", ["idle", "busy", "lost", "new"]),
        ("$", ["idle", "busy", "lost", "new"]),
    ] {
        press(&mut app, keys);
        assert_eq!(names(&mut app), expected, "{keys}");
    }
    let before = app.sort;
    press(&mut app, "<>");
    assert_eq!(app.sort, before);
}

#[test]
fn the_mark_stays_at_its_agent() {
    let mut app = app();
    press(&mut app, "v\n");
    let busy = Wanted::Agent { name: "busy".into(), host: "h".into() };
    assert_eq!(app.wanted(), busy);
    press(&mut app, "\u{1b}n\n");
    assert_eq!(app.wanted(), busy, "in another order as well");
    press(&mut app, "\u{1b}");
    app.learn(facts(vec![agent("first", "stuck", None), agent("busy", "idle", None)]));
    assert_eq!(names(&mut app), ["busy", "first"]);
    press(&mut app, "\n");
    assert_eq!(app.wanted(), busy, "and when others come and go");
}

#[test]
fn a_filter_is_written_kept_and_taken_away() {
    let mut app = app();
    press(&mut app, "/STq");
    assert_eq!(names(&mut app), [""; 0], "a q is a letter there");
    let empty = screen(&mut app, 80, 8).join("\n");
    assert!(empty.contains("No agent has this") && empty.contains("/STq\u{2588}"), "{empty}");
    app.press(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
    assert_eq!(names(&mut app), ["lost"], "stuck");
    press(&mut app, "\n");
    assert!(!app.is_filtering && screen(&mut app, 80, 8).join("\n").contains("/ST "));
    press(&mut app, "\u{1b}");
    assert_eq!(names(&mut app).len(), 4);
    let quit = app.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE));
    assert_eq!(quit, Flow::Quit);
}

#[test]
fn what_is_unknown_is_a_dash_and_what_is_wrong_a_line() {
    let mut app = app();
    let text = screen(&mut app, 100, 9);
    assert!(text[1].contains("4 agents: 1 working, 1 stuck, 1 idle, 1 unknown"), "{text:#?}");
    let row = |name: &str| text.iter().find(|line| line.starts_with(name)).unwrap().clone();
    assert_eq!(
        row("new").split_whitespace().collect::<Vec<_>>(),
        ["new", "\u{2013}", "\u{2013}", "\u{2013}", "\u{2013}", "\u{2013}", "5s"]
    );
    assert!(row("busy").contains("99.0") && row("busy").contains('\u{2584}'), "{text:#?}");
    assert!(row("idle").contains("1k") && row("idle").contains("$1.50"), "{text:#?}");
    app.learn(News::Trouble("no daemon records into /x".into()));
    let text = screen(&mut app, 100, 9);
    assert_eq!(text[2], "no daemon records into /x", "{text:#?}");
    assert!(text.iter().any(|line| line.starts_with("busy")), "what was known stays");
    app.learn(facts(fleet()));
    assert!(!screen(&mut app, 100, 9).iter().any(|line| line.contains("no daemon")));
}

#[test]
fn every_page_draws_at_every_size() {
    let mut app = app();
    for keys in ["", "?", "xp", "f\n", "\u{1b}/zzz\n"] {
        press(&mut app, keys);
        for (width, height) in [(1, 1), (2, 3), (20, 5), (39, 10), (80, 24), (300, 100)] {
            assert_eq!(screen(&mut app, width, height).len(), usize::from(height), "{keys} {width}x{height}");
        }
    }
}

#[test]
fn ages_are_short() {
    for (seconds, expected) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (200_000, "2d"), (-5, "0s")]
    {
        assert_eq!(ago(now().plus_micros(-seconds * 1_000_000), now()), expected);
    }
}
