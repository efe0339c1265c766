//! Limits: each broken one is refused by the name of its field, each kept one is not.

mod support;

use event::limits::{self, COUNT_MAX, NAME_BYTES_MAX, NUMBER_MAX, TEXT_BYTES_MAX, TIME_END, TIME_MIN};
use event::{Event, Kind, Resources, Rule, Text, Time, TokenUsage, Value};
use proptest::prelude::*;
use support::event;

proptest! {
    #![proptest_config(support::config("proptest-regressions/limits.txt"))]

    #[test]
    fn every_event_of_the_strategy_is_valid(event in event()) {
        prop_assert_eq!(limits::check(&event), Ok(()));
    }

    #[test]
    fn every_broken_field_is_refused_by_name(event in event(), broken in broken()) {
        for name in fields_of(event.kind()) {
            let mut event = event.clone();
            if !put(&mut event, name, &broken) {
                continue;
            }
            let invalid = limits::check(&event).unwrap_err();
            prop_assert_eq!(invalid.field, *name, "{}", invalid);
            prop_assert!(!invalid.problem.contains('\n'), "one line: {}", invalid);
        }
    }
}

/// A value that breaks the limit of every field of its type.
#[derive(Clone, Debug)]
enum Broken {
    Time(i64),
    Text(Text),
    Count(u64),
    Number(f64),
}

fn broken() -> impl Strategy<Value = Broken> {
    let time = prop_oneof![
        i64::MIN..TIME_MIN.micros(),
        TIME_END.micros()..=i64::MAX,
        prop::sample::select(vec![i64::MIN, 0, TIME_MIN.micros() - 1, TIME_END.micros(), i64::MAX]),
    ];
    let text = prop_oneof![
        Just(Text::from("a\0b")),
        Just(Text::from("\0")),
        (TEXT_BYTES_MAX + 1..TEXT_BYTES_MAX + 9).prop_map(|bytes| "x".repeat(bytes).into()),
    ];
    let number = prop_oneof![
        prop::num::f64::NEGATIVE | prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL,
        NUMBER_MAX.next_up()..f64::MAX,
        prop::sample::select(vec![
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            -f64::MIN_POSITIVE
        ]),
    ];
    prop_oneof![
        time.prop_map(Broken::Time),
        text.prop_map(Broken::Text),
        (COUNT_MAX + 1..=u64::MAX).prop_map(Broken::Count),
        number.prop_map(Broken::Number),
    ]
}

fn fields_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::AgentSample => &[
            "time",
            "host",
            "agent_name",
            "role",
            "tool",
            "runtime",
            "cpu_percent",
            "mem_used_bytes",
            "mem_limit_bytes",
            "mem_percent",
            "net_rx_bytes",
            "net_tx_bytes",
            "disk_read_bytes",
            "disk_write_bytes",
        ],
        Kind::SystemSample => &[
            "time",
            "host",
            "system_name",
            "cpu_percent",
            "mem_used_bytes",
            "mem_limit_bytes",
            "mem_percent",
            "net_rx_bytes",
            "net_tx_bytes",
            "disk_read_bytes",
            "disk_write_bytes",
        ],
        Kind::ChannelSample => {
            &["time", "host", "channel_name", "message_count", "member_count", "reaction_count"]
        }
        Kind::TokenUsage => &[
            "time",
            "host",
            "agent_name",
            "model",
            "tool",
            "session_id",
            "message_id",
            "input_tokens",
            "output_tokens",
            "cache_read",
            "cache_create",
            "cache_create_1h",
            "reasoning_tokens",
            "cost_usd",
        ],
        Kind::AgentState => &["time", "host", "agent_name", "role", "tool", "runtime", "started_at"],
        Kind::Gap => &["time", "host", "from", "to", "events", "what", "reason"],
    }
}

/// Puts a value into the field of this name, if it is of the value's type.
fn put(event: &mut Event, name: &str, broken: &Broken) -> bool {
    match broken {
        Broken::Time(micros) => put_time(event, name, Time::from_micros(*micros)),
        Broken::Text(text) => put_text(event, name, text),
        Broken::Count(count) => put_count(event, name, *count),
        Broken::Number(number) => put_number(event, name, *number),
    }
}

fn put_time(event: &mut Event, name: &str, time: Time) -> bool {
    let field = match (event, name) {
        (Event::AgentSample(it), "time") => &mut it.time,
        (Event::SystemSample(it), "time") => &mut it.time,
        (Event::ChannelSample(it), "time") => &mut it.time,
        (Event::TokenUsage(it), "time") => &mut it.time,
        (Event::AgentState(it), "time") => &mut it.time,
        (Event::AgentState(it), "started_at") => it.started_at.get_or_insert_default(),
        (Event::Gap(it), "time") => &mut it.time,
        (Event::Gap(it), "from") => &mut it.from,
        (Event::Gap(it), "to") => &mut it.to,
        _ => return false,
    };
    *field = time;
    true
}

fn put_text(event: &mut Event, name: &str, text: &Text) -> bool {
    if name == "host" {
        *host(event) = Some(text.clone());
        return true;
    }
    let field = match (event, name) {
        (Event::AgentSample(it), "agent_name") => &mut it.agent_name,
        (Event::AgentSample(it), "role") => &mut it.role,
        (Event::AgentSample(it), "tool") => &mut it.tool,
        (Event::AgentSample(it), "runtime") => &mut it.runtime,
        (Event::SystemSample(it), "system_name") => &mut it.system_name,
        (Event::ChannelSample(it), "channel_name") => &mut it.channel_name,
        (Event::TokenUsage(it), "agent_name") => &mut it.agent_name,
        (Event::TokenUsage(it), "model") => &mut it.model,
        (Event::TokenUsage(it), "tool") => &mut it.tool,
        (Event::TokenUsage(it), "session_id") => &mut it.session_id,
        (Event::TokenUsage(it), "message_id") => &mut it.message_id,
        (Event::AgentState(it), "agent_name") => &mut it.agent_name,
        (Event::AgentState(it), "role") => &mut it.role,
        (Event::AgentState(it), "tool") => &mut it.tool,
        (Event::AgentState(it), "runtime") => &mut it.runtime,
        (Event::Gap(it), "what") => &mut it.what,
        (Event::Gap(it), "reason") => &mut it.reason,
        _ => return false,
    };
    field.clone_from(text);
    true
}

fn host(event: &mut Event) -> &mut Option<Text> {
    match event {
        Event::AgentSample(it) => &mut it.host,
        Event::SystemSample(it) => &mut it.host,
        Event::ChannelSample(it) => &mut it.host,
        Event::TokenUsage(it) => &mut it.host,
        Event::AgentState(it) => &mut it.host,
        Event::Gap(it) => &mut it.host,
    }
}

fn put_count(event: &mut Event, name: &str, count: u64) -> bool {
    let field = match (event, name) {
        (Event::AgentSample(it), _) => return put_resource(&mut it.resources, name, count),
        (Event::SystemSample(it), _) => return put_resource(&mut it.resources, name, count),
        (Event::ChannelSample(it), "message_count") => &mut it.message_count,
        (Event::ChannelSample(it), "member_count") => it.member_count.get_or_insert_default(),
        (Event::ChannelSample(it), "reaction_count") => &mut it.reaction_count,
        (Event::TokenUsage(it), "input_tokens") => &mut it.input_tokens,
        (Event::TokenUsage(it), "output_tokens") => &mut it.output_tokens,
        (Event::TokenUsage(it), "cache_read") => &mut it.cache_read,
        (Event::TokenUsage(it), "cache_create") => &mut it.cache_create,
        (Event::TokenUsage(it), "cache_create_1h") => &mut it.cache_create_1h,
        (Event::TokenUsage(it), "reasoning_tokens") => &mut it.reasoning_tokens,
        (Event::Gap(it), "events") => &mut it.events,
        _ => return false,
    };
    *field = count;
    true
}

fn put_resource(resources: &mut Resources, name: &str, count: u64) -> bool {
    let field = match name {
        "mem_used_bytes" => &mut resources.mem_used_bytes,
        "mem_limit_bytes" => &mut resources.mem_limit_bytes,
        "net_rx_bytes" => &mut resources.net_rx_bytes,
        "net_tx_bytes" => &mut resources.net_tx_bytes,
        "disk_read_bytes" => &mut resources.disk_read_bytes,
        "disk_write_bytes" => &mut resources.disk_write_bytes,
        _ => return false,
    };
    *field = Some(count);
    true
}

fn put_number(event: &mut Event, name: &str, number: f64) -> bool {
    let field = match (event, name) {
        (Event::AgentSample(it), "cpu_percent") => &mut it.resources.cpu_percent,
        (Event::AgentSample(it), "mem_percent") => &mut it.resources.mem_percent,
        (Event::SystemSample(it), "cpu_percent") => &mut it.resources.cpu_percent,
        (Event::SystemSample(it), "mem_percent") => &mut it.resources.mem_percent,
        (Event::TokenUsage(it), "cost_usd") => &mut it.cost_usd,
        _ => return false,
    };
    *field = Some(number);
    true
}

/// Which fields of the table a value of each type reaches: none is forgotten above.
#[test]
fn every_field_can_be_broken() {
    let each =
        [Broken::Time(0), Broken::Text("\0".into()), Broken::Count(COUNT_MAX + 1), Broken::Number(f64::NAN)];
    for event in support::full() {
        let mut names = Vec::new();
        event.fields(|field| {
            if !matches!(field.rule, Rule::State | Rule::Flag) {
                names.push(field.name);
            }
        });
        assert_eq!(names, fields_of(event.kind()));
        for name in names {
            let broken = each.iter().filter(|broken| put(&mut event.clone(), name, broken)).count();
            assert_eq!(broken, 1, "{} {name}", event.kind());
        }
    }
}

/// At a limit, and one byte behind it.
#[test]
fn texts_have_the_length_of_their_rule() {
    for event in support::full() {
        event.fields(|field| {
            let (Value::Text(_), Some((least, most))) = (field.value, length(field.rule)) else { return };
            let with = |bytes: usize| {
                let mut event = event.clone();
                assert!(put_text(&mut event, field.name, &"x".repeat(bytes).into()));
                limits::check(&event)
            };
            assert_eq!(with(most), Ok(()), "{}", field.name);
            assert_eq!(
                with(most + 1).unwrap_err().problem,
                format!("has {} bytes, the most is {most}", most + 1)
            );
            assert_eq!(with(0).is_ok(), least == 0, "{}", field.name);
        });
    }
}

fn length(rule: Rule) -> Option<(usize, usize)> {
    match rule {
        Rule::Name => Some((1, NAME_BYTES_MAX)),
        Rule::Label => Some((0, NAME_BYTES_MAX)),
        Rule::Text => Some((0, TEXT_BYTES_MAX)),
        _ => None,
    }
}

#[test]
fn the_limits_are_those_of_the_documentation() {
    assert_eq!(TIME_MIN.to_string(), "2000-01-01T00:00:00.000000Z");
    assert_eq!(TIME_END.to_string(), "2200-01-01T00:00:00.000000Z");
    assert_eq!((NAME_BYTES_MAX, TEXT_BYTES_MAX), (255, 4_096));
    assert_eq!(COUNT_MAX, 9_223_372_036_854_775_807);
}

#[test]
fn a_part_is_no_more_than_its_whole() {
    let check = |hour: u64, reasoning: u64| {
        let usage = TokenUsage {
            time: TIME_MIN,
            agent_name: "a".into(),
            model: "m".into(),
            cache_create: 3,
            cache_create_1h: hour,
            output_tokens: 4,
            reasoning_tokens: reasoning,
            ..TokenUsage::default()
        };
        limits::check(&Event::TokenUsage(usage)).map_err(|invalid| invalid.to_string())
    };
    assert_eq!(check(3, 4), Ok(()));
    let hour = "field cache_create_1h: 5 is more than cache_create, of which it is a part: 3";
    assert_eq!(check(5, 9), Err(hour.to_owned()));
    let reasoning = "field reasoning_tokens: 9 is more than output_tokens, of which it is a part: 4";
    assert_eq!(check(0, 9), Err(reasoning.to_owned()));
}
