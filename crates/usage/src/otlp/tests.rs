//! Records as both tools write them, and what becomes of them.

use super::*;

const TIME: u64 = 1_767_323_045_678_901_234;

const CLAUDE: &[Attribute<'static>] = &[
    ("event.name", Value::Text("api_request")),
    ("event.sequence", Value::Whole(7)),
    ("session.id", Value::Text("s1")),
    ("model", Value::Text("claude-sonnet-4-5")),
    ("input_tokens", Value::Whole(10)),
    ("output_tokens", Value::Whole(20)),
    ("cache_read_tokens", Value::Whole(300)),
    ("cache_creation_tokens", Value::Whole(40)),
    ("cost_usd", Value::Number(0.25)),
    ("duration_ms", Value::Whole(1_200)),
    ("prompt.id", Value::Text("p1")),
];

const CODEX: &[Attribute<'static>] = &[
    ("event.name", Value::Text("codex.sse_event")),
    ("event.kind", Value::Text("response.completed")),
    ("conversation.id", Value::Text("c1")),
    ("model", Value::Text("gpt-5-codex")),
    ("input_token_count", Value::Whole(1_000)),
    ("cached_token_count", Value::Whole(900)),
    ("output_token_count", Value::Whole(50)),
    ("reasoning_token_count", Value::Whole(30)),
];

const RESOURCE: &[Attribute<'static>] =
    &[("service.name", Value::Text("claude-code")), ("tailwater.agent", Value::Text("zen"))];

fn record<'a>(body: &'a str, attributes: &'a [Attribute<'a>]) -> Record<'a> {
    Record { body, time_unix_nano: TIME, attributes, resource: RESOURCE, ..Record::default() }
}

/// The attributes with one of them another.
fn with<'a>(attributes: &[Attribute<'a>], name: &'a str, value: Value<'a>) -> Vec<Attribute<'a>> {
    let others = attributes.iter().filter(|(key, _)| *key != name).copied();
    others.chain([(name, value)]).collect()
}

fn read(body: &str, attributes: &[Attribute<'_>]) -> TokenUsage {
    usage(&record(body, attributes)).unwrap().expect("a call")
}

#[test]
fn claude_codes_counts_are_disjoint_already() {
    let told = read(CLAUDE_CALL, CLAUDE);
    assert!(told.message_id.starts_with("otlp-7-"), "{}", told.message_id);
    let expected = TokenUsage {
        time: Time::from_micros(1_767_323_045_678_901),
        host: None,
        agent_name: "zen".into(),
        model: "claude-sonnet-4-5".into(),
        tool: "claude".into(),
        session_id: "s1".into(),
        message_id: told.message_id.clone(),
        input_tokens: 10,
        output_tokens: 20,
        cache_read: 300,
        cache_create: 40,
        cache_create_1h: 0,
        reasoning_tokens: 0,
        cost_usd: Some(0.25),
        r#final: true,
    };
    assert_eq!(told, expected);
}

#[test]
fn codexs_input_includes_its_cache() {
    let told = read("", CODEX);
    assert_eq!((told.input_tokens, told.cache_read), (100, 900));
    assert_eq!((told.output_tokens, told.reasoning_tokens), (50, 30));
    assert_eq!((told.tool.as_str(), told.session_id.as_str(), told.r#final), ("codex", "c1", true));
    assert!(told.message_id.starts_with("otlp-"), "{}", told.message_id);
    let odd = with(CODEX, "cached_token_count", Value::Whole(2_000));
    assert_eq!(read("", &odd).input_tokens, 0, "more cached than there was is no huge number");
}

#[test]
fn numbers_come_in_three_shapes() {
    let texts: Vec<Attribute<'_>> = CLAUDE
        .iter()
        .map(|(name, value)| match *name {
            "input_tokens" => (*name, Value::Text("10")),
            "output_tokens" => (*name, Value::Number(20.0)),
            "cache_read_tokens" => (*name, Value::Text("300.0")),
            "event.sequence" => (*name, Value::Text("7")),
            "cost_usd" => (*name, Value::Text("0.25")),
            _ => (*name, *value),
        })
        .collect();
    assert_eq!(read(CLAUDE_CALL, &texts), read(CLAUDE_CALL, CLAUDE), "the id as well");
}

#[test]
fn the_name_is_found_wherever_it_is_written() {
    let named = [("event.name", Value::Text("claude_code.api_request"))];
    let short = [("event.name", Value::Text("api_request"))];
    let check = |it: Record<'_>, is_call: bool| assert_eq!(usage(&it) != Ok(None), is_call, "{it:?}");
    check(record(CLAUDE_CALL, &[]), true);
    check(record("", &named), true);
    check(record("", &short), true);
    check(Record { event_name: CLAUDE_CALL, ..Record::default() }, true);
    check(Record { attributes: &short, ..Record::default() }, false);
    for other in ["claude_code.user_prompt", "claude_code.tool_result", "claude_code.api_error", "hello", ""]
    {
        check(record(other, &[]), false);
    }
    let created = with(CODEX, "event.kind", Value::Text("response.created"));
    check(record("", &created), false);
}

#[test]
fn an_id_is_the_same_record_and_no_other() {
    let own = read(CLAUDE_CALL, CLAUDE);
    assert_eq!(read(CLAUDE_CALL, CLAUDE).message_id, own.message_id);
    let mut later = record(CLAUDE_CALL, CLAUDE);
    later.time_unix_nano += 1_000_000;
    let later = usage(&later).unwrap().expect("a call");
    assert_ne!(later.message_id, own.message_id, "a process that goes on with the session counts anew");
    let unnumbered: Vec<_> = CLAUDE.iter().filter(|(name, _)| *name != "event.sequence").copied().collect();
    let first = read(CLAUDE_CALL, &unnumbered);
    assert_eq!(read(CLAUDE_CALL, &unnumbered).message_id, first.message_id);
    let other = with(&unnumbered, "output_tokens", Value::Whole(21));
    assert_ne!(read(CLAUDE_CALL, &other).message_id, first.message_id);
    let session = with(CLAUDE, "session.id", Value::Text("s2"));
    assert_ne!(read(CLAUDE_CALL, &session).message_id, own.message_id);
}

#[test]
fn the_agent_is_who_the_process_was_told_to_be() {
    let check = |resource: &[Attribute<'_>], name: &str| {
        let told = usage(&Record { resource, ..record(CLAUDE_CALL, CLAUDE) }).unwrap().expect("a call");
        assert_eq!(told.agent_name, name);
    };
    let service = ("service.name", Value::Text("claude-code"));
    check(&[service, ("agent.name", Value::Text("a")), ("tailwater.agent", Value::Text("t"))], "t");
    check(&[service, ("agent.name", Value::Text("a"))], "a");
    check(&[service, ("tailwater.agent", Value::Text(""))], "claude-code");
    check(&[], "claude");
}

#[test]
fn the_time_is_the_records_own_then_what_it_says_then_when_it_was_seen() {
    let said = with(CLAUDE, "event.timestamp", Value::Text("2026-02-03T04:05:06.789Z"));
    let check = |own: u64, attributes: &[Attribute<'_>], observed: u64, time: &str| {
        let record = Record {
            time_unix_nano: own,
            observed_time_unix_nano: observed,
            ..record(CLAUDE_CALL, attributes)
        };
        assert_eq!(usage(&record).unwrap().expect("a call").time.to_string(), time);
    };
    check(TIME, &said, TIME + 5_000, "2026-01-02T03:04:05.678901Z");
    check(0, &said, TIME, "2026-02-03T04:05:06.789000Z");
    check(0, CLAUDE, TIME, "2026-01-02T03:04:05.678901Z");
}

#[test]
fn what_makes_no_sense_is_named_and_not_shown() {
    let check = |name: &'static str, value: Value<'_>, field: &str| {
        let attributes = with(CLAUDE, name, value);
        let malformed = usage(&record(CLAUDE_CALL, &attributes)).unwrap_err();
        assert_eq!(malformed.field, field);
        let text = malformed.to_string();
        assert!(text.starts_with("claude_code.api_request: ") && !text.contains("sekret"), "{text}");
    };
    check("input_tokens", Value::Text("sekret"), "input_tokens");
    check("input_tokens", Value::Whole(-1), "input_tokens");
    check("output_tokens", Value::Number(1.5), "output_tokens");
    check("output_tokens", Value::Number(f64::NAN), "output_tokens");
    check("cache_read_tokens", Value::Other, "cache_read_tokens");
    check("model", Value::Text(""), "model");
    check("model", Value::Text("sekret\0"), "model");
    check("cache_creation_tokens", Value::Text("18446744073709551615"), "cache_create");
    let nothing = usage(&record(CLAUDE_CALL, &[])).unwrap_err();
    assert_eq!(nothing.problem, "is missing");
    let timeless = usage(&Record { time_unix_nano: 0, ..record(CLAUDE_CALL, CLAUDE) }).unwrap_err();
    assert_eq!(timeless.field, "time");
    for cost in [Value::Number(-1.0), Value::Text("much"), Value::Number(f64::INFINITY)] {
        assert_eq!(read(CLAUDE_CALL, &with(CLAUDE, "cost_usd", cost)).cost_usd, None, "{cost:?}");
    }
}
