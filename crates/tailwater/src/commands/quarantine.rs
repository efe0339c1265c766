//! `tailwater quarantine`: the events that the database has refused.

use serde_json::Value;
use store::DatabaseUrl;

use crate::access::{self, Missing};
use crate::cli::{DropArgs, Format, ListArgs, QuarantineCommand, RetryArgs, ShowArgs, WhichArgs};
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output::{self, Sheet};
use crate::service::{DropAnswer, QuarantineAction, QuarantineRow, RetryAnswer, ShowAnswer, Which};

const COLUMNS: [&str; 5] = ["position", "kind", "sqlstate", "message", "at"];

/// Does what is asked of the quarantine.
///
/// # Errors
/// Exit code 1 when an event is not there, or is refused again; 2 when the database is away.
pub(crate) async fn quarantine(config: &Config, command: &QuarantineCommand) -> Result<(), Failure> {
    match command {
        QuarantineCommand::List(args) => list(config, args).await,
        QuarantineCommand::Show(args) => show(config, args).await,
        QuarantineCommand::Retry(args) => retry(config, args).await,
        QuarantineCommand::Drop(args) => drop_events(config, args).await,
    }
}

async fn ask(
    config: &Config,
    action: QuarantineAction,
    tell: impl FnMut(Told) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let database_url = config.database.as_ref().map(DatabaseUrl::secret);
    let task = Task::Quarantine { database_url, action };
    access::ask(config, task, Vec::new(), Missing::Refuse, tell).await
}

impl From<&WhichArgs> for Which {
    fn from(args: &WhichArgs) -> Self {
        let WhichArgs { sqlstate, kind, from, to } = args;
        Self { from: *from, to: *to, kind: kind.clone(), sqlstate: sqlstate.clone() }
    }
}

/// Prints the list as it comes, but for the table, whose columns are as wide as their widest cell.
async fn list(config: &Config, args: &ListArgs) -> Result<(), Failure> {
    let format = args.format.format;
    let head = output::csv_line(&COLUMNS.map(str::to_owned)) + "\n";
    let mut table = Sheet { columns: COLUMNS.map(str::to_owned).to_vec(), rows: Vec::new() };
    let mut before = match format {
        Format::Csv => head.as_str(),
        Format::Table | Format::Json => "[",
    };
    let show = |told: Told| {
        let Told::Lines(lines) = told else { return access::print(told) };
        let mut text = String::new();
        for line in lines.lines() {
            let row = understood(line)?;
            match format {
                Format::Table => table.rows.push(cells(row)),
                Format::Json => text.extend([std::mem::replace(&mut before, ","), line]),
                Format::Csv => {
                    text.push_str(std::mem::take(&mut before));
                    text.push_str(&output::csv_line(&cells(row)));
                    text.push('\n');
                }
            }
        }
        output::lines(&text)
    };
    ask(config, QuarantineAction::List { which: Which::from(&args.which) }, show).await?;
    match format {
        Format::Json => output::line(if before == "[" { "[]" } else { "]" }),
        Format::Csv => output::lines(before),
        Format::Table if table.rows.is_empty() => Ok(()),
        Format::Table => table.print(format),
    }
}

fn understood(line: &str) -> Result<QuarantineRow, Failure> {
    serde_json::from_str(line)
        .map_err(|error| Failure::error(format!("the daemon's answer makes no sense: {error}")))
}

fn cells(row: QuarantineRow) -> Vec<String> {
    vec![row.position.to_string(), row.kind, row.sqlstate, row.message, row.at]
}

async fn show(config: &Config, args: &ShowArgs) -> Result<(), Failure> {
    let action = QuarantineAction::Show { position: args.position };
    let answer = ask(config, action, access::print).await?;
    let format = args.format.format;
    if format == Format::Json {
        return output::json(&answer);
    }
    let ShowAnswer { row, event } = access::understood(answer)?;
    let mut fields: Vec<(String, String)> = COLUMNS.map(str::to_owned).into_iter().zip(cells(row)).collect();
    let event = event.as_ref().and_then(Value::as_object);
    if event.is_none() {
        fields.push(("event".to_owned(), "of a newer version: an upgrade can read it".to_owned()));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let event = event.into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.extend(event.map(|(name, value)| (format!("event.{name}"), text(value))));
    Sheet::of_fields(fields).print(format)
}

async fn retry(config: &Config, args: &RetryArgs) -> Result<(), Failure> {
    let action = QuarantineAction::Retry { which: Which::from(&args.which), dry_run: args.dry_run };
    let answer = ask(config, action, access::print).await?;
    let it: RetryAnswer = access::understood(answer.clone())?;
    match args.format.format {
        Format::Json => output::json(&answer)?,
        Format::Csv => Sheet::of_fields(fields(&answer)).print(Format::Csv)?,
        Format::Table => {
            let (would, stays) = if it.dry_run { ("would land", "would stay") } else { ("landed", "stay") };
            let landed = output::count(it.inserted + it.present);
            let (present, refused) = (output::count(it.present), output::count(it.refused));
            output::line(&format!("{landed} {would} ({present} present already), {refused} {stays}"))?;
        }
    }
    match it.refused {
        0 => Ok(()),
        refused => Err(Failure::unhealthy(format!(
            "{} refused again: `tailwater quarantine list` tells why",
            output::counted(refused, "event")
        ))),
    }
}

async fn drop_events(config: &Config, args: &DropArgs) -> Result<(), Failure> {
    let action = QuarantineAction::Drop { which: Which::from(&args.which), dry_run: args.dry_run };
    let answer = ask(config, action, access::print).await?;
    let it: DropAnswer = access::understood(answer.clone())?;
    match args.format.format {
        Format::Json => output::json(&answer),
        Format::Csv => Sheet::of_fields(fields(&answer)).print(Format::Csv),
        Format::Table => {
            let did = if it.dry_run { "would be given up" } else { "given up" };
            let (dropped, left) = (output::counted(it.dropped, "event"), output::count(it.quarantined));
            output::line(&format!("{dropped} {did}, {left} in quarantine now"))
        }
    }
}

/// The fields of an answer that is one flat object.
fn fields(answer: &Value) -> Vec<(String, String)> {
    let fields = answer.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), value.to_string())).collect()
}
