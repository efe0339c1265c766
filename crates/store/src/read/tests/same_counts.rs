//! The same for what is counted: channels, calls, states and gaps at random, with keys that repeat.

use std::collections::BTreeMap;

use event::{AgentState, ChannelSample, Gap, State, Text, TokenUsage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use query::fold::{AgentStatesFold, AgentSummaryFold, ChannelSeriesFold, GapsFold, TokenSeriesFold};
use query::{ChannelFilter, Days, Limit};

use super::same_answers::{HOSTS, NAMES, assert_same, host, names, time};
use super::*;

const MODELS: [&str; 3] = ["m", "M2", "\u{e4}"];
const TOOLS: [&str; 3] = ["", "claude", "codex"];
const CASES: u32 = 60;

#[derive(Clone, Debug)]
struct Case {
    channels: Vec<ChannelSample>,
    calls: Vec<TokenUsage>,
    states: Vec<AgentState>,
    gaps: Vec<Gap>,
    range: (i64, i64),
    names: [Names; 4],
    limit: u32,
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..50, 2 => 0_u64..1 << 40, 1 => Just(i64::MAX as u64)]
}

fn channel() -> impl Strategy<Value = ChannelSample> {
    (time(), host(), select(&NAMES[..]), count(), option::of(count()), count()).prop_map(
        |(time, host, name, message_count, member_count, reaction_count)| ChannelSample {
            time,
            host,
            channel_name: name.into(),
            message_count,
            member_count,
            reaction_count,
        },
    )
}

fn call() -> impl Strategy<Value = TokenUsage> {
    let who = (select(&NAMES[..]), select(&MODELS[..]), select(&TOOLS[..]), select(&["", "m1", "m2"][..]));
    let cost = option::weighted(0.5, 0.0..9.0);
    (time(), host(), who, [count(), count(), count(), count()], cost, any::<bool>()).prop_map(
        |(time, host, (agent, model, tool, message), counts, cost_usd, is_final)| {
            let [input_tokens, output_tokens, cache_read, cache_create] = counts;
            TokenUsage {
                time,
                host,
                agent_name: agent.into(),
                model: model.into(),
                tool: tool.into(),
                message_id: message.into(),
                input_tokens,
                output_tokens,
                cache_read,
                cache_create,
                cost_usd,
                r#final: is_final,
                ..TokenUsage::default()
            }
        },
    )
}

fn state() -> impl Strategy<Value = AgentState> {
    (time(), host(), select(&NAMES[..]), select(&State::ALL[..]), option::of(time())).prop_map(
        |(time, host, agent, state, started_at)| AgentState {
            time,
            host,
            agent_name: agent.into(),
            state,
            started_at,
            ..AgentState::default()
        },
    )
}

fn gap() -> impl Strategy<Value = Gap> {
    (time(), host(), select(&NAMES[..]), count(), time()).prop_map(|(time, host, what, events, from)| Gap {
        time,
        host,
        from,
        to: time,
        events,
        what: what.into(),
        reason: "full".into(),
    })
}

fn case() -> impl Strategy<Value = Case> {
    let range = (-300_i64..600, 1_i64..1_500).prop_map(|(from, length)| (from, from + length));
    let names = (names(&NAMES), names(&HOSTS), names(&MODELS), names(&TOOLS));
    let events = (vec(channel(), 0..40), vec(call(), 0..60), vec(state(), 0..40), vec(gap(), 0..30));
    (events, range, names, 1_u32..40).prop_map(|((channels, calls, states, gaps), range, names, limit)| {
        let (agents, hosts, models, tools) = names;
        Case { channels, calls, states, gaps, range, names: [agents, hosts, models, tools], limit }
    })
}

fn at_host(host: Option<&Text>) -> String {
    quoted(host.map_or("own", Text::as_str))
}

/// Writes the events as the projection does: the first of a key, and of calls the largest.
async fn insert_all(database: &TestDatabase, case: &Case) {
    let channels = case.channels.iter().enumerate().map(|(index, it)| {
        let (name, host, members) =
            (quoted(&it.channel_name), at_host(it.host.as_ref()), number(it.member_count));
        let counts = format!("{}, {members}, {}", it.message_count, it.reaction_count);
        format!("('{}', {name}, {counts}, {host}, 1, {})", it.time, index + 1)
    });
    insert(database, "channel_metrics", channels.collect()).await;
    let mut largest: BTreeMap<_, &TokenUsage> = BTreeMap::new();
    for call in &case.calls {
        let key = (&call.agent_name, at_host(call.host.as_ref()), &call.model, call.time, &call.message_id);
        let kept = largest.entry(key).or_insert(call);
        if call.rank() > kept.rank() {
            *kept = call;
        }
    }
    let calls = largest.values().enumerate().map(|(index, it)| {
        let names = [&it.agent_name, &it.model].map(|name| quoted(name)).join(", ");
        let counts = [it.input_tokens, it.output_tokens, it.cache_read, it.cache_create];
        let counts = counts.map(|count| count.to_string()).join(", ");
        let (cost, tool, message) = (number(it.cost_usd), quoted(&it.tool), quoted(&it.message_id));
        let rest = format!("{cost}, {tool}, '', {message}, 0, 0, {}", it.r#final);
        format!("('{}', {names}, {counts}, {rest}, {}, 1, {})", it.time, at_host(it.host.as_ref()), index + 1)
    });
    insert(database, "token_metrics", calls.collect()).await;
    let states = case.states.iter().enumerate().map(|(index, it)| {
        let texts = [it.agent_name.as_str(), &it.role, &it.tool, &it.runtime, it.state.as_str()].map(quoted);
        let started = it.started_at.map_or_else(|| "NULL".to_owned(), |time| format!("'{time}'"));
        let host = at_host(it.host.as_ref());
        format!("('{}', {}, {started}::timestamptz, {host}, 1, {})", it.time, texts.join(", "), index + 1)
    });
    insert(database, "agent_states", states.collect()).await;
    let gaps = case.gaps.iter().enumerate().map(|(index, it)| {
        let texts = [it.what.as_str(), &it.reason].map(quoted).join(", ");
        let times = format!("'{}', '{}', '{}'", it.time, it.from, it.to);
        format!("({times}, {}, {texts}, {}, 1, {})", it.events, at_host(it.host.as_ref()), index + 1)
    });
    insert(database, "gaps", gaps.collect()).await;
}

async fn check(database: &TestDatabase, reader: &TimescaleReader, case: &Case) {
    let tables = ["channel_metrics", "token_metrics", "agent_states", "gaps"];
    let cleared = tables.map(|table| format!("DELETE FROM {table}")).join("; ");
    database.client().await.batch_execute(&cleared).await.unwrap();
    insert_all(database, case).await;
    let range = range(case.range.0, case.range.1);
    let buckets = Buckets::new(range, Interval::parse(Some("7m")).unwrap()).unwrap();
    let [agents, hosts, models, tools] = case.names.clone();

    let filter = ChannelFilter { channel_name: agents.clone(), host: hosts.clone() };
    let request = ChannelSeries { buckets, filter };
    let mut fold = ChannelSeriesFold::new(&request, "own");
    case.channels.iter().for_each(|sample| fold.push(sample));
    assert_same("channels", &reader.channel_series(&request).await.unwrap(), &fold.finish());

    let filter = TokenFilter { agent_name: agents.clone(), model: models, host: hosts.clone(), tool: tools };
    let days = Cut::Days(Days::new(range, "Asia/Kathmandu").unwrap());
    for (cut, by) in [(Cut::Buckets(buckets), Groups::ALL), (days, Groups::of(&[GroupKey::Host]))] {
        let request = TokenSeries { cut, by, filter: filter.clone() };
        let mut fold = TokenSeriesFold::new(&request, "own", &|_, _| None);
        case.calls.iter().for_each(|call| fold.push(call));
        assert_same("tokens", &reader.token_series(&request).await.unwrap(), &fold.finish());
    }

    let limit = Limit::parse(Some(&case.limit.to_string())).unwrap();
    let filter = AgentFilter { agent_name: agents, host: hosts.clone(), ..AgentFilter::default() };
    let request = AgentStates { range, filter, limit };
    let mut fold = AgentStatesFold::new(&request, "own");
    case.states.iter().for_each(|said| fold.push(said));
    assert_same("states", &reader.agent_states(&request).await.unwrap(), &fold.finish());

    let request = Gaps { range, host: hosts, limit };
    let mut fold = GapsFold::new(&request, "own");
    case.gaps.iter().for_each(|gap| fold.push(gap));
    assert_same("gaps", &reader.gaps(&request).await.unwrap(), &fold.finish());

    for name in NAMES {
        let mut fold = AgentSummaryFold::new(name, range, "own", &|_, _| None);
        case.calls.iter().for_each(|call| fold.push_usage(call));
        let (got, expected) = (reader.agent_summary(name, range).await.unwrap(), fold.finish());
        assert_same("summary", got.as_slice(), expected.as_slice());
        let models = |summary: &Option<AgentSummary>| {
            let models = summary.iter().flat_map(|summary| &summary.models);
            models.map(|it| (it.model.clone(), it.input_tokens, it.output_tokens)).collect::<Vec<_>>()
        };
        assert_eq!(models(&got), models(&expected));
    }
}

fn check_all(edition: TestEdition, extension: Extension) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(database) = runtime.block_on(migrated_in(edition, extension)) else { return };
    let reader = runtime.block_on(async { reader(database.url()) });
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&case(), |case| {
        runtime.block_on(check(&database, &reader, &case));
        Ok(())
    });
    if let Err(TestError::Fail(reason, case)) = outcome {
        panic!("{edition:?}: {reason}\n{case:#?}");
    }
    runtime.block_on(async {
        reader.close().await;
        database.drop().await;
    });
}

#[test]
fn timescale_counts_as_the_fold_does() {
    check_all(TestEdition::Apache, Extension::Create);
}

#[test]
fn plain_postgres_counts_as_the_fold_does() {
    check_all(TestEdition::Plain, Extension::Leave);
}

#[test]
fn the_timescale_licence_counts_as_the_fold_does() {
    check_all(TestEdition::Licensed, Extension::Create);
}
