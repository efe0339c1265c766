//! Bad lines, one by one: each error names the field and says what it must be.

use super::*;

const BASE: &str = r#""kind":"agent_sample","time":"2026-01-02T03:04:05.678901Z","agent_name":"a""#;

fn check(line: &str, field: Option<&str>, says: &str) {
    let problem = parse_line(line.as_bytes()).unwrap_err();
    assert_eq!(problem.field.as_deref(), field, "{line} -> {problem}");
    assert!(problem.message.contains(says), "{line} -> {problem}");
    assert!(!problem.to_string().contains('\n'), "one line: {problem}");
}

#[test]
fn a_minimal_line_is_an_event() {
    let event = parse_line(format!("{{{BASE}}}").as_bytes()).unwrap();
    let Event::AgentSample(sample) = event else { panic!("wrong kind") };
    assert_eq!(sample.agent_name, "a");
    assert_eq!(sample.resources.cpu_percent, None);
}

#[test]
fn null_is_absent() {
    let line = format!("{{{BASE},\"cpu_percent\":null,\"host\":null,\"role\":null}}");
    assert_eq!(parse_line(line.as_bytes()), parse_line(format!("{{{BASE}}}").as_bytes()));
}

#[test]
fn each_bad_field_is_named() {
    check(r#"{"kind":"agent_sampel","time":"2026-01-02T03:04:05Z"}"#, Some("kind"), "is not one of");
    check(r#"{"time":"2026-01-02T03:04:05Z","agent_name":"a"}"#, Some("kind"), "is missing");
    check(r#"{"kind":"agent_sample","time":"2026-01-02T03:04:05Z"}"#, Some("agent_name"), "is missing");
    check(r#"{"kind":"agent_sample","agent_name":"a"}"#, Some("time"), "is missing");
    let with = |field: &str| format!("{{{BASE},{field}}}");
    check(&with(r#""colour":1"#), Some("colour"), "unknown field of agent_sample");
    check(&with(r#""mem_used_bytes":"12""#), Some("mem_used_bytes"), "must be a whole number, not text");
    check(&with(r#""mem_used_bytes":1.5"#), Some("mem_used_bytes"), "not a whole number");
    check(&with(r#""mem_used_bytes":-5"#), Some("mem_used_bytes"), "not a whole number from 0");
    check(&with(r#""mem_used_bytes":9223372036854775808"#), Some("mem_used_bytes"), "to 9223372036854775807");
    check(&with(r#""cpu_percent":-0.5"#), Some("cpu_percent"), "-0.5 is not a number from 0 to 1e30");
    check(&with(r#""cpu_percent":1e31"#), Some("cpu_percent"), "1e31 is not a number from 0 to 1e30");
    check(&with(r#""cpu_percent":NaN"#), Some("cpu_percent"), "not a JSON object");
    check(&with(r#""cpu_percent":1e999"#), Some("cpu_percent"), "out of range");
    check(&with(r#""role":"a\u0000b""#), Some("role"), "NUL");
    check(&with(r#""state":"asleep""#), Some("state"), "is not one of");
    check(&with(r#""role":{}"#), Some("role"), "not an object");
    check(&with(r#""role":"a","role":"b""#), Some("role"), "twice");
    check(&with(r#""host":"""#), Some("host"), "must not be empty");
    check(&with(&format!(r#""host":"{}""#, "h".repeat(256))), Some("host"), "the most is 255");
    check(&with(&format!(r#""role":"{}""#, "r".repeat(4097))), Some("role"), "the most is 4096");
}

#[test]
fn times_out_of_range_are_named() {
    let at = |time: &str| format!(r#"{{"kind":"agent_sample","time":"{time}","agent_name":"a"}}"#);
    check(&at("300000-01-01T00:00:00Z"), Some("time"), "is not an RFC 3339 time");
    check(&at("1999-12-31T23:59:59Z"), Some("time"), "is not from 2000-01-01");
    check(&at("2200-01-01T00:00:00Z"), Some("time"), "to before 2200-01-01");
    check(&at("now"), Some("time"), "is not an RFC 3339 time");
}

#[test]
fn lines_that_are_no_object_are_refused() {
    check("[1]", None, "expected an object");
    check("nonsense", None, "not a JSON object");
    check(r#"{"kind":"agent_sample""#, None, "EOF");
    check(r#"{"kind":"agent_sample","time":"2026-"#, Some("time"), "EOF");
    check(r#"{"kind":"gap"} {}"#, None, "trailing");
    let long = vec![b' '; LINE_BYTES_MAX + 1];
    assert!(parse_line(&long).unwrap_err().message.contains("the most is 1048576"));
}

#[test]
fn a_line_that_cannot_be_read_to_its_end_still_names_the_field() {
    let problem = parse_line(b"{\"kind\":\"gap\",\"what\":\"\xff\"}").unwrap_err();
    assert_eq!(problem.to_string(), "field what: the line is not UTF-8 from byte 23 on");
    let long = format!("{{{BASE},\"role\":\"{}\"}}", "é".repeat(LINE_BYTES_MAX));
    let problem = parse_line(long.as_bytes()).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("role"));
}

#[test]
fn lines_count_from_one_and_empty_ones_count() {
    let text = format!("\n{{{BASE}}}\r\n\n{{}}\n{{{BASE}}}");
    let (events, errors): (Vec<_>, Vec<_>) = parse_lines(text.as_bytes()).partition(Result::is_ok);
    assert_eq!(events.len(), 2);
    let errors: Vec<String> = errors.into_iter().map(|error| error.unwrap_err().to_string()).collect();
    assert_eq!(errors, ["line 4: field kind: is missing"]);
}

#[test]
fn foreign_text_in_an_error_is_one_short_line() {
    let check = |member: &str, shows: &str| {
        let problem = parse_line(format!("{{{BASE},{member}}}").as_bytes()).unwrap_err().to_string();
        assert!(problem.starts_with(shows), "{problem}");
        assert!(problem.chars().count() < 200 && !problem.contains(char::is_control), "{problem}");
    };
    check(r#""a\nb\u001b[2J":1"#, r"field a\nb\u{1b}[2J: unknown field");
    check(r#""state":"a\nb""#, r#"field state: "a\nb" is not one of"#);
    check(&format!("\"{}\":1", "x".repeat(9_999)), &format!("field {}…: unknown field", "x".repeat(100)));
    check(&format!("\"state\":\"{}\"", "ß".repeat(9_999)), "field state: \"ßß");
}
