//! The way round: rows that may meet their keys go through a temporary table, and the rule decides in SQL.
//!
//! 1. a temporary table, gone at COMMIT;
//! 2. COPY into it, as fast as into a plain table;
//! 3. one INSERT: it leaves out what loses to a row that is there, reduces what shares a key within the batch,
//!    and settles by ON CONFLICT what another lane wrote meanwhile. Sorted by key, so that two lanes take their
//!    locks in one order.
//!
//! Leaving out by an anti-join first is what makes a replay cheap: ON CONFLICT locks, and so writes, each row that
//! it then leaves as it is (10,000 rows that are there: 27 to 37 ms against 68 to 73), and would decompress chunks.
//! The times of the batch stand in the statement as constants, so that only their chunks are planned and read;
//! without them the same join read every chunk (400 to 650 ms with four of them).

use std::ops::RangeInclusive;

use event::Time;

use crate::tables::{Rule, Table};

/// Makes the temporary table. It has the table's constraints but for the keys, so that COPY names the row that
/// breaks one, and its defaults, for columns that the owner added.
///
/// NOTE: with the default page cost the planner reads a whole chunk for 3,000 rows (31 ms in a chunk of 288,000,
/// and more as it grows); with this one it looks their keys up (16 ms). For 10,000 rows the two are alike.
pub(crate) fn stage_sql(table: &Table) -> String {
    format!(
        "SET LOCAL random_page_cost = 1.1; CREATE TEMP TABLE tailwater_{name} \
         (LIKE {name} INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING GENERATED) ON COMMIT DROP",
        name = table.name,
    )
}

/// Into the temporary table.
pub(crate) fn copy_sql(table: &Table) -> String {
    format!("COPY pg_temp.tailwater_{} ({}) FROM STDIN (FORMAT binary)", table.name, table.columns.join(", "))
}

/// From the temporary table, whose rows lie within `times`, into the table. One row comes back: how many rows
/// are new.
pub(crate) fn merge_sql(table: &Table, times: RangeInclusive<Time>) -> String {
    let name = table.name;
    let columns = table.columns.join(", ");
    let key = table.key.join(", ");
    let same_key: Vec<String> =
        table.key.iter().map(|column| format!("kept.{column} = staged.{column}")).collect();
    let rest = table.columns.iter().filter(|column| !table.key.contains(column));
    let set: Vec<String> = rest.map(|column| format!("{column} = EXCLUDED.{column}")).collect();
    format!(
        "WITH written AS (
            INSERT INTO {name} AS kept ({columns})
            SELECT DISTINCT ON ({key}) {columns} FROM pg_temp.tailwater_{name} AS staged
            WHERE NOT EXISTS (SELECT FROM {name} AS kept WHERE {same_key}
                AND kept.time BETWEEN '{from}' AND '{to}' AND ({staged_wins}) IS NOT TRUE)
            ORDER BY {key}, {order}
            ON CONFLICT ({key}) DO UPDATE SET {set} WHERE {excluded_wins}
            RETURNING (xmax = 0) AS is_new)
         SELECT count(*) FILTER (WHERE is_new) FROM written",
        same_key = same_key.join(" AND "),
        from = times.start(),
        to = times.end(),
        staged_wins = wins(table.rule, "staged"),
        order = order(table.rule),
        set = set.join(", "),
        excluded_wins = wins(table.rule, "EXCLUDED"),
    )
}

/// Sorts the events of one key, the winner first.
fn order(rule: Rule) -> String {
    match rule {
        Rule::Smaller => "position".to_owned(),
        Rule::Snapshot => format!("CASE WHEN message_id <> '' THEN {} END DESC, position", size("staged")),
    }
}

/// Whether the row that comes beats the row that is there (kept).
fn wins(rule: Rule, comes: &str) -> String {
    let is_earlier = format!("{comes}.log_no = kept.log_no AND {comes}.position < kept.position");
    match rule {
        Rule::Smaller => is_earlier,
        Rule::Snapshot => format!(
            "CASE WHEN {comes}.message_id <> '' AND {new} <> {old} THEN {new} > {old} ELSE {is_earlier} END",
            new = size(comes),
            old = size("kept"),
        ),
    }
}

/// What counts of a snapshot. Numeric, because three counts of 2^63 - 1 are more than a bigint.
fn size(row: &str) -> String {
    format!(
        "({row}.final, {row}.output_tokens, {row}.input_tokens::numeric + {row}.cache_read + {row}.cache_create)"
    )
}
