//! NDJSON: whatever is valid survives a line, and many lines are read one by one.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use event::json::{self, ParseError};
use event::{Event, Kind};
use proptest::prelude::*;
use support::event;

proptest! {
    #![proptest_config(support::config("proptest-regressions/json.txt"))]

    #[test]
    fn an_event_survives_a_line(event in event()) {
        let line = json::to_line(&event);
        prop_assert!(!line.contains('\n'), "{}", line);
        prop_assert_eq!(json::parse_line(line.as_bytes()).unwrap(), event, "{}", line);
    }

    #[test]
    fn lines_come_back_in_their_order(events in prop::collection::vec(event(), 0..8), crlf: bool) {
        let end = if crlf { "\r\n" } else { "\n" };
        let text: String = events.iter().map(|it| json::to_line(it) + end).collect();
        let read: Result<Vec<_>, _> = json::parse_lines(text.as_bytes()).collect();
        prop_assert_eq!(read, Ok(events));
    }

    #[test]
    fn a_cut_line_is_an_error(event in event(), at in any::<prop::sample::Index>()) {
        let line = json::to_line(&event);
        let cut = &line.as_bytes()[..at.index(line.len())];
        prop_assert!(json::parse_line(cut).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        json::parse_lines(&bytes).for_each(drop);
    }

    #[test]
    fn an_absent_field_and_a_null_are_the_same(event in event()) {
        let line = json::to_line(&event);
        let absent = optional(event.kind()).iter().filter(|name| !line.contains(&format!("\"{name}\":")));
        let nulls: String = absent.map(|name| format!(",\"{name}\":null")).collect();
        let with_nulls = format!("{}{nulls}}}", line.strip_suffix('}').unwrap());
        prop_assert_eq!(json::parse_line(with_nulls.as_bytes()).unwrap(), event);
    }
}

fn optional(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::AgentSample | Kind::SystemSample => {
            &["host", "cpu_percent", "mem_percent", "mem_limit_bytes", "net_rx_bytes", "disk_write_bytes"]
        }
        Kind::ChannelSample => &["host", "member_count"],
        Kind::TokenUsage => &["host", "cost_usd"],
        Kind::AgentState => &["host", "started_at"],
        Kind::Gap => &["host"],
    }
}

/// Every field that a kind cannot do without is missed by name.
#[test]
fn required_fields_are_required() {
    let check = |kind: Kind, required: &[&str]| {
        let event = support::full().into_iter().find(|event| event.kind() == kind).unwrap();
        let mut missed = vec!["kind".to_owned()];
        event.fields(|field| {
            let read = json::parse_line(without(&event, field.name).as_bytes());
            // NOTE: without a whole, the part of it is what is wrong.
            if read.is_err_and(|problem| problem.field.as_deref() == Some(field.name)) {
                missed.push(field.name.to_owned());
            }
        });
        assert_eq!(missed, required, "{kind}");
        for name in required {
            let problem = json::parse_line(without(&event, name).as_bytes()).unwrap_err();
            assert_eq!(problem.to_string(), format!("field {name}: is missing"));
        }
    };
    check(Kind::AgentSample, &["kind", "time", "agent_name"]);
    check(Kind::SystemSample, &["kind", "time", "system_name"]);
    check(Kind::ChannelSample, &["kind", "time", "channel_name", "message_count", "reaction_count"]);
    check(Kind::TokenUsage, &["kind", "time", "agent_name", "model", "input_tokens", "output_tokens"]);
    check(Kind::AgentState, &["kind", "time", "agent_name"]);
    check(Kind::Gap, &["kind", "time", "from", "to", "events", "what", "reason"]);
}

fn without(event: &Event, name: &str) -> String {
    let mut object: serde_json::Map<_, _> = serde_json::from_str(&json::to_line(event)).unwrap();
    object.remove(name).unwrap();
    serde_json::to_string(&object).unwrap()
}

#[test]
fn what_is_absent_is_left_out() {
    let [agent_sample, ..] = support::minimal();
    assert_eq!(
        json::to_line(&agent_sample),
        r#"{"kind":"agent_sample","time":"2026-01-02T03:04:05.678901Z","agent_name":"a","role":"","tool":"","runtime":"","state":""}"#
    );
}

#[test]
fn every_bad_line_is_named_and_the_others_are_read() {
    let [good, ..] = support::minimal();
    let good = json::to_line(&good);
    let text = format!("{good}\nx\n\n{good}\n{{}}");
    let bad = |line: Result<_, ParseError>| line.err().map(|error| error.line);
    let lines: Vec<_> = json::parse_lines(text.as_bytes()).map(bad).collect();
    assert_eq!(lines, [None, Some(2), None, Some(5)]);
}

#[test]
fn a_number_comes_back_to_its_last_bit() {
    let line = |number: &str| {
        format!(
            r#"{{"kind":"system_sample","time":"2026-01-02T03:04:05Z","system_name":"s","cpu_percent":{number}}}"#
        )
    };
    for number in ["1.9543733246120206e26", "1e23", "5e-324", "0.1", "9.999999999999999e29", "-0.0"] {
        let event = json::parse_line(line(number).as_bytes()).unwrap();
        let Event::SystemSample(sample) = &event else { panic!("wrong kind") };
        let expected: f64 = number.parse().unwrap();
        assert_eq!(sample.resources.cpu_percent.unwrap().to_bits(), expected.to_bits(), "{number}");
        assert_eq!(json::parse_line(json::to_line(&event).as_bytes()).unwrap(), event, "{number}");
    }
}
