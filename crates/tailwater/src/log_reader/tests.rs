//! The log answers as its folds do, whatever lies around the range, and says why when it cannot.

use event::{
    AgentSample, ChannelSample, Gap, HostName, Resources, State, SystemSample, Text, Time, TokenUsage,
};
use query::{AgentFilter, Buckets, Cut, Groups, Interval, Limit, Names, TokenFilter};

use super::*;

const NOON: i64 = 1_767_355_200_000_000; // 2026-01-02T12:00:00Z

fn at(seconds: i64) -> Time {
    Time::from_micros(NOON + seconds * 1_000_000)
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to)).unwrap()
}

struct Scene {
    _dir: tempfile::TempDir,
    log: EventLog,
    reader: LogReader,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let host = HostName::new("here").unwrap();
    let log = EventLog::open(dir.path(), &host, eventlog::Settings::default()).unwrap();
    let prices = Prices::default().with_own("[[price]]\nmodel = 'm'\ninput = 1\noutput = 2\n").unwrap();
    Scene { _dir: dir, log: log.clone(), reader: LogReader::new(log, Arc::new(prices)) }
}

fn append(log: &EventLog, events: Vec<Event>) {
    tokio::task::block_in_place(|| log.append(events)).unwrap();
}

fn sample(agent: &str, seconds: i64, rx: u64) -> Event {
    let resources = Resources { cpu_percent: Some(50.0), net_rx_bytes: Some(rx), ..Resources::default() };
    let (time, agent_name) = (at(seconds), Text::from(agent));
    Event::AgentSample(AgentSample {
        time,
        agent_name,
        resources,
        state: State::Working,
        ..AgentSample::default()
    })
}

fn call(seconds: i64, output_tokens: u64) -> Event {
    let (time, message_id) = (at(seconds), Text::from("m1"));
    let usage = TokenUsage { time, message_id, output_tokens, ..TokenUsage::default() };
    Event::TokenUsage(TokenUsage { agent_name: "zen".into(), model: "m".into(), ..usage })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_is_answered_from_what_was_acknowledged() {
    let Scene { log, reader, .. } = &scene();
    let system = SystemSample { time: at(5), system_name: "db".into(), ..SystemSample::default() };
    let channel =
        ChannelSample { time: at(6), channel_name: "c".into(), message_count: 3, ..ChannelSample::default() };
    let said = event::AgentState { time: at(7), agent_name: "zen".into(), ..event::AgentState::default() };
    let gap = Gap {
        time: at(8),
        from: at(1),
        to: at(2),
        what: "tmux".into(),
        reason: "full".into(),
        ..Gap::default()
    };
    let events = vec![
        sample("zen", 0, 100),
        sample("zen", 10, 400),
        sample("zen", 600, 900),
        sample("other", 10, 1),
        call(20, 500_000),
        call(20, 1_000_000),
        Event::SystemSample(system),
        Event::ChannelSample(channel),
        Event::AgentState(said),
        Event::Gap(gap),
    ];
    append(log, events);
    let buckets = Buckets::new(range(0, 600), Interval::DEFAULT).unwrap();
    let filter = AgentFilter { agent_name: Names::only(["zen"]), ..AgentFilter::default() };
    let rows = reader.agent_series(&AgentSeries { buckets, filter: filter.clone() }).await.unwrap();
    assert_eq!((rows.len(), rows[0].host.as_str(), rows[0].rates.net_rx_per_second), (1, "here", Some(30.0)));
    let latest =
        reader.agent_latest(&AgentLatest { range: range(0, 601), filter: filter.clone() }).await.unwrap();
    assert_eq!(latest.iter().map(|row| row.time).collect::<Vec<_>>(), [at(600)]);
    let summary = reader.agent_summary("zen", range(0, 600)).await.unwrap().unwrap();
    assert_eq!((summary.tokens.unwrap().output, summary.cost_usd), (1_000_000, Some(2.0)));
    assert_eq!(reader.agent_summary("nobody", range(0, 600)).await.unwrap(), None);
    let tokens =
        TokenSeries { cut: Cut::Whole(range(0, 600)), by: Groups::ALL, filter: TokenFilter::default() };
    let rows = reader.token_series(&tokens).await.unwrap();
    assert_eq!((rows.len(), rows[0].used.output_tokens, rows[0].used.cost_usd), (1, 1_000_000, Some(2.0)));
    let request = SystemSeries { buckets, filter: query::SystemFilter::default() };
    assert_eq!(reader.system_series(&request).await.unwrap()[0].system_name, "db");
    let request = ChannelSeries { buckets, filter: query::ChannelFilter::default() };
    assert_eq!(reader.channel_series(&request).await.unwrap()[0].message_count, 3);
    let request = AgentStates { range: range(0, 600), filter, limit: Limit::DEFAULT };
    assert_eq!(reader.agent_states(&request).await.unwrap().len(), 1);
    let request = Gaps { range: range(0, 600), host: Names::ANY, limit: Limit::DEFAULT };
    assert_eq!(reader.gaps(&request).await.unwrap()[0].what, "tmux");
    tokio::task::block_in_place(|| log.close()).unwrap();
    let closed = reader.gaps(&request).await.unwrap_err();
    assert_eq!(closed.kind(), ReadErrorKind::Unavailable, "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_around_the_range_in_a_long_log_changes_nothing() {
    let Scene { log, reader, .. } = &scene();
    // Later times first, so that no order of positions helps.
    for chunk in (0..40_i64).rev() {
        append(log, (0..1_000).map(|second| sample("zen", chunk * 1_000 + second, 1)).collect());
    }
    let latest = AgentLatest { range: range(9_990, 10_010), filter: AgentFilter::default() };
    assert_eq!(reader.agent_latest(&latest).await.unwrap()[0].time, at(10_009));
    let buckets = Buckets::new(range(500, 39_500), Interval::from_seconds(100).unwrap()).unwrap();
    let rows = reader.agent_series(&AgentSeries { buckets, filter: AgentFilter::default() }).await.unwrap();
    assert_eq!(rows.len(), 390);
    let empty = AgentLatest { range: range(50_000, 50_010), filter: AgentFilter::default() };
    assert_eq!(reader.agent_latest(&empty).await.unwrap(), []);
}

#[test]
fn too_much_and_too_slow_are_told_with_a_way_out() {
    let now = Instant::now();
    assert!(check(EVENTS_MAX, now).is_ok());
    let much = check(EVENTS_MAX + 1, now).unwrap_err();
    assert!(
        much.kind() == ReadErrorKind::Invalid && much.to_string().contains("take a shorter one"),
        "{much}"
    );
    let long_ago = now.checked_sub(DEADLINE + Duration::from_secs(1)).unwrap();
    assert_eq!(check(1, long_ago).unwrap_err().kind(), ReadErrorKind::Unavailable);
}
