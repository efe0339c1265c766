//! The copy of the prices, and that the database's view computes what `usage::prices` does.

use ::usage::prices::{Prices, plain};
use event::{Event, Text, Time, TokenUsage};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use store::testing::TestEdition;
use store::{Copied, PriceRow, copy_prices};

use crate::support::{World, in_the_shared_editions, usage};

fn rows(prices: &Prices) -> Vec<PriceRow> {
    let row = |price: &::usage::prices::Price| {
        let rates = price.rates;
        PriceRow {
            provider: price.provider.to_string(),
            model: price.model.to_string(),
            covers: price.covers.as_str(),
            effective_from: price.effective_from,
            effective_to: price.effective_to,
            context_from: price.context_from,
            rates: [rates.input, rates.output, rates.cache_write_5m, rates.cache_write_1h, rates.cache_read],
            source: price.source.as_str(),
        }
    };
    prices.rows().iter().map(row).collect()
}

async fn copied(world: &World, prices: &Prices) -> Copied {
    copy_prices(world.database.url(), &rows(prices)).await.unwrap()
}

async fn a_copy_is_made_once_and_leaves_other_rows_alone(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.range().await;
    let embedded = Prices::embedded();
    let all = u64::try_from(embedded.rows().len()).unwrap();
    assert_eq!(copied(&world, &embedded).await, Copied::Anew(all));
    assert_eq!(copied(&world, &embedded).await, Copied::Same);
    world.execute("INSERT INTO model_prices (model, input) VALUES ('acme', 1)").await;
    assert_eq!(copied(&world, &embedded).await, Copied::Same);
    let own = Prices::with_own("[[price]]\nmodel = \"acme\"\ninput = 2.0\neffective_from = \"2026-01-01\"\n");
    assert_eq!(copied(&world, &own.unwrap()).await, Copied::Anew(all + 1));
    assert_eq!(copied(&world, &embedded).await, Copied::Anew(all));
    let left = world.texts("SELECT source FROM model_prices WHERE model = 'acme'").await;
    assert_eq!(left, ["by hand"]);
}

async fn what_is_reported_counts_and_what_is_unknown_is_null(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    copied(&world, &Prices::embedded()).await;
    let call = |message: &str, model: &str, cost_usd: Option<f64>| {
        let input_tokens = 1_000_000;
        Event::TokenUsage(TokenUsage {
            model: Text::new(model),
            cost_usd,
            input_tokens,
            ..usage(message, 0, true)
        })
    };
    range
        .apply(&[
            call("a", "us.anthropic.claude-opus-4-5-20251101-v1:0", None),
            call("b", "claude-opus-4-5", Some(0.5)),
            call("c", "nobody-knows", None),
            call("d", "nobody-knows", Some(0.25)),
        ])
        .await;
    let costs = world
        .texts(
            "SELECT concat_ws(' ', message_id, coalesce(reported_cost_usd::text, '-'),
                 coalesce(computed_cost_usd::text, '-'), coalesce(total_cost_usd::text, '-'))
             FROM token_costs ORDER BY message_id",
        )
        .await;
    assert_eq!(costs, ["a - 5 5", "b 0.5 5 0.5", "c - - -", "d 0.25 - 0.25"]);
    let unpriced = "SELECT count(*) FILTER (WHERE total_cost_usd IS NULL)::text FROM token_costs";
    assert_eq!(world.text(unpriced).await, "1");
}

const MODELS: [&str; 8] = [
    "acme",
    "acme-1",
    "acme-1-mini",
    "acme-10",
    "acme-1-20260101",
    "eu.anthropic.acme-1-v1:0",
    "x/acme-1@20260101",
    "other",
];
/// Days from 2026-01-01 at which prices change and calls are made.
const DAYS: i64 = 4;
const DAY: i64 = 86_400_000_000;

fn day(number: i64) -> Time {
    let first: Time = "2026-01-01T00:00:00Z".parse().unwrap();
    first.plus_micros(number * DAY)
}

/// A row of a `prices.toml`.
fn price() -> impl Strategy<Value = String> {
    let rate = || prop::option::weighted(0.8, 0_u32..40);
    let rates = [rate(), rate(), rate(), rate(), rate()];
    let (from, to) = (prop::option::of(0..DAYS), prop::option::of(1..DAYS));
    let what = (0..3_usize, any::<bool>(), 0..3_u64);
    (what, from, to, rates).prop_map(|((model, exact, context), from, to, rates)| {
        let mut text =
            format!("[[price]]\nmodel = \"{}\"\ncontext_from = {}\n", MODELS[model], context * 100);
        if exact {
            text += "covers = \"exact\"\n";
        }
        for (name, day_of) in
            [("effective_from", from), ("effective_to", to.map(|to| to + from.unwrap_or(0)))]
        {
            if let Some(number) = day_of {
                text += &format!("{name} = \"{}\"\n", day(number));
            }
        }
        let names = ["input", "output", "cache_write_5m", "cache_write_1h", "cache_read"];
        for (name, rate) in names.into_iter().zip(rates) {
            if let Some(rate) = rate {
                text += &format!("{name} = {:?}\n", f64::from(rate) / 4.0);
            }
        }
        text
    })
}

fn call() -> impl Strategy<Value = TokenUsage> {
    (0..MODELS.len(), 0..DAYS * 2, [0..150_u64, 0..150, 0..150, 0..150, 0..150]).prop_map(
        |(model, half, counts)| {
            let [input_tokens, output_tokens, cache_read, cache_create, cache_create_1h] =
                counts.map(|it| it / 3 * 2);
            TokenUsage {
                time: day(0).plus_micros(half * DAY / 2),
                model: Text::new(MODELS[model]),
                input_tokens,
                output_tokens,
                cache_read,
                cache_create,
                cache_create_1h,
                ..usage("", 0, true)
            }
        },
    )
}

async fn the_view_computes_what_the_library_does(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let cases = (prop::collection::vec(price(), 0..8), prop::collection::vec(call(), 1..20));
    let mut runner = TestRunner::deterministic();
    let mut next = 1;
    for _ in 0..40 {
        let (prices, mut calls) = cases.new_tree(&mut runner).unwrap().current();
        let prices = Prices::with_own(&prices.concat()).unwrap();
        for (number, call) in calls.iter_mut().enumerate() {
            call.message_id = Text::new(format!("{number:03}"));
        }
        world.execute("TRUNCATE token_metrics").await;
        copied(&world, &prices).await;
        range.jump(&world, next).await;
        let events: Vec<Event> = calls.iter().cloned().map(Event::TokenUsage).collect();
        range.apply(&events).await;
        next += u64::try_from(events.len()).unwrap();
        let found = world
            .texts("SELECT coalesce(computed_cost_usd::text, '-') FROM token_costs ORDER BY message_id")
            .await;
        for (call, found) in calls.iter().zip(found) {
            match prices.computed(call) {
                None => assert_eq!(found, "-", "{call:?} by {prices:?}"),
                Some(cost) => {
                    let found: f64 =
                        found.parse().unwrap_or_else(|_| panic!("{found} for {call:?} by {prices:?}"));
                    assert!((found - cost).abs() < 1e-12, "{found}, {cost}: {call:?} by {prices:?}");
                }
            }
        }
    }
}

async fn the_database_makes_names_as_plain_as_the_library(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.range().await;
    let piece = prop_oneof![
        Just("claude"),
        Just("-"),
        Just("-v1"),
        Just(":0"),
        Just("."),
        Just("us"),
        Just("anthropic."),
        Just("openai."),
        Just("/"),
        Just("@"),
        Just("[1m]"),
        Just("["),
        Just("]"),
        Just("20250101"),
        Just("-2025-01-01"),
        Just("-latest"),
        Just("A"),
        Just("é"),
        Just("Ä"),
        Just("\n"),
        Just("$"),
        Just(" "),
        Just("1"),
    ];
    let names = prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat());
    let mut runner = TestRunner::deterministic();
    let names: Vec<String> = (0..2_000).map(|_| names.new_tree(&mut runner).unwrap().current()).collect();
    let found = world
        .client
        .query("SELECT tailwater_model(name) FROM unnest($1::text[]) WITH ORDINALITY AS names (name, number) ORDER BY number", &[&names])
        .await
        .unwrap();
    for (name, row) in names.iter().zip(found) {
        assert_eq!(row.get::<_, String>(0), plain(name), "{name:?}");
    }
}

in_the_shared_editions!(
    a_copy_is_made_once_and_leaves_other_rows_alone,
    what_is_reported_counts_and_what_is_unknown_is_null,
    the_view_computes_what_the_library_does,
    the_database_makes_names_as_plain_as_the_library,
);
