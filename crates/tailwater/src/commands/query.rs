//! `tailwater query`: asks the database, or the log where there is none or it is away, and prints.

use query::{Question, ReadError, ReadErrorKind, Reader, Topic};
use serde_json::Value;
use store::DatabaseUrl;
use store::read::{ReadOptions, TimescaleReader};

use crate::access::{self, Missing};
use crate::chart::{Chart, brief};
use crate::cli::{Asked, Format, QueryCommand};
use crate::commands::now;
use crate::config::Config;
use crate::control::Task;
use crate::failure::{Failure, chain};
use crate::output::{self, FIELDS, Look, Screen, Sheet};

/// Asks and prints.
///
/// # Errors
/// Exit code 1 when nothing is found, 2 when the question means nothing or nobody can answer it.
pub(crate) async fn query(config: &Config, command: &QueryCommand) -> Result<(), Failure> {
    let (asked, format) = command.asked();
    let (question, answer) = answered(config, &asked).await?;
    print(&asked, format, &answer, &question)
}

/// What was asked, and its answer: the database's, or the log's where there is none or it is away.
///
/// # Errors
/// Exit code 2 when the question means nothing or nobody can answer it.
pub(super) async fn answered(config: &Config, asked: &Asked) -> Result<(Question, Value), Failure> {
    let now = now();
    let question = Question::parse(asked.topic, &asked.parameters, now)
        .map_err(|error| Failure::error(format!("--{error}")))?;
    let answer = match &config.database {
        Some(database) => match ask_database(database, &question).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ReadErrorKind::Unavailable => {
                let away = chain(&error);
                output::notice(&format!("the log answers, for the database does not: {away}"));
                // NOTE: a log that cannot answer either is not what has to be mended first.
                ask_log(config, asked, now).await.map_err(|_| Failure::error(away))?
            }
            Err(error) => return Err(Failure::error(chain(&error))),
        },
        None => {
            let and_else =
                |failure: Failure| Failure::error(format!("{failure}; or ask a database: --database-url"));
            ask_log(config, asked, now).await.map_err(and_else)?
        }
    };
    Ok((question, answer))
}

/// The columns that a narrow terminal can do without, the first one first; `cli::examples::QUERY` tells them.
const SPARE: &[&str] = &[
    "runtime",
    "host",
    "tool",
    "role",
    "mem_limit_bytes",
    "net_rx_bytes",
    "net_tx_bytes",
    "disk_read_bytes",
    "disk_write_bytes",
    "mem_percent",
    "reported_cost_usd",
    "unpriced_events",
    "cache_create",
    "cache_read",
    "state",
];

/// Of a gap, when it was noticed goes before what it is.
const SPARE_OF_GAPS: &[&str] = &["host", "time", "reason"];

async fn ask_database(database: &DatabaseUrl, question: &Question) -> Result<Value, ReadError> {
    let reader = TimescaleReader::new(database, ReadOptions::default());
    let answer = ask(&reader, question).await;
    reader.close().await;
    answer
}

/// The answer of a reader as JSON.
///
/// # Errors
/// The reader's.
pub(crate) async fn ask(reader: &impl Reader, question: &Question) -> Result<Value, ReadError> {
    let answer = question.ask(reader).await?;
    serde_json::to_value(&answer)
        .map_err(|error| ReadError::new(ReadErrorKind::Fatal, "cannot encode the answer").caused_by(error))
}

async fn ask_log(config: &Config, asked: &Asked, now: event::Time) -> Result<Value, Failure> {
    let (topic, parameters) = (asked.topic, asked.parameters.clone());
    let task = Task::Query { topic, parameters, now_micros: now.micros() };
    access::ask(config, task, Vec::new(), Missing::Refuse, access::print).await
}

/// Prints all columns as JSON or CSV, and the chosen ones as a table. Nothing found is told by the exit code.
fn print(asked: &Asked, format: Format, answer: &Value, question: &Question) -> Result<(), Failure> {
    let rows: &[Value] = match answer {
        Value::Array(rows) => rows,
        Value::Null => &[],
        summary => std::slice::from_ref(summary),
    };
    match format {
        Format::Json if !(rows.is_empty() && answer.is_null()) => output::json(answer)?,
        Format::Csv => sheet(rows, asked.topic.columns(), |_, value| exact(value)).print(Format::Csv)?,
        Format::Table if !rows.is_empty() => table(asked, answer, rows, question)?,
        Format::Json | Format::Table => {}
    }
    match question {
        _ if !rows.is_empty() => Ok(()),
        Question::Summary { agent_name, range } => Err(Failure::unhealthy(format!(
            "no sample and no call of an agent {agent_name:?} from {} to {}",
            range.from(),
            range.to()
        ))),
        _ => Err(nothing_found()),
    }
}

/// The answer has no rows.
pub(super) fn nothing_found() -> Failure {
    Failure::unhealthy("nothing found in this range: widen --from and --to, or the filters")
}

/// The chosen columns; at a terminal as much of them as fits, and the series as sparklines.
fn table(asked: &Asked, answer: &Value, rows: &[Value], question: &Question) -> Result<(), Failure> {
    let screen = Screen::of_stdout();
    let cell = if screen.is_terminal { at_a_glance } else { for_people };
    if answer.is_object() {
        let cells = |column: &&'static str| ((*column).to_owned(), cell(column, field(answer, column)));
        return Sheet::of_fields(asked.columns.iter().map(cells).collect()).show(&screen, &FIELDS);
    }
    let spare = if asked.topic == Topic::Gaps { SPARE_OF_GAPS } else { SPARE };
    sheet(rows, &asked.columns, cell).show(&screen, &Look { spare, ..FIELDS })?;
    let chart = asked.measure.filter(|_| screen.is_terminal);
    let lines = chart.and_then(|measure| Chart::of(question, measure, rows)).map(|it| it.sparklines(&screen));
    match lines.unwrap_or_default() {
        lines if lines.is_empty() => Ok(()),
        lines => output::line(&format!("\n{}", lines.join("\n"))),
    }
}

fn sheet(rows: &[Value], columns: &[&str], cell: fn(&str, &Value) -> String) -> Sheet {
    let cells = |row: &Value| columns.iter().map(|column| cell(column, field(row, column))).collect();
    Sheet {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows: rows.iter().map(cells).collect(),
    }
}

/// The field of a row; the name of a nested one has dots.
fn field<'a>(row: &'a Value, column: &str) -> &'a Value {
    column.split('.').try_fold(row, |object, name| object.get(name)).unwrap_or(&Value::Null)
}

/// A value as it is; null is empty.
fn exact(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// The same, but numbers have two digits behind the point, and dollars four: a short call costs less than a cent.
fn for_people(column: &str, value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && column.ends_with("_usd") => format!("{number:.4}"),
        Some(number) if value.is_f64() => format!("{number:.2}"),
        _ => exact(value),
    }
}

/// The same, and bytes have prefixes, times no fractions.
fn at_a_glance(column: &str, value: &Value) -> String {
    brief(column, for_people(column, value), value.as_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_found_in_rows_and_in_what_is_nested() {
        let row = json!({"agent_name": "a", "cpu": {"avg_percent": 1.234}, "network": null, "count": 7, "cost_usd": 0.00071});
        let check = |column: &str, exactly: &str, told: &str| {
            assert_eq!(exact(field(&row, column)), exactly, "{column}");
            assert_eq!(for_people(column, field(&row, column)), told, "{column}");
        };
        check("agent_name", "a", "a");
        check("cpu.avg_percent", "1.234", "1.23");
        check("network.rx_bytes", "", "");
        check("count", "7", "7");
        check("cost_usd", "0.00071", "0.0007");
        check("absent", "", "");
    }
}
