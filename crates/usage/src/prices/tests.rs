//! Prices: which row a call falls under, what it costs then, and what a bad file is told.

use event::{Time, TokenUsage};

use super::{Matches, Origin, Prices, Trust, plain_name};

fn embedded() -> Prices {
    Prices::embedded().unwrap()
}

fn own(text: &str) -> Prices {
    Prices::default().with_own(text).unwrap()
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn call(model: &str, tokens: [u64; 5]) -> TokenUsage {
    let [input_tokens, output_tokens, cache_read, cache_create, cache_create_1h] = tokens;
    TokenUsage {
        time: time("2026-01-02T03:04:05Z"),
        model: model.into(),
        input_tokens,
        output_tokens,
        cache_read,
        cache_create,
        cache_create_1h,
        ..TokenUsage::default()
    }
}

fn input_rate(prices: &Prices, model: &str) -> Option<f64> {
    prices.find(model, time("2026-01-02T03:04:05Z"))?.rates.input
}

fn close(got: Option<f64>, expected: f64) {
    let got = got.unwrap();
    assert!((got - expected).abs() <= 1e-12 * expected.abs(), "{got} is not {expected}");
}

#[test]
fn names_lose_whoever_passes_them_on() {
    let check = |model: &str, plain: &str| assert_eq!(plain_name(model), plain, "{model}");
    check("claude-opus-4-5", "claude-opus-4-5");
    check("Anthropic/Claude-Opus-4-5", "claude-opus-4-5");
    check("openrouter/anthropic/claude-opus-4-5", "claude-opus-4-5");
    check("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307-v1:0");
    check("us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307-v1:0");
    check("us-gov.anthropic.claude-3-haiku", "claude-3-haiku");
    check("arn:aws:bedrock:eu:1:inference-profile/eu.anthropic.claude-3-haiku", "claude-3-haiku");
    check("anthropic.anthropic.x", "x");
    check("anthropic.openai.x", "x");
    check("models/gemini-2.5-pro", "gemini-2.5-pro");
    check("gpt-5.1", "gpt-5.1");
    check("a.b.anthropic.x", "a.b.anthropic.x");
    check("anthropic/", "");
    check("", "");
}

#[test]
fn the_embedded_rows_price_what_they_name_and_nothing_else() {
    let prices = embedded();
    let check = |model: &str, input: Option<f64>| assert_eq!(input_rate(&prices, model), input, "{model}");
    for opus in
        ["claude-opus-4-20250514", "claude-opus-4-0", "claude-opus-4@20250514", "claude-opus-4-1-20250805"]
    {
        check(opus, Some(15.0));
    }
    for opus in
        ["claude-opus-4-5-20251101", "anthropic/claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-5[1m]"]
    {
        check(opus, Some(5.0));
    }
    check("us.anthropic.claude-opus-4-1-20250805-v1:0", Some(15.0));
    check("claude-opus-40", None);
    check("claude-opus-5", None);
    check("claude-3-opus-latest", Some(15.0));
    check("claude-sonnet-4-6", Some(3.0));
    check("claude-haiku-4-5-20251001", Some(1.0));
    check("claude-3-5-haiku@20241022", Some(0.80));
    check("claude-3-haiku-20240307", Some(0.25));
    check("gpt-5", Some(1.25));
    check("gpt-5-2025-08-07", Some(1.25));
    check("gpt-5-codex", Some(1.25));
    check("gpt-5-mini-2025-08-07", Some(0.25));
    for unknown in
        ["gpt-50", "gpt-5-nano-2025-08-07", "gpt-5.1", "gpt-5-", "gpt-5-2025-08", "gpt-5-latestish"]
    {
        check(unknown, None);
    }
    for unknown in ["codex-auto-review", "unknown", "<synthetic>", "", "claude"] {
        check(unknown, None);
    }
}

#[test]
fn the_embedded_rows_are_whole() {
    let prices = embedded();
    for row in prices.rows() {
        assert_eq!(row.origin, Origin::Embedded);
        assert!(
            row.rates.input.is_some() && row.rates.output.is_some() && row.rates.cache_read.is_some(),
            "{row:?}"
        );
        if row.provider == "anthropic" {
            let (input, hour) = (row.rates.input.unwrap(), row.rates.cache_write_1h.unwrap());
            assert!((hour - 2.0 * input).abs() < 1e-9, "an hour costs twice the input: {row:?}");
        }
    }
    let gpt = prices.find("gpt-5", Time::default()).unwrap();
    assert_eq!(gpt.trust, Trust::Unchecked);
}

#[test]
fn each_category_has_its_rate() {
    let prices = embedded();
    // 1,000 x 5, 2,000 x 25, 30,000 x 0.5, 3,000 x 6.25 and 1,000 x 10, for a million each.
    let usage = call("claude-opus-4-5", [1_000, 2_000, 30_000, 4_000, 1_000]);
    close(prices.cost(&usage), 0.098_75 + 0.0);
    close(prices.cost(&call("claude-opus-4-5", [0, 0, 0, 1_000, 9_000])), 0.01);
    assert_eq!(prices.cost(&call("claude-opus-4-5", [0; 5])), Some(0.0));
}

#[test]
fn a_long_call_costs_the_other_rates_as_a_whole() {
    let prices = embedded();
    close(prices.cost(&call("gemini-2.5-pro", [100_000, 1_000, 100_000, 0, 0])), 0.125 + 0.01 + 0.031);
    close(
        prices.cost(&call("gemini-2.5-pro", [100_001, 1_000, 100_000, 0, 0])),
        0.250_002_5 + 0.015 + 0.0625,
    );
    let huge = call("gemini-2.5-pro", [u64::MAX, 0, u64::MAX, 0, 0]);
    assert!(prices.cost(&huge).unwrap() > 1e13, "a sum beyond u64 is still long");
}

#[test]
fn what_has_no_rate_has_no_cost() {
    let prices = embedded();
    assert_eq!(prices.cost(&call("gpt-5", [1, 1, 1, 1, 0])), None, "a cache write without a rate");
    assert_eq!(prices.cost(&call("nobody-knows-me", [1, 1, 0, 0, 0])), None);
}

#[test]
fn a_reported_cost_wins_and_stays_beside() {
    let prices = embedded();
    let reported = TokenUsage { cost_usd: Some(0.5), ..call("gpt-5", [1_000_000, 0, 0, 0, 0]) };
    assert_eq!(prices.cost(&reported), Some(0.5));
    close(prices.computed_cost(&reported), 1.25);
    let unknown = TokenUsage { model: "nobody-knows-me".into(), ..reported };
    assert_eq!((prices.cost(&unknown), prices.computed_cost(&unknown)), (Some(0.5), None));
}

#[test]
fn a_price_changes_at_midnight_in_utc() {
    let prices = own("[[price]]\nmodel = 'm'\ninput = 1\neffective_to = 2026-03-01\n\
         [[price]]\nmodel = 'm'\ninput = 2\neffective_from = '2026-03-01T00:00:00Z'\neffective_to = 2026-04-01T02:00:00+02:00\n");
    let rate = |at: &str| prices.find("m", time(at)).and_then(|price| price.rates.input);
    assert_eq!(rate("2026-02-28T23:59:59.999999Z"), Some(1.0));
    assert_eq!(rate("2026-03-01T00:00:00Z"), Some(2.0));
    assert_eq!(rate("2026-03-01T00:30:00+01:00"), Some(1.0));
    assert_eq!(rate("2026-03-31T23:59:59.999999Z"), Some(2.0));
    assert_eq!(rate("2026-04-01T00:00:00Z"), None);
    let call = |at: &str| TokenUsage { time: time(at), ..call("m", [1_000_000, 0, 0, 0, 0]) };
    assert_eq!(prices.cost(&call("2026-02-28T23:59:59Z")), Some(1.0));
    assert_eq!(prices.cost(&call("2026-03-01T00:00:00Z")), Some(2.0));
}

#[test]
fn the_more_specific_row_wins_and_then_the_owners() {
    let text = "[[price]]\nmodel = 'claude'\nmatch = 'family'\ninput = 100\n\
                [[price]]\nmodel = 'claude-opus-4'\ninput = 101\neffective_to = 2026-06-01\n\
                [[price]]\nmodel = 'Azure/GPT-5'\nmatch = 'exact'\ninput = 102\n\
                [[price]]\nmodel = 'm'\ninput = 103\n\
                [[price]]\nmodel = 'm'\ninput = 104\neffective_from = 2026-01-01\n";
    let prices = embedded().with_own(text).unwrap();
    let check = |model: &str, input: f64| assert_eq!(input_rate(&prices, model), Some(input), "{model}");
    check("claude-haiku-9", 100.0);
    check("claude-haiku-4-5", 1.0);
    check("claude-opus-4-20250514", 101.0);
    check("claude-opus-4-5", 5.0);
    check("azure/gpt-5", 102.0);
    check("AZURE/gpt-5", 102.0);
    check("other/gpt-5", 1.25);
    check("m", 104.0);
    let later = prices.find("claude-opus-4", time("2026-06-01T00:00:00Z")).unwrap();
    assert_eq!((later.origin, later.rates.input), (Origin::Embedded, Some(15.0)));
    assert_eq!(prices.find("claude-haiku-9", Time::default()).unwrap().matches, Matches::Family);
}

#[test]
fn a_bad_file_is_told_by_line_row_and_field() {
    let check = |text: &str, told: &str| {
        let error = embedded().with_own(text).unwrap_err().to_string();
        assert_eq!(error, told, "{text}");
    };
    let good = "[[price]]\nmodel = 'a'\ninput = 1\n";
    check(
        &format!("{good}[[price]]\nmodel = 'b'\ninput = -1\n"),
        "line 6: price 2: input: is not a number of US dollars for a million tokens, 0 or more",
    );
    check(
        "[[price]]\nmodel = 'b'\noutput = nan\n",
        "line 3: price 1: output: is not a number of US dollars for a million tokens, 0 or more",
    );
    check("[[price]]\ninput = 1\n", "line 1: price 1: model: is missing");
    check("[[price]]\nmodel = 'a/'\ninput = 1\n", "line 1: price 1: model: names no model");
    check("[[price]]\nmodel = ''\ninput = 1\n", "line 2: price 1: model: is not a text of 1 to 255 bytes");
    check("[[price]]\nmodel = 'a'\n", "line 1: price 1: input: is missing, and so is every other rate");
    check("[[price]]\nmodel = 'a'\nrate = 1\n", "line 3: price 1: rate: is unknown");
    check(
        "[[price]]\nmodel = 'a'\nmatch = 'like'\ninput = 1\n",
        "line 3: price 1: match: is not \"model\", \"family\" or \"exact\"",
    );
    check(
        "[[price]]\nmodel = 'a'\neffective_from = 'soon'\ninput = 1\n",
        "line 3: price 1: effective_from: is not a day such as 2026-01-02, nor an RFC 3339 time",
    );
    check(
        "[[price]]\nmodel = 'a'\ninput = 1\neffective_from = 2026-01-02\neffective_to = 2026-01-02\n",
        "line 1: price 1: effective_to: is not after effective_from",
    );
    check(
        "[[price]]\nmodel = 'a'\ninput = 1\n[price.long_context]\ninput = 2\n",
        "line 4: price 1: long_context: above_tokens: is missing",
    );
    check(
        "[[price]]\nmodel = 'a'\ninput = 1\n[price.long_context]\nabove_tokens = 1.5\n",
        "line 5: price 1: long_context: above_tokens: is not a whole number of tokens",
    );
    check(
        &format!("{good}{good}"),
        "line 4: price 2: model: a (model) has a price from the same time on already",
    );
    check("[price]\nmodel = 'a'\n", "line 1: rows are written as tables `[[price]]`");
    check("prices = 1\n", "line 1: `prices` is unknown; rows are `[[price]]`");
    let error = embedded().with_own("[[price]]\nmodel = \n").unwrap_err();
    assert!(error.line == 2 && !error.to_string().contains('\n'), "{error}");
}
