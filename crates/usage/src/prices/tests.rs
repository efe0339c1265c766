//! Which price a call has, and what it costs.

use super::*;

fn at(time: &str) -> Time {
    time.parse().unwrap()
}

fn call(model: &str, time: &str, counts: [u64; 5]) -> TokenUsage {
    let [input_tokens, output_tokens, cache_read, cache_create, cache_create_1h] = counts;
    let (model, time) = (Text::new(model), at(time));
    TokenUsage {
        time,
        model,
        input_tokens,
        output_tokens,
        cache_read,
        cache_create,
        cache_create_1h,
        ..TokenUsage::default()
    }
}

const NOON: &str = "2026-03-01T12:00:00Z";
const MILLION: u64 = 1_000_000;

/// The cost of a million tokens of input.
fn input_rate(prices: &Prices, model: &str, time: &str) -> Option<f64> {
    prices.computed(&call(model, time, [MILLION, 0, 0, 0, 0]))
}

#[test]
fn the_embedded_prices_can_be_read_and_no_row_is_there_twice() {
    let rows = file::embedded().unwrap();
    assert!(rows.len() >= 15);
    for (index, row) in rows.iter().enumerate() {
        let is_same = |other: &Price| {
            (&other.model, other.covers, other.context_from) == (&row.model, row.covers, row.context_from)
        };
        assert_eq!(rows.iter().position(is_same), Some(index), "{row:?}");
    }
}

#[test]
fn the_more_specific_name_wins_and_ends_at_a_dash() {
    let prices = Prices::embedded();
    for (model, rate) in [
        ("claude-opus-4-20250514", Some(15.0)),
        ("claude-opus-4-1-20250805", Some(15.0)),
        ("claude-opus-4-5-20251101", Some(5.0)),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", Some(5.0)),
        ("claude-opus-4-6", Some(5.0)),
        ("claude-opus-40", None),
        ("claude-sonnet-4-5-20250929", Some(3.0)),
        ("claude-3-5-haiku-latest", Some(0.8)),
        ("claude-3-haiku-20240307", Some(0.25)),
        ("gpt-5", Some(1.25)),
        ("gpt-5-2025-08-07", Some(1.25)),
        ("gpt-5-mini", Some(0.25)),
        ("gpt-5-nano", None),
        ("gpt-50", None),
        ("unknown", None),
        ("", None),
    ] {
        assert_eq!(input_rate(&prices, model, NOON), rate, "{model}");
    }
}

#[test]
fn every_category_has_its_rate() {
    let usage = call("claude-opus-4-5", NOON, [MILLION, MILLION, MILLION, 3 * MILLION, MILLION]);
    let cost = Prices::embedded().computed(&usage).unwrap();
    assert!((cost - (5.0 + 25.0 + 0.5 + 2.0 * 6.25 + 10.0)).abs() < 1e-9, "{cost}");
}

#[test]
fn what_is_not_known_has_no_cost_and_nothing_costs_nothing() {
    let prices = Prices::embedded();
    assert_eq!(
        prices.computed(&call("gpt-5", NOON, [1, 0, 0, 1, 0])),
        None,
        "it has no rate for cache writes"
    );
    assert_eq!(prices.computed(&call("gpt-5", NOON, [0; 5])), Some(0.0));
    assert_eq!(prices.computed(&call("gemini-2.5-pro", NOON, [200_001, 0, 0, 0, 0])), None);
    assert!(prices.computed(&call("gemini-2.5-pro", NOON, [200_000, 0, 0, 0, 0])).is_some());
}

#[test]
fn the_reported_cost_wins() {
    let mut usage = call("claude-opus-4-5", NOON, [MILLION, 0, 0, 0, 0]);
    usage.cost_usd = Some(0.25);
    let prices = Prices::embedded();
    assert_eq!((prices.cost(&usage), prices.computed(&usage)), (Some(0.25), Some(5.0)));
    usage.model = Text::new("unknown");
    assert_eq!((prices.cost(&usage), prices.computed(&usage)), (Some(0.25), None));
}

#[test]
fn a_price_changes_at_midnight() {
    let prices = Prices::with_own(
        r#"
        [[price]]
        model = "acme-1"
        input = 2.0
        effective_to = "2026-03-02"

        [[price]]
        model = "acme-1"
        input = 1.0
        effective_from = "2026-03-02"
        "#,
    )
    .unwrap();
    for (time, rate) in [
        ("2026-03-01T23:59:59.999999Z", 2.0),
        ("2026-03-02T00:00:00Z", 1.0),
        ("2026-03-02T01:30:00+02:00", 2.0),
    ] {
        assert_eq!(input_rate(&prices, "acme-1", time), Some(rate), "{time}");
    }
}

#[test]
fn ones_own_row_stands_over_an_embedded_one_of_the_same_name() {
    let prices = Prices::with_own(
        "[[price]]\nmodel = \"claude-opus-4-5\"\ninput = 4.0\neffective_from = \"2026-01-01\"\n\
         [[price]]\nmodel = \"claude\"\ninput = 9.0\n",
    )
    .unwrap();
    assert_eq!(input_rate(&prices, "claude-opus-4-5", NOON), Some(4.0));
    assert_eq!(input_rate(&prices, "claude-opus-4-5", "2025-12-31T00:00:00Z"), Some(5.0));
    assert_eq!(input_rate(&prices, "claude-sonnet-4-5", NOON), Some(3.0), "the longer name wins");
    assert_eq!(input_rate(&prices, "claude-next", NOON), Some(9.0));
}

#[test]
fn a_context_row_is_for_the_whole_call() {
    let prices = Prices::with_own(
        "[[price]]\nmodel = \"acme\"\ninput = 1.0\ncache_read = 0.1\n\
         [[price]]\nmodel = \"acme\"\ninput = 2.0\ncache_read = 0.2\ncontext_from = 272_001\n",
    )
    .unwrap();
    let cost = |counts| prices.computed(&call("acme", NOON, counts)).unwrap();
    assert!((cost([272_000, 0, 0, 0, 0]) - 0.272).abs() < 1e-12);
    assert!((cost([2_001, 0, 270_000, 0, 0]) - (2_001.0 * 2.0 + 270_000.0 * 0.2) / 1e6).abs() < 1e-12);
}

#[test]
fn a_bad_file_is_told_in_one_line_with_its_place() {
    for (text, line, says) in [
        ("[[price]]\nmodel = \"a\"\ninput = -1.0\n", 1, "input is -1"),
        ("\n[[price]]\ninput = 1.0\n", 2, "no model"),
        ("[[price]]\nmodel = \"a\"\ninputs = 1.0\n", 3, "unknown field"),
        ("[[price]]\nmodel = \"a\"\ncovers = \"all\"\n", 1, "prefix or exact"),
        ("[[price]]\nmodel = \"a\"\neffective_from = \"soon\"\n", 1, "must be a day"),
        (
            "[[price]]\nmodel = \"a\"\neffective_from = \"2026-02-01\"\neffective_to = \"2026-01-01\"\n",
            1,
            "not after",
        ),
        ("[[price]]\nmodel = \"\"\n", 1, "empty"),
        ("[[price]]\nmodel = 5\n", 2, "expected"),
        ("[[price]\n", 1, ""),
        ("price = 1\n", 1, ""),
    ] {
        let error = Prices::with_own(text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.problem.contains(says) && !error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(Prices::with_own("").unwrap(), Prices::embedded());
}
