//! Events for the tests: a strategy for valid ones of every kind, with the values at the edges among them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::PathBuf;

use event::limits::{COUNT_MAX, NAME_BYTES_MAX, NUMBER_MAX, TEXT_BYTES_MAX, TIME_END, TIME_MIN};
use event::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Resources, State, SystemSample, Text, Time,
    TokenUsage,
};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// 2026-01-02T03:04:05.678901Z, the time of every example.
pub const TIME: Time = Time::from_micros(1_767_323_045_678_901);

/// How the property tests run: what failed once is kept in `proptest-regressions` and tried first.
pub fn config(file: &'static str) -> ProptestConfig {
    let persistence = FileFailurePersistence::Direct(file);
    ProptestConfig {
        cases: 1_024,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

/// A file of the repository, by its path from the root.
pub fn repository(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", path].iter().collect()
}

/// Any valid event.
///
/// NOTE: the parts are boxed, since the whole as one type overflows a test thread's stack in debug builds.
pub fn event() -> BoxedStrategy<Event> {
    prop_oneof![
        agent_sample().prop_map(Event::AgentSample).boxed(),
        system_sample().prop_map(Event::SystemSample).boxed(),
        channel_sample().prop_map(Event::ChannelSample).boxed(),
        token_usage().prop_map(Event::TokenUsage).boxed(),
        agent_state().prop_map(Event::AgentState).boxed(),
        gap().prop_map(Event::Gap).boxed(),
    ]
    .boxed()
}

pub fn time() -> BoxedStrategy<Time> {
    let last = TIME_END.micros() - 1;
    prop_oneof![
        1 => Just(TIME_MIN),
        1 => Just(Time::from_micros(last)),
        // NOTE: whole seconds and milliseconds, whose text ends in zeros.
        1 => (TIME_MIN.micros() / 1_000_000..last / 1_000_000).prop_map(|it| Time::from_micros(it * 1_000_000)),
        1 => (TIME_MIN.micros() / 1_000..last / 1_000).prop_map(|it| Time::from_micros(it * 1_000)),
        4 => (TIME_MIN.micros()..=last).prop_map(Time::from_micros),
    ]
    .boxed()
}

pub fn count() -> BoxedStrategy<u64> {
    // NOTE: the edges of MessagePack's integer sizes and of what a double holds exactly.
    let edges =
        [0, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, (1 << 53) + 1, COUNT_MAX];
    prop_oneof![prop::sample::select(edges.to_vec()), 0..=COUNT_MAX, 0_u64..1_000].boxed()
}

pub fn number() -> BoxedStrategy<f64> {
    let edges = [0.0, -0.0, f64::MIN_POSITIVE, f64::from_bits(1), NUMBER_MAX, f64::EPSILON, 0.1, 1e23, 100.0];
    let any =
        prop::num::f64::POSITIVE | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL | prop::num::f64::NORMAL;
    let any = any.prop_map(|number| number.min(NUMBER_MAX));
    prop_oneof![
        1 => prop::sample::select(edges.to_vec()),
        2 => any,
        2 => 0.0..1e4_f64,
    ]
    .boxed()
}

/// Text of `least` to `most` bytes without NUL: words, any characters, and the longest there can be.
fn bounded(least: usize, most: usize) -> BoxedStrategy<Text> {
    prop_oneof![
        4 => "[a-z][a-z0-9_./-]{0,30}".prop_map(Text::from),
        4 => prop::collection::vec(character(), least..24).prop_map(|it| it.into_iter().collect()),
        1 => character().prop_map(move |it| filled(it, most)),
    ]
    .boxed()
}

fn character() -> impl Strategy<Value = char> {
    let special =
        ['\u{1}', '\t', '\n', '"', '\\', '/', ' ', '\u{7f}', '\u{2028}', 'ß', '日', '\u{ffff}', '🦀'];
    prop_oneof![prop::sample::select(special.to_vec()), any::<char>()].prop_filter("no NUL", |it| *it != '\0')
}

/// Exactly `bytes` bytes of `it`, and of `x` where it does not divide them.
fn filled(it: char, bytes: usize) -> Text {
    let times = bytes / it.len_utf8();
    let rest = bytes % it.len_utf8();
    std::iter::repeat_n(it, times).chain(std::iter::repeat_n('x', rest)).collect()
}

pub fn name() -> BoxedStrategy<Text> {
    bounded(1, NAME_BYTES_MAX)
}

pub fn label() -> BoxedStrategy<Text> {
    prop_oneof![1 => Just(Text::default()), 3 => bounded(0, NAME_BYTES_MAX)].boxed()
}

pub fn text() -> BoxedStrategy<Text> {
    prop_oneof![1 => Just(Text::default()), 3 => bounded(0, TEXT_BYTES_MAX)].boxed()
}

pub fn state() -> BoxedStrategy<State> {
    prop::sample::select(State::ALL.to_vec()).boxed()
}

prop_compose! {
    pub fn resources()(
        (cpu_percent, mem_percent) in (option::of(number()), option::of(number())),
        (mem_used_bytes, mem_limit_bytes) in (option::of(count()), option::of(count())),
        (net_rx_bytes, net_tx_bytes) in (option::of(count()), option::of(count())),
        (disk_read_bytes, disk_write_bytes) in (option::of(count()), option::of(count())),
    ) -> Resources {
        Resources {
            cpu_percent,
            mem_used_bytes,
            mem_limit_bytes,
            mem_percent,
            net_rx_bytes,
            net_tx_bytes,
            disk_read_bytes,
            disk_write_bytes,
        }
    }
}

prop_compose! {
    pub fn agent_sample()(
        (time, host, agent_name) in (time(), option::of(name()), name()),
        (role, tool, runtime, state) in (text(), text(), text(), state()),
        resources in resources(),
    ) -> AgentSample {
        AgentSample { time, host, agent_name, role, tool, runtime, state, resources }
    }
}

prop_compose! {
    pub fn system_sample()(
        (time, host, system_name, resources) in (time(), option::of(name()), name(), resources()),
    ) -> SystemSample {
        SystemSample { time, host, system_name, resources }
    }
}

prop_compose! {
    pub fn channel_sample()(
        (time, host, channel_name) in (time(), option::of(name()), name()),
        (message_count, member_count, reaction_count) in (count(), option::of(count()), count()),
    ) -> ChannelSample {
        ChannelSample { time, host, channel_name, message_count, member_count, reaction_count }
    }
}

prop_compose! {
    pub fn token_usage()(
        (time, host, agent_name, model) in (time(), option::of(name()), name(), name()),
        (tool, session_id, message_id) in (text(), text(), label()),
        (input_tokens, output_tokens, cache_read) in (count(), count(), count()),
        (cache_create, cache_create_1h, reasoning_tokens) in (count(), count(), count()),
        (cost_usd, r#final) in (option::of(number()), any::<bool>()),
    ) -> TokenUsage {
        TokenUsage {
            time,
            host,
            agent_name,
            model,
            tool,
            session_id,
            message_id,
            input_tokens,
            output_tokens,
            cache_read,
            cache_create,
            cache_create_1h: cache_create_1h.min(cache_create),
            reasoning_tokens: reasoning_tokens.min(output_tokens),
            cost_usd,
            r#final,
        }
    }
}

prop_compose! {
    pub fn agent_state()(
        (time, host, agent_name) in (time(), option::of(name()), name()),
        (role, tool, runtime, state) in (text(), text(), text(), state()),
        started_at in option::of(time()),
    ) -> AgentState {
        AgentState { time, host, agent_name, role, tool, runtime, state, started_at }
    }
}

prop_compose! {
    pub fn gap()(
        (time, host, from, to) in (time(), option::of(name()), time(), time()),
        (events, what, reason) in (count(), name(), text()),
    ) -> Gap {
        Gap { time, host, from, to, events, what, reason }
    }
}

/// One event of each kind with nothing but what it must have.
pub fn minimal() -> [Event; 6] {
    let agent_name = Text::from("a");
    [
        Event::AgentSample(AgentSample {
            time: TIME,
            agent_name: agent_name.clone(),
            ..AgentSample::default()
        }),
        Event::SystemSample(SystemSample { time: TIME, system_name: "s".into(), ..SystemSample::default() }),
        Event::ChannelSample(ChannelSample {
            time: TIME,
            channel_name: "c".into(),
            ..ChannelSample::default()
        }),
        Event::TokenUsage(TokenUsage {
            time: TIME,
            agent_name: agent_name.clone(),
            model: "m".into(),
            ..TokenUsage::default()
        }),
        Event::AgentState(AgentState { time: TIME, agent_name, ..AgentState::default() }),
        Event::Gap(Gap { time: TIME, from: TIME, to: TIME, what: "w".into(), ..Gap::default() }),
    ]
}

fn full_resources() -> Resources {
    Resources {
        cpu_percent: Some(187.5),
        mem_used_bytes: Some(734_003_200),
        mem_limit_bytes: Some(8_589_934_592),
        mem_percent: Some(8.544_921_875),
        net_rx_bytes: Some(1_048_577),
        net_tx_bytes: Some(65_535),
        disk_read_bytes: Some(0),
        disk_write_bytes: Some(COUNT_MAX),
    }
}

/// One event of each kind with every field.
pub fn full() -> [Event; 6] {
    let host = Some(Text::from("edge-7"));
    let agent_name = Text::from("wörker-1");
    [
        Event::AgentSample(AgentSample {
            time: TIME,
            host: host.clone(),
            agent_name: agent_name.clone(),
            role: "worker".into(),
            tool: "claude".into(),
            runtime: "tmux".into(),
            state: State::Working,
            resources: full_resources(),
        }),
        Event::SystemSample(SystemSample {
            time: TIME,
            host: host.clone(),
            system_name: "edge-7".into(),
            resources: full_resources(),
        }),
        Event::ChannelSample(ChannelSample {
            time: TIME,
            host: host.clone(),
            channel_name: "#build 🦀".into(),
            message_count: 300,
            member_count: Some(12),
            reaction_count: 4,
        }),
        Event::TokenUsage(full_usage(host.clone(), agent_name.clone())),
        Event::AgentState(AgentState {
            time: TIME,
            host: host.clone(),
            agent_name,
            role: "coordinator".into(),
            tool: "codex".into(),
            runtime: "docker".into(),
            state: State::Stuck,
            started_at: Some(TIME.plus_micros(-3_600_000_000)),
        }),
        Event::Gap(Gap {
            time: TIME,
            host,
            from: TIME.plus_micros(-60_000_000),
            to: TIME.plus_micros(-1),
            events: 120,
            what: "tmux".into(),
            reason: "clock_step".into(),
        }),
    ]
}

fn full_usage(host: Option<Text>, agent_name: Text) -> TokenUsage {
    TokenUsage {
        time: TIME,
        host,
        agent_name,
        model: "claude-sonnet-4-5".into(),
        tool: "claude".into(),
        session_id: "0f2a7c1e-4a86-4f0f-9b0e-3d6a5b1c2d3e".into(),
        message_id: "msg_01XFDUDYJgAACzvnptvVoYEL".into(),
        input_tokens: 12,
        output_tokens: 1_840,
        cache_read: 104_233,
        cache_create: 5_120,
        cache_create_1h: 1_024,
        reasoning_tokens: 600,
        cost_usd: Some(0.081_234),
        r#final: true,
    }
}
