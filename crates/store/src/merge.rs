//! The SQL of the way round: rows that may meet their keys go through a temporary table, and the rule decides.
//!
//! 1. a temporary table, gone at COMMIT;
//! 2. COPY into it, as fast as into a plain table;
//! 3. a look: how many staged rows the table explains already, by a row of their key that they do not beat;
//! 4. where that is not all of them, one INSERT: it leaves out what loses to a row that is there, reduces what
//!    shares a key within the batch, and settles by ON CONFLICT what another lane wrote meanwhile. Sorted by key,
//!    so that two lanes take their locks in one order;
//! 5. where the numbers of 3 and 4 do not explain every row by themselves, another look. Afterwards every staged
//!    row is explained, or the database has dropped it without a word.
//!
//! A replay ends at the look, which makes it cheap: ON CONFLICT locks, and so writes, each row that it then leaves
//! as it is (10,000 rows that are there: 27 to 37 ms against 68 to 73), and would decompress chunks. The times of
//! the batch stand in the statements as constants, so that only their chunks are planned and read; without them
//! the same join read every chunk (400 to 650 ms with four of them).
//!
//! Measured against the one statement that this was before (an INSERT over an anti-join, which counted nothing),
//! in one run, medians of 13, all rows present in a table of 300,000: 20,000 rows of the log's own 1.03 times its
//! time (29.2 ms and 28.5), 3,000 rows 1.02 times. Comparing contents costs more (20,000 rows of another log: 1.48
//! times), so it is done only when the last batch had met rows of other events, and when this one has to be told.

use std::ops::RangeInclusive;

use event::{Position, Time};

use crate::tables::{PROVENANCE, Rule, Table};

/// Whether the temporary table refuses what the table's CHECKs refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// Yes, so that COPY names the row that breaks one.
    Kept,
    /// No: the rows are only to be looked up.
    Left,
}

/// For a transaction that looks many keys up at a time.
///
/// NOTE: with the default page cost the planner reads a whole chunk for 3,000 rows (31 ms in a chunk of 288,000,
/// and more as it grows); with this one it looks their keys up (16 ms). For 10,000 rows the two are alike.
///
/// NOTE: a chunk that is being filled has statistics of its beginning, by which the table has one row of a batch's
/// times. To keep one row and to compare every staged one with it looks cheap, and was 400 million comparisons (33 s
/// for 20,000 rows). Where nothing may be kept so, the planner makes a hash of one side (31 ms), or looks keys up.
pub(crate) const LOOKUP_SETTINGS: &str = "SET LOCAL random_page_cost = 1.1; SET LOCAL enable_material = off";

/// Makes the temporary table. It has the table's constraints but for the keys, and its defaults, for columns that the
/// owner added.
pub(crate) fn stage_sql(table: &Table, checks: Checks) -> String {
    let constraints = match checks {
        Checks::Kept => "INCLUDING CONSTRAINTS ",
        Checks::Left => "",
    };
    format!(
        "{LOOKUP_SETTINGS}; CREATE TEMP TABLE tailwater_{name} \
         (LIKE {name} {constraints}INCLUDING DEFAULTS INCLUDING GENERATED) ON COMMIT DROP",
        name = table.name,
    )
}

/// Into the temporary table.
pub(crate) fn copy_sql(table: &Table) -> String {
    format!("COPY pg_temp.tailwater_{} ({}) FROM STDIN (FORMAT binary)", table.name, table.columns.join(", "))
}

/// Whether a look compares the contents of an event and the row that its key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Yes.
    Compared,
    /// No: nobody differs.
    Left,
}

/// What of the temporary table a statement is about.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// The rows' times.
    pub(crate) times: RangeInclusive<Time>,
    /// Their positions; `None` is every one.
    pub(crate) positions: Option<RangeInclusive<Position>>,
}

impl Span {
    /// The rows of the temporary table that it has.
    fn staged(&self) -> String {
        self.positions.as_ref().map_or_else(
            || "true".to_owned(),
            |positions| format!("staged.position BETWEEN {} AND {}", positions.start(), positions.end()),
        )
    }

    /// The rows of the table that may share a key with them.
    fn kept(&self) -> String {
        format!("kept.time BETWEEN '{}' AND '{}'", self.times.start(), self.times.end())
    }
}

/// Looks the staged rows up. One row comes back: how many there are; how many are explained; how many have met
/// a row of another event; and how many of those differ from it.
pub(crate) fn look_sql(table: &Table, span: &Span, contents: Contents) -> String {
    let differs = match contents {
        Contents::Compared => format!("count(*) FILTER (WHERE {IS_OTHER} AND {})", differs(table)),
        Contents::Left => "0".to_owned(),
    };
    format!(
        "SELECT count(*), count(*) FILTER (WHERE {explained}), count(*) FILTER (WHERE {IS_OTHER}), {differs}
         FROM {from} WHERE {staged}",
        explained = is_explained(table),
        from = lookup(table, span),
        staged = span.staged(),
    )
}

/// The positions of the staged rows that are not explained.
pub(crate) fn unexplained_sql(table: &Table, span: &Span) -> String {
    format!(
        "SELECT staged.position FROM {from} WHERE ({explained}) IS NOT TRUE",
        from = lookup(table, span),
        explained = is_explained(table),
    )
}

/// The positions of the staged rows that should have a row and have none, one for each key: the winner of those
/// that share it.
pub(crate) fn dropped_sql(table: &Table, span: &Span) -> String {
    let key: Vec<String> = table.key.iter().map(|column| format!("staged.{column}")).collect();
    let key = key.join(", ");
    format!(
        "SELECT position FROM (SELECT DISTINCT ON ({key}) staged.position AS position FROM {from}
         WHERE ({explained}) IS NOT TRUE ORDER BY {key}, {order}) AS dropped ORDER BY position",
        from = lookup(table, span),
        explained = is_explained(table),
        order = order(table.rule),
    )
}

/// Takes rows out of the temporary table.
pub(crate) fn unstage_sql(table: &Table, positions: &[Position]) -> String {
    let positions: Vec<String> = positions.iter().map(ToString::to_string).collect();
    format!("DELETE FROM pg_temp.tailwater_{} WHERE position IN ({})", table.name, positions.join(", "))
}

/// Whether a look has found rows of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// Some.
    Some,
    /// None, so that nothing need be left out.
    None,
}

/// From the temporary table into the table. One row comes back: how many rows are new, and how many were written.
pub(crate) fn merge_sql(table: &Table, span: &Span, met: Met) -> String {
    let name = table.name;
    let columns = table.columns.join(", ");
    let key = table.key.join(", ");
    let rest = table.columns.iter().filter(|column| !table.key.contains(column));
    let set: Vec<String> = rest.map(|column| format!("{column} = EXCLUDED.{column}")).collect();
    let left_out = match met {
        Met::Some => format!(
            "AND NOT EXISTS (SELECT FROM {name} AS kept WHERE {} AND {} AND ({}) IS NOT TRUE)",
            same_key(table),
            span.kept(),
            wins(table.rule, "staged")
        ),
        Met::None => String::new(),
    };
    format!(
        "WITH written AS (
            INSERT INTO {name} AS kept ({columns})
            SELECT DISTINCT ON ({key}) {columns} FROM pg_temp.tailwater_{name} AS staged
            WHERE {staged} {left_out}
            ORDER BY {key}, {order}
            ON CONFLICT ({key}) DO UPDATE SET {set} WHERE {excluded_wins}
            RETURNING (xmax = 0) AS is_new)
         SELECT count(*) FILTER (WHERE is_new), count(*) FROM written",
        staged = span.staged(),
        order = order(table.rule),
        set = set.join(", "),
        excluded_wins = wins(table.rule, "EXCLUDED"),
    )
}

/// The staged rows, each with the row that its key has.
fn lookup(table: &Table, span: &Span) -> String {
    let name = table.name;
    format!(
        "pg_temp.tailwater_{name} AS staged LEFT JOIN {name} AS kept ON {} AND {}",
        same_key(table),
        span.kept()
    )
}

fn same_key(table: &Table) -> String {
    let same: Vec<String> =
        table.key.iter().map(|column| format!("kept.{column} = staged.{column}")).collect();
    same.join(" AND ")
}

/// Whether the row that is there is of another event.
const IS_OTHER: &str =
    "kept.position IS NOT NULL AND (kept.log_no <> staged.log_no OR kept.position <> staged.position)";

/// Whether a staged row has a row of its key that it does not beat.
fn is_explained(table: &Table) -> String {
    format!("kept.position IS NOT NULL AND ({}) IS NOT TRUE", wins(table.rule, "staged"))
}

/// Whether a staged row says something else than the row that its key has.
fn differs(table: &Table) -> String {
    let is_content = |column: &&&str| !table.key.contains(column) && !PROVENANCE.contains(column);
    let contents: Vec<&str> = table.columns.iter().filter(is_content).copied().collect();
    let of = |row: &str| {
        let columns: Vec<String> = contents.iter().map(|column| format!("{row}.{column}")).collect();
        columns.join(", ")
    };
    format!("({}) IS DISTINCT FROM ({})", of("kept"), of("staged"))
}

/// Sorts the events of one key, the winner first.
fn order(rule: Rule) -> String {
    match rule {
        Rule::Smaller => "staged.position".to_owned(),
        Rule::Snapshot => {
            format!("CASE WHEN staged.message_id <> '' THEN {} END DESC, staged.position", size("staged"))
        }
    }
}

/// Whether the row that comes beats the row that is there (kept).
fn wins(rule: Rule, comes: &str) -> String {
    let is_earlier = format!("{comes}.log_no = kept.log_no AND {comes}.position < kept.position");
    match rule {
        Rule::Smaller => is_earlier,
        Rule::Snapshot => format!(
            "CASE WHEN {comes}.log_no = kept.log_no AND {comes}.position = kept.position THEN false \
             WHEN {comes}.message_id <> '' AND {new} <> {old} THEN {new} > {old} ELSE {is_earlier} END",
            new = size(comes),
            old = size("kept"),
        ),
    }
}

/// What counts of a snapshot. Numeric, because three counts of 2^63 - 1 are more than a bigint.
fn size(row: &str) -> String {
    format!(
        "({row}.final, {row}.output_tokens, {row}.input_tokens::numeric + {row}.cache_read + {row}.cache_create, \
          {row}.cost_usd IS NOT NULL)"
    )
}

#[cfg(test)]
mod tests {
    use tokio_postgres::{Client, SimpleQueryMessage};

    use super::*;
    use crate::tables::TABLES;
    use crate::testing::{TestDatabase, TestEdition};
    use crate::{Extension, migrate};

    /// Samples of 100 agents, one of each a second.
    const FILL: &str = "INSERT INTO agent_metrics (time, agent_name, host, log_no, position)
        SELECT '2026-03-01T00:00:00Z'::timestamptz + interval '1 second' * (it / 100), 'agent-' || it % 100, 'host', 1, it
        FROM generate_series({from}, {to}) AS it";
    /// How the plan of a statement keeps rows to compare each other row with.
    const KEEPS: &str = "Materialize";

    async fn run(client: &Client, sql: &str) {
        client.batch_execute(sql).await.unwrap();
    }

    async fn plan(client: &Client, sql: &str) -> String {
        let lines = client.simple_query(&format!("EXPLAIN {sql}")).await.unwrap();
        let text = |line: &SimpleQueryMessage| match line {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        lines.iter().filter_map(text).collect::<Vec<_>>().join("\n")
    }

    /// A chunk whose statistics are those of its first minutes, and a batch of its last ones.
    async fn plans_behind_the_statistics(edition: TestEdition) {
        let Some(database) = TestDatabase::create_in(edition).await else { return };
        migrate(database.url(), Extension::Create).await.unwrap();
        let client = database.client().await;
        let fill =
            |from: u32, to: u32| FILL.replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
        let run = async |sql: &str| run(&client, sql).await;
        run("INSERT INTO tailwater_logs (log_id, host) VALUES (gen_random_uuid(), 'host')").await;
        run(&format!("{}; ANALYZE agent_metrics", fill(1, 10_000))).await;
        run("SET max_parallel_workers_per_gather = 0; BEGIN").await;
        run(&fill(10_001, 600_000)).await;
        let [table, ..] = TABLES;
        run(&stage_sql(table, Checks::Kept)).await;
        run(
            "INSERT INTO pg_temp.tailwater_agent_metrics SELECT * FROM agent_metrics WHERE position > 570000",
        )
        .await;
        let of = |second: i64| Time::from_micros((1_772_323_200 + second) * 1_000_000);
        let span = Span { times: of(5_700)..=of(6_000), positions: None };
        let statements = [
            look_sql(table, &span, Contents::Left),
            look_sql(table, &span, Contents::Compared),
            unexplained_sql(table, &span),
            dropped_sql(table, &span),
            merge_sql(table, &span, Met::Some),
        ];
        for sql in &statements {
            let plan = plan(&client, sql).await;
            assert!(!plan.contains(KEEPS), "{sql}\n{plan}");
        }
        run("SET LOCAL enable_material = on").await;
        let plan = plan(&client, &statements[0]).await;
        assert!(plan.contains(KEEPS), "nothing leads the planner astray here:\n{plan}");
        run("ROLLBACK").await;
        database.drop().await;
    }

    #[tokio::test]
    async fn no_row_is_compared_with_all_of_a_batchs_times() {
        plans_behind_the_statistics(TestEdition::Apache).await;
    }

    #[tokio::test]
    async fn no_row_is_compared_with_all_of_a_batchs_times_in_plain_postgresql() {
        plans_behind_the_statistics(TestEdition::Plain).await;
    }
}
