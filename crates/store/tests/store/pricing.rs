//! Prices in the database: they are mirrored, others' rows stay, and the view computes what `usage::prices` computes.

use event::{Time, TokenUsage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use query::fold::TokenSeriesFold;
use query::{
    Buckets, Cut, Days, GroupKey, Groups, Interval, Reader, TimeRange, TokenFilter, TokenRow, TokenSeries,
    TokensUsed,
};
use store::read::{ReadOptions, TimescaleReader};
use store::testing::TestDatabase;
use store::{Extension, ModelPrice, PriceList, PriceSource, PricesOutcome, mirror_prices};
use usage::prices::{Origin, Prices, Trust};

const JANUARY: i64 = 1_767_225_600; // 2026-01-01T00:00:00Z
const DAY: i64 = 86_400_000_000;

fn day(number: i64) -> Time {
    Time::from_micros(JANUARY * 1_000_000 + number * DAY)
}

fn list(prices: &Prices, host: &str) -> PriceList {
    let row = |price: &usage::prices::Price| {
        let rates = |it: &usage::prices::Rates| {
            [it.input, it.output, it.cache_write_5m, it.cache_write_1h, it.cache_read]
        };
        ModelPrice {
            provider: price.provider.clone(),
            model: price.model.clone(),
            matches: price.matches.as_str(),
            effective_from: price.effective_from,
            effective_to: price.effective_to,
            rates: rates(&price.rates),
            long_context_above_tokens: price.long_context.map(|long| long.above_tokens),
            long_rates: price.long_context.map_or([None; 5], |long| rates(&long.rates)),
            source: if price.origin == Origin::Own { PriceSource::Own } else { PriceSource::Embedded },
            is_checked: price.trust == Trust::Checked,
        }
    };
    PriceList { host: host.to_owned(), rows: prices.rows().iter().map(row).collect() }
}

async fn migrated(extension: Extension) -> Option<TestDatabase> {
    let database = TestDatabase::create().await?;
    store::migrate(database.url(), extension).await.unwrap();
    Some(database)
}

async fn count(database: &TestDatabase, rows: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM model_prices WHERE {rows}");
    database.client().await.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn prices_are_mirrored_once_and_rows_of_others_stay() {
    let Some(database) = migrated(Extension::Leave).await else { return };
    let embedded = Prices::embedded().unwrap();
    let rows = embedded.rows().len() as u64;
    let told =
        async |prices: &Prices, host| mirror_prices(database.url(), &list(prices, host)).await.unwrap();
    assert_eq!(told(&embedded, "a").await, PricesOutcome { made: rows, removed: 0 });
    assert_eq!(told(&embedded, "a").await, PricesOutcome::default());

    let own = |input: u32| {
        let text = format!("[[price]]\nmodel = 'm'\ninput = {input}\neffective_from = 2026-01-02\n");
        embedded.clone().with_own(&text).unwrap()
    };
    assert_eq!(told(&own(1), "a").await, PricesOutcome { made: 1, removed: 0 });
    assert_eq!(told(&own(2), "b").await, PricesOutcome { made: 1, removed: 0 });
    let by_hand = "INSERT INTO model_prices (model, input) VALUES ('m', 3)";
    database.client().await.batch_execute(by_hand).await.unwrap();
    assert_eq!(told(&own(4), "a").await, PricesOutcome { made: 1, removed: 1 }, "a changed price");
    assert_eq!(told(&own(4), "a").await, PricesOutcome::default());
    assert_eq!(count(&database, "host = 'b' AND input = 2").await, 1);
    assert_eq!(told(&embedded, "a").await, PricesOutcome { made: 0, removed: 1 }, "the file is gone");
    assert_eq!(count(&database, "source = 'manual'").await, 1);
    assert_eq!(told(&Prices::default(), "a").await, PricesOutcome { made: 0, removed: rows });
    assert_eq!(count(&database, "true").await, 2, "the other host's and the one by hand");
    database.drop().await;
}

/// A file of prices, rows for names that lie near to each other.
fn own_text() -> impl Strategy<Value = String> {
    let rate = || option::weighted(0.8, 0_u32..4_000);
    let row = (
        select(MODELS.to_vec()),
        select(vec!["model", "family", "exact"]),
        option::of(0_i64..6),
        option::of(6_i64..9),
        [rate(), rate(), rate(), rate(), rate()],
        option::of((0_u64..3_000, [rate(), rate(), rate(), rate(), rate()])),
    );
    vec(row, 0..8).prop_map(|rows| {
        let mut text = String::new();
        let mut seen = Vec::new();
        for (model, matches, from, to, rates, long) in rows {
            let key = (usage::prices::plain_name(model), matches, from);
            if key.0.is_empty() || seen.contains(&key) || rates.iter().all(Option::is_none) {
                continue;
            }
            seen.push(key);
            text += &format!("[[price]]\nmodel = {model:?}\nmatch = {matches:?}\n");
            for (name, at) in [("effective_from", from), ("effective_to", to)] {
                text += &at.map_or_else(String::new, |at| format!("{name} = '{}'\n", day(at)));
            }
            text += &lines(rates);
            if let Some((above, rates)) = long {
                text += &format!("[price.long_context]\nabove_tokens = {above}\n{}", lines(rates));
            }
        }
        text
    })
}

fn lines(rates: [Option<u32>; 5]) -> String {
    let names = ["input", "output", "cache_write_5m", "cache_write_1h", "cache_read"];
    let line = |(name, rate): (&str, Option<u32>)| {
        rate.map(|rate| format!("{name} = {}.{:02}\n", rate / 100, rate % 100)).unwrap_or_default()
    };
    names.into_iter().zip(rates).map(line).collect()
}

const MODELS: [&str; 24] = [
    "gpt-5",
    "gpt-5-nano",
    "gpt-50",
    "gpt-5.1",
    "GPT-5-2025-08-07",
    "gpt-5-2025-08-0",
    "gpt-5-latest",
    "gpt-5-v12:0[1m]",
    "gpt",
    "gpt-5-",
    "gpt-5_x",
    "azure/gpt-5",
    "openai.gpt-5",
    "eu.openai.gpt-5",
    "x1.openai.gpt-5",
    "anthropic.openai.gpt-5",
    "claude-opus-4-20250514",
    "claude-opus-4-5@20251101",
    "us.anthropic.claude-opus-4-1-20250805-v1:0",
    "claude-sonnet-4-5[1m]",
    "a/b/claude-3-haiku",
    "claude\u{e9}",
    "\u{c4}/gpt-5\u{df}",
    "a/",
];

fn call() -> impl Strategy<Value = TokenUsage> {
    let tokens = || prop_oneof![3 => Just(0_u64), 5 => 1_u64..2_000, 1 => 100_000_u64..400_000, 1 => Just(i64::MAX as u64)];
    (
        select(MODELS.to_vec()),
        (0_i64..10, select(vec![-1_i64, 0, 1])),
        [tokens(), tokens(), tokens(), tokens(), tokens()],
        option::weighted(0.2, 0.0..9.0),
    )
        .prop_map(|(model, (number, beside), tokens, cost_usd)| {
            let [input_tokens, output_tokens, cache_read, cache_create, cache_create_1h] = tokens;
            TokenUsage {
                time: day(number).plus_micros(beside),
                model: model.into(),
                input_tokens,
                output_tokens,
                cache_read,
                cache_create,
                cache_create_1h,
                cost_usd,
                ..TokenUsage::default()
            }
        })
}

/// What the view says of calls, in their order: the cost that counts, and the computed one.
async fn costs(database: &TestDatabase, calls: &[TokenUsage]) -> Vec<(Option<f64>, Option<f64>)> {
    let client = database.client().await;
    let row = |(index, it): (usize, &TokenUsage)| {
        let cost = it.cost_usd.map_or("NULL".to_owned(), |cost| cost.to_string());
        let tokens = [it.input_tokens, it.output_tokens, it.cache_read, it.cache_create, it.cache_create_1h];
        let tokens = tokens.map(|tokens| tokens.to_string()).join(", ");
        format!("('{}', 'a', '{}', {tokens}, {cost}, '{index}', 'own', 1, {index})", it.time, it.model)
    };
    let rows: Vec<String> = calls.iter().enumerate().map(row).collect();
    let sql = format!(
        "TRUNCATE token_metrics; INSERT INTO token_metrics (time, agent_name, model, input_tokens, output_tokens, \
         cache_read, cache_create, cache_create_1h, cost_usd, message_id, host, log_no, position) VALUES {}",
        rows.join(", ")
    );
    client.batch_execute(&sql).await.unwrap();
    let sql = "SELECT cost_usd, computed_cost_usd FROM token_costs ORDER BY position";
    client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn is_close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        (a, b) => a == b,
    }
}

/// Prices of another host, which must not be seen.
const OTHERS: &str = "INSERT INTO model_prices (model, matches, input, host, source)
    VALUES ('gpt-5', 'model', 9, 'other', 'prices.toml'), ('gpt', 'family', 9, 'other', 'manual')";

async fn compare(extension: Extension) {
    let Some(database) = migrated(extension).await else { return };
    database.client().await.batch_execute(OTHERS).await.unwrap();
    let reader = TimescaleReader::new(database.url(), ReadOptions::default());
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let cases = (own_text(), vec(call(), 1..30));
    let ran = tokio::task::block_in_place(|| {
        runner.run(&cases, |(text, calls)| {
            let prices = Prices::embedded().unwrap().with_own(&text);
            // Two spellings of one name are a row that is there twice: no file to compare with.
            let Ok(prices) = prices else { return Err(TestCaseError::reject("a row twice")) };
            let got = tokio::runtime::Handle::current().block_on(async {
                mirror_prices(database.url(), &list(&prices, "own")).await.unwrap();
                costs(&database, &calls).await
            });
            let reading = check_series(&reader, &prices, &calls);
            tokio::runtime::Handle::current().block_on(reading);
            for (call, (cost, computed)) in calls.iter().zip(got) {
                let expected = prices.computed_cost(call);
                prop_assert!(
                    is_close(computed, expected),
                    "{computed:?} is not {expected:?}: {call:?} {text}"
                );
                prop_assert!(is_close(cost, prices.cost(call)), "{cost:?}: {call:?}");
            }
            Ok(())
        })
    });
    ran.unwrap();
    reader.close().await;
    database.drop().await;
}

/// The reader's rows are those of the fold, cut and grouped in every way.
async fn check_series(reader: &TimescaleReader, prices: &Prices, calls: &[TokenUsage]) {
    let calls: Vec<TokenUsage> = calls
        .iter()
        .enumerate()
        .map(|(index, call)| TokenUsage {
            agent_name: "a".into(),
            message_id: index.to_string().into(),
            ..call.clone()
        })
        .collect();
    let range = TimeRange::new(day(1).plus_micros(-1), day(9)).unwrap();
    let buckets =
        |interval| Cut::Buckets(Buckets::new(range, Interval::parse(Some(interval)).unwrap()).unwrap());
    let days = |zone| Cut::Days(Days::new(range, zone).unwrap());
    let cuts = [Cut::Whole(range), buckets("1d"), buckets("7h"), days("America/New_York"), days("UTC")];
    let groups = [Groups::ALL, Groups::of(&[GroupKey::Model]), Groups::of(&[])];
    let pricing = |usage: &TokenUsage, _: &str| prices.computed_cost(usage);
    for (cut, by) in cuts.iter().flat_map(|cut| groups.map(|by| (cut, by))) {
        let request = TokenSeries { cut: cut.clone(), by, filter: TokenFilter::default() };
        let mut fold = TokenSeriesFold::new(&request, "own", &pricing);
        calls.iter().for_each(|call| fold.push(call));
        let (got, expected) = (reader.token_series(&request).await.unwrap(), fold.finish());
        assert_eq!(got.len(), expected.len(), "{request:?}");
        for (got, expected) in got.iter().zip(&expected) {
            let (one, other) = (got.used, expected.used);
            assert!(is_close(one.cost_usd, other.cost_usd), "{got:?} {expected:?} {request:?}");
            assert!(is_close(one.reported_cost_usd, other.reported_cost_usd), "{got:?} {expected:?}");
            let counts = |row: &TokenRow| {
                let used = TokensUsed { cost_usd: None, reported_cost_usd: None, ..row.used };
                TokenRow { used, ..row.clone() }
            };
            assert_eq!(counts(got), counts(expected), "{request:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_computes_what_the_library_computes() {
    compare(Extension::Create).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_computes_the_same_without_timescaledb() {
    compare(Extension::Leave).await;
}

#[tokio::test]
async fn rows_by_hand_come_first_and_models_without_a_price_are_told() {
    let Some(database) = migrated(Extension::Leave).await else { return };
    let embedded = Prices::embedded().unwrap();
    mirror_prices(database.url(), &list(&embedded, "own")).await.unwrap();
    let by_hand = "INSERT INTO model_prices (model, input) VALUES ('gpt-5', 9)";
    database.client().await.batch_execute(by_hand).await.unwrap();
    let call = |model: &str, cost_usd| TokenUsage {
        time: std::time::SystemTime::now().into(),
        model: model.into(),
        input_tokens: 1_000_000,
        cost_usd,
        ..TokenUsage::default()
    };
    let calls =
        [call("gpt-5", None), call("x", None), call("x", None), call("y", None), call("z", Some(1.0))];
    let got = costs(&database, &calls).await;
    assert_eq!(got[0], (Some(9.0), Some(9.0)));
    assert_eq!(got[4], (Some(1.0), None));
    let seen = store::prices_seen(database.url(), 1).await.unwrap();
    assert_eq!(seen.unpriced, [("x".to_owned(), 2), ("y".to_owned(), 1)]);
    assert_eq!(seen.rows, embedded.rows().len() as u64 + 1);
    database.drop().await;
}
