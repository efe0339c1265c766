//! What is counted: channels, tokens and their cost; and what is told as it is.

use event::{AgentState, ChannelSample, Gap, Text, TokenUsage};

use super::*;
use crate::{
    AgentStates, ChannelFilter, ChannelSeries, Cut, Days, Gaps, GroupKey, Groups, Limit, TokenFilter,
    TokenRow, TokenSeries,
};

fn minutes() -> Buckets {
    Buckets::new(range(0, 600), Interval::parse(Some("1m")).unwrap()).unwrap()
}

fn channel(name: &str, seconds: i64, messages: u64, members: Option<u64>) -> ChannelSample {
    let (time, channel_name) = (at(seconds), Text::from(name));
    ChannelSample {
        time,
        channel_name,
        message_count: messages,
        member_count: members,
        ..ChannelSample::default()
    }
}

#[test]
fn messages_are_added_up_and_members_are_the_last_ones() {
    let filter = ChannelFilter { channel_name: Names::only(["c", "d"]), ..ChannelFilter::default() };
    let request = ChannelSeries { buckets: minutes(), filter };
    let mut fold = ChannelSeriesFold::new(&request, "own");
    for sample in [
        channel("d", 61, 1, None),
        channel("c", 50, 3, None),
        channel("c", 10, 2, Some(7)),
        channel("c", 10, 100, Some(100)),
        channel("c", 70, u64::MAX / 2, Some(8)),
        channel("c", 71, u64::MAX / 2, Some(9)),
        channel("other", 10, 5, None),
        channel("c", 600, 5, None),
    ] {
        fold.push(&sample);
    }
    let rows: Vec<_> = fold
        .finish()
        .into_iter()
        .map(|row| (row.time, row.channel_name, row.message_count, row.member_count, row.host))
        .collect();
    let own = || Text::from("own");
    let most = event::limits::COUNT_MAX;
    let expected = [
        (at(0), "c".into(), 5, None, own()),
        (at(60), "c".into(), most, Some(9), own()),
        (at(60), "d".into(), 1, None, own()),
    ];
    assert_eq!(rows, expected);
}

fn call(agent: &str, model: &str, seconds: i64, output: u64, cost_usd: Option<f64>) -> TokenUsage {
    let (agent_name, model, message_id) = (agent.into(), model.into(), Text::from(format!("m{seconds}")));
    TokenUsage {
        time: at(seconds),
        agent_name,
        model,
        message_id,
        output_tokens: output,
        cost_usd,
        ..TokenUsage::default()
    }
}

/// A dollar for each token of the model `known`.
fn price(usage: &TokenUsage, _: &str) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a few tokens")]
    (usage.model == "known").then_some(usage.output_tokens as f64)
}

fn tokens(request: &TokenSeries, calls: &[TokenUsage]) -> Vec<TokenRow> {
    let mut fold = TokenSeriesFold::new(request, "own", &price);
    calls.iter().for_each(|call| fold.push(call));
    fold.finish()
}

fn series(by: &[GroupKey]) -> TokenSeries {
    TokenSeries { cut: Cut::Buckets(minutes()), by: Groups::of(by), filter: TokenFilter::default() }
}

#[test]
fn a_call_counts_once_as_large_as_it_was_told_and_costs_what_was_reported_or_is_computed() {
    let calls = [
        call("a", "known", 10, 5, None),
        call("a", "known", 10, 9, None),
        call("a", "known", 10, 7, Some(50.0)),
        call("a", "known", 20, 1, Some(0.25)),
        call("a", "strange", 30, 2, None),
        call("b", "strange", 70, 4, None),
    ];
    let rows = tokens(&series(&GroupKey::ALL), &calls);
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let used = row.used;
            let costs = (used.cost_usd, used.reported_cost_usd, used.unpriced_events);
            (
                row.time,
                row.agent_name.as_str(),
                row.model.as_str(),
                row.host.as_str(),
                used.output_tokens,
                costs,
            )
        })
        .collect();
    let expected = [
        (at(0), "a", "known", "own", 10, (Some(9.25), Some(0.25), 0)),
        (at(0), "a", "strange", "own", 2, (None, None, 1)),
        (at(60), "b", "strange", "own", 4, (None, None, 1)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_rows_do_not_tell_apart_is_added_up() {
    let calls = [
        call("a", "known", 10, 1, None),
        call("b", "strange", 20, 2, None),
        call("b", "known", 500, 4, None),
    ];
    let rows = tokens(&series(&[GroupKey::Model]), &calls);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.time, row.agent_name.as_str(), row.model.as_str(), row.used.output_tokens))
        .collect();
    let expected = [(at(0), "", "known", 1), (at(0), "", "strange", 2), (at(480), "", "known", 4)];
    assert_eq!(told, expected);
    let whole = TokenSeries { cut: Cut::Whole(range(5, 600)), ..series(&[]) };
    let rows = tokens(&whole, &calls);
    assert_eq!((rows.len(), rows[0].time, rows[0].used.output_tokens), (1, at(5), 7));
    assert_eq!((rows[0].used.cost_usd, rows[0].used.unpriced_events), (Some(5.0), 1));
    let day = Cut::Days(Days::new(range(5, 600), "Europe/Berlin").unwrap());
    let rows = tokens(&TokenSeries { cut: day, ..series(&[]) }, &calls);
    assert_eq!((rows.len(), rows[0].time.to_string().as_str()), (1, "2026-01-01T23:00:00.000000Z"));
}

#[test]
fn calls_are_chosen_by_every_name() {
    let mut calls = vec![
        call("a", "known", 10, 1, None),
        call("b", "known", 10, 2, None),
        call("a", "strange", 10, 4, None),
    ];
    calls.push(TokenUsage { host: Some("far".into()), ..call("a", "known", 10, 8, None) });
    calls.push(TokenUsage { tool: "codex".into(), ..call("a", "known", 20, 16, None) });
    let sum = |filter: TokenFilter| {
        let rows = tokens(&TokenSeries { filter, ..series(&[]) }, &calls);
        rows.iter().map(|row| row.used.output_tokens).sum::<u64>()
    };
    let only = |name: &str| Names::only([name]);
    assert_eq!(sum(TokenFilter::default()), 31);
    assert_eq!(sum(TokenFilter { agent_name: only("b"), ..TokenFilter::default() }), 2);
    assert_eq!(sum(TokenFilter { model: only("strange"), ..TokenFilter::default() }), 4);
    assert_eq!(sum(TokenFilter { host: only("far"), ..TokenFilter::default() }), 8);
    assert_eq!(sum(TokenFilter { tool: only("codex"), ..TokenFilter::default() }), 16);
}

#[test]
fn a_summary_has_calls_and_is_there_for_calls_alone() {
    let mut fold = AgentSummaryFold::new("a", range(0, 600), "own", &price);
    for usage in [
        call("a", "known", 10, 3, None),
        call("a", "strange", 20, 4, None),
        call("b", "known", 10, 100, None),
        call("a", "known", 600, 100, None),
    ] {
        fold.push_usage(&usage);
    }
    let summary = fold.finish().unwrap();
    assert_eq!((summary.tokens.unwrap().output, summary.cost_usd), (7, Some(3.0)));
    let models: Vec<_> =
        summary.models.iter().map(|it| (it.model.as_str(), it.cost_usd, it.output_tokens)).collect();
    assert_eq!(models, [("known", Some(3.0), 3), ("strange", None, 4)]);
    assert_eq!((summary.cpu.avg_percent, summary.role.as_str()), (None, ""));
}

#[test]
fn the_newest_states_and_gaps_are_told_in_the_order_of_time() {
    let state = |agent: &str, seconds: i64, state: State| AgentState {
        time: at(seconds),
        agent_name: agent.into(),
        state,
        ..AgentState::default()
    };
    let filter = AgentFilter { state: Names::only(["idle", "stuck"]), ..AgentFilter::default() };
    let request = AgentStates { range: range(0, 600), filter, limit: Limit::parse(Some("2")).unwrap() };
    let mut fold = AgentStatesFold::new(&request, "own");
    for said in [
        state("b", 30, State::Stuck),
        state("a", 10, State::Idle),
        state("a", 20, State::Working),
        state("a", 20, State::Idle),
        state("a", 40, State::Idle),
        state("a", 600, State::Idle),
    ] {
        fold.push(&said);
    }
    let rows = fold.finish();
    let told: Vec<_> =
        rows.iter().map(|row| (row.time, row.agent_name.as_str(), row.state.as_str())).collect();
    assert_eq!(told, [(at(30), "b", "stuck"), (at(40), "a", "idle")], "a has worked at 20 first");

    let gap =
        |what: &str, seconds: i64| Gap { time: at(seconds), what: what.into(), events: 1, ..Gap::default() };
    let request = Gaps { range: range(0, 600), host: Names::only(["own"]), limit: Limit::DEFAULT };
    let mut fold = GapsFold::new(&request, "own");
    let far = Gap { host: Some("far".into()), ..gap("tmux", 10) };
    for gap in [gap("tmux", 20), gap("host", 10), gap("host", 10), far, gap("tmux", 601)] {
        fold.push(&gap);
    }
    let told: Vec<_> = fold.finish().into_iter().map(|row| (row.time, row.what)).collect();
    assert_eq!(told, [(at(10), "host".into()), (at(20), "tmux".into())]);
}
