//! `tailwater query`: reading what was projected.

use query::{
    AgentFilter, AgentLatest, AgentRow, AgentSeries, Buckets, Interval, ReadError, Reader, RequestError, Row,
    SystemFilter, SystemRow, SystemSeries, TimeRange,
};
use serde::Serialize;
use store::read::{ReadOptions, TimescaleReader};

use crate::cli::{
    AgentFilterArgs, AgentLatestArgs, AgentSeriesArgs, AgentSummaryArgs, AgentsCommand, Format, Metric,
    QueryCommand, RangeArgs, SystemSeriesArgs,
};
use crate::commands::now;
use crate::commands::project::no_database;
use crate::config::Config;
use crate::failure::{Failure, chain};
use crate::output::{self, Sheet};

/// Reads and prints.
///
/// # Errors
/// Exit code 1 when nothing is found, 2 when the request means nothing or the database is away.
pub(crate) async fn query(config: &Config, command: &QueryCommand) -> Result<(), Failure> {
    let database = config.database.as_ref().ok_or_else(no_database)?;
    let reader = TimescaleReader::new(database, ReadOptions::default());
    match command {
        QueryCommand::System(args) => system(&reader, args).await,
        QueryCommand::Agents(AgentsCommand::Cpu(args)) => agents(&reader, args, Metric::Cpu).await,
        QueryCommand::Agents(AgentsCommand::Mem(args)) => agents(&reader, args, Metric::Mem).await,
        QueryCommand::Agents(AgentsCommand::Net(args)) => agents(&reader, args, Metric::Net).await,
        QueryCommand::Agents(AgentsCommand::Disk(args)) => agents(&reader, args, Metric::Disk).await,
        QueryCommand::Agents(AgentsCommand::Latest(args)) => latest(&reader, args).await,
        QueryCommand::Agents(AgentsCommand::Summary(args)) => summary(&reader, args).await,
    }
}

async fn system(reader: &TimescaleReader, args: &SystemSeriesArgs) -> Result<(), Failure> {
    let get = |name: &str| match name {
        "system" => args.system.as_deref(),
        "host" => args.host.as_deref(),
        _ => None,
    };
    let request = SystemSeries {
        buckets: buckets(&args.range, args.interval.as_deref())?,
        filter: SystemFilter::parse(get).map_err(bad_request)?,
    };
    let rows = reader.system_series(&request).await.map_err(read_failure)?;
    print_rows::<SystemRow>(&rows, &["time", "system_name", "host"], columns(args.metric), args.format.format)
}

async fn agents(reader: &TimescaleReader, args: &AgentSeriesArgs, metric: Metric) -> Result<(), Failure> {
    let request = AgentSeries {
        buckets: buckets(&args.range, args.interval.as_deref())?,
        filter: agent_filter(&args.filter)?,
    };
    let rows = reader.agent_series(&request).await.map_err(read_failure)?;
    print_rows::<AgentRow>(
        &rows,
        &["time", "agent_name", "host", "state"],
        columns(metric),
        args.format.format,
    )
}

async fn latest(reader: &TimescaleReader, args: &AgentLatestArgs) -> Result<(), Failure> {
    let (from, to) = (args.range.from.as_deref(), args.range.to.as_deref());
    let request = AgentLatest {
        range: AgentLatest::parse_range(from, to, now()).map_err(bad_request)?,
        filter: agent_filter(&args.filter)?,
    };
    let rows = reader.agent_latest(&request).await.map_err(read_failure)?;
    let head = ["agent_name", "host", "time", "role", "tool", "runtime", "state"];
    print_rows::<AgentRow>(
        &rows,
        &head,
        &["cpu_percent", "mem_used_bytes", "mem_percent"],
        args.format.format,
    )
}

async fn summary(reader: &TimescaleReader, args: &AgentSummaryArgs) -> Result<(), Failure> {
    let (from, to) = (args.range.from.as_deref(), args.range.to.as_deref());
    let range = TimeRange::parse(from, to, now()).map_err(bad_request)?;
    let summary = reader.agent_summary(&args.agent, range).await.map_err(read_failure)?;
    let summary = summary.ok_or_else(|| {
        Failure::unhealthy(format!(
            "no sample of an agent {:?} from {} to {}",
            args.agent,
            range.from(),
            range.to()
        ))
    })?;
    match args.format.format {
        Format::Json => output::json(&summary),
        Format::Csv => sheet(std::slice::from_ref(&summary), None).print(Format::Csv),
        Format::Table => {
            let values: Vec<String> = summary.values().map(|value| cell(value, true)).collect();
            let columns = query::AgentSummary::COLUMNS.iter().copied();
            Sheet::of_fields(columns.zip(values).collect()).print(Format::Table)
        }
    }
}

/// Prints all columns as JSON or CSV, and the chosen ones as a table. Nothing found is told by the exit code.
fn print_rows<R: Row + Serialize>(
    rows: &[R],
    head: &[&str],
    columns: &[&str],
    format: Format,
) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&rows)?,
        Format::Csv => sheet(rows, None).print(format)?,
        Format::Table if rows.is_empty() => {}
        Format::Table => sheet(rows, Some(&[head, columns].concat())).print(format)?,
    }
    if rows.is_empty() {
        return Err(Failure::unhealthy("nothing found in this range: widen --from and --to, or the filters"));
    }
    Ok(())
}

/// The rows' chosen columns, or all of them.
fn sheet<R: Row>(rows: &[R], chosen: Option<&[&str]>) -> Sheet {
    let columns: Vec<&str> = match chosen {
        Some(chosen) => chosen.to_vec(),
        None => R::COLUMNS.to_vec(),
    };
    let indices: Vec<usize> =
        columns.iter().filter_map(|name| R::COLUMNS.iter().position(|column| column == name)).collect();
    let cells = |row: &R| {
        let values: Vec<String> = row.values().map(|value| cell(value, chosen.is_some())).collect();
        indices.iter().filter_map(|index| values.get(*index).cloned()).collect()
    };
    Sheet {
        columns: columns.into_iter().map(str::to_owned).collect(),
        rows: rows.iter().map(cells).collect(),
    }
}

/// A value for a cell; for people, numbers have two digits behind the point.
fn cell(value: query::Value<'_>, for_people: bool) -> String {
    match value {
        query::Value::Number(number) if for_people => format!("{number:.2}"),
        value => value.to_string(),
    }
}

const fn columns(metric: Metric) -> &'static [&'static str] {
    match metric {
        Metric::Cpu => &["cpu_percent"],
        Metric::Mem => &["mem_used_bytes", "mem_limit_bytes", "mem_percent"],
        Metric::Net => &["net_rx_bytes", "net_tx_bytes", "net_rx_per_second", "net_tx_per_second"],
        Metric::Disk => {
            &["disk_read_bytes", "disk_write_bytes", "disk_read_per_second", "disk_write_per_second"]
        }
    }
}

fn buckets(range: &RangeArgs, interval: Option<&str>) -> Result<Buckets, Failure> {
    let range = TimeRange::parse(range.from.as_deref(), range.to.as_deref(), now()).map_err(bad_request)?;
    let interval = Interval::parse(interval).map_err(bad_request)?;
    Buckets::new(range, interval).map_err(bad_request)
}

fn agent_filter(args: &AgentFilterArgs) -> Result<AgentFilter, Failure> {
    let get = |name: &str| match name {
        "agent" => args.agent.as_deref(),
        "role" => args.role.as_deref(),
        "tool" => args.tool.as_deref(),
        "runtime" => args.runtime.as_deref(),
        "state" => args.state.as_deref(),
        "host" => args.host.as_deref(),
        _ => None,
    };
    AgentFilter::parse(get).map_err(bad_request)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn bad_request(error: RequestError) -> Failure {
    Failure::error(format!("--{error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn read_failure(error: ReadError) -> Failure {
    Failure::error(chain(&error))
}
