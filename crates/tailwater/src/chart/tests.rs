//! Which rows make which lines.

use query::Topic;
use serde_json::json;

use super::*;

const NOW: &str = "2026-01-02T04:00:00Z";

fn question(topic: Topic, more: &[(&str, &str)]) -> Question {
    let parameters = more.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Question::parse(topic, &parameters.collect::<Vec<_>>(), NOW.parse().unwrap()).unwrap()
}

fn told(chart: &Chart) -> Vec<(&str, Vec<(usize, f64)>)> {
    let points = |it: &Series| it.points.iter().map(|(number, value)| (*number, *value)).collect();
    chart.series.iter().map(|series| (series.name.as_str(), points(series))).collect()
}

#[test]
fn what_is_null_or_not_there_is_no_point() {
    let row = |minute: u32, name: &str, cpu: Value| json!({"time": format!("2026-01-02T03:{minute:02}:00Z"), "agent_name": name, "host": "h", "cpu_percent": cpu});
    let rows =
        [row(0, "b", json!(1.5)), row(5, "b", Value::Null), row(0, "a", json!(0.0)), row(20, "b", json!(2))];
    let chart = Chart::of(&question(Topic::Agents, &[]), &CPU, &rows).unwrap();
    assert_eq!(chart.starts.len(), 12);
    assert_eq!(told(&chart), [("a", vec![(0, 0.0)]), ("b", vec![(0, 1.5), (4, 2.0)])]);
    assert_eq!(chart.most(), 2.0);
}

#[test]
fn names_tell_series_apart() {
    let row = |name: &str, host: &str| json!({"time": "2026-01-02T03:00:00Z", "agent_name": name, "host": host, "net_rx_per_second": 1.0, "net_tx_per_second": null});
    let names = |rows: &[Value]| -> Vec<String> {
        let chart = Chart::of(&question(Topic::Agents, &[]), &NET, rows).unwrap();
        chart.series.into_iter().map(|series| series.name).collect()
    };
    assert_eq!(names(&[row("a", "x"), row("b", "x")]), ["a received", "a sent", "b received", "b sent"]);
    assert_eq!(
        names(&[row("a", "x"), row("a", "y")]),
        ["a@x received", "a@x sent", "a@y received", "a@y sent"]
    );
}

#[test]
fn tokens_are_added_up_and_days_are_buckets() {
    let row = |model: &str, cost: Value| {
        json!({"time": "2026-01-01T23:00:00Z", "agent_name": "", "model": model, "host": "",
        "input_tokens": 1, "output_tokens": 2, "cache_read": 30, "cache_create": 400, "cost_usd": cost})
    };
    let rows = [row("m", json!(0.5)), row("n", Value::Null)];
    let days = question(Topic::Tokens, &[("day", "true"), ("tz", "Europe/Berlin"), ("from", "-2d")]);
    let chart = Chart::of(&days, &TOKENS, &rows).unwrap();
    assert_eq!(told(&chart), [("m", vec![(2, 433.0)]), ("n", vec![(2, 433.0)])]);
    assert_eq!(told(&Chart::of(&days, &COST, &rows).unwrap()), [("m", vec![(2, 0.5)]), ("n", vec![])]);
    let all = Chart::of(&question(Topic::Tokens, &[("interval", "all")]), &TOKENS, &[]).unwrap();
    assert_eq!((all.starts.len(), all.series), (1, Vec::new()));
    assert_eq!(name_of(&json!({"agent_name": "", "model": ""}), "", false), "all");
}

#[test]
fn what_is_not_about_time_has_no_chart() {
    for topic in [Topic::Latest, Topic::States, Topic::Gaps] {
        assert_eq!(Chart::of(&question(topic, &[]), &CPU, &[]), None, "{topic:?}");
    }
}

/// A chart of so many series of one bucket; the first one has the most.
fn many(measure: &'static Measure, count: u32) -> Chart {
    let rows: Vec<Value> = (0..count)
        .map(|number| {
            json!({"time": "2026-01-02T03:00:00Z", "agent_name": format!("a{number:02}"), "host": "h",
                "cpu_percent": count - number, "cost_usd": count - number})
        })
        .collect();
    Chart::of(&question(Topic::Agents, &[]), measure, &rows).unwrap()
}

#[test]
fn as_many_are_drawn_as_can_be_told_apart() {
    let (chart, told) = many(&CPU, 20).picked();
    assert_eq!((chart.series.len(), told), (20, None));
    let (chart, told) = many(&CPU, 25).picked();
    assert_eq!(
        (chart.series.len(), chart.series[0].name.as_str(), chart.series[19].name.as_str()),
        (20, "a00", "a19")
    );
    assert!(told.unwrap().starts_with("5 series with less are not drawn"));
    let (chart, told) = many(&COST, 25).picked();
    let others = chart.series.last().unwrap();
    assert_eq!((chart.series.len(), others.name.as_str()), (20, "6 others"));
    assert_eq!(others.points[&0], 1.0 + 2.0 + 3.0 + 4.0 + 5.0 + 6.0, "nothing that adds up is left out");
    assert_eq!(told.unwrap(), "6 series with less are drawn as one");
    assert_eq!(chart.greatest(), (1..=25).map(f64::from).sum::<f64>(), "bars stand upon each other");
}

#[test]
fn what_has_no_value_is_no_series_of_a_picture() {
    let rows = [json!({"time": "2026-01-02T03:00:00Z", "agent_name": "a", "host": "h", "cpu_percent": null})];
    let (chart, told) = Chart::of(&question(Topic::Agents, &[]), &CPU, &rows).unwrap().picked();
    assert_eq!((chart.series, told), (Vec::new(), None));
}
