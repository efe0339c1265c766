//! `tailwater log stat`: its identity and its size.

use crate::access::{self, Missing};
use crate::cli::{Format, FormatArgs};
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::output::{self, Sheet};
use crate::service::{HoleObject, LogStatAnswer};

/// Prints the log in numbers.
///
/// # Errors
/// When there is no log, or it cannot be read.
pub(super) async fn stat(config: &Config, args: &FormatArgs) -> Result<(), Failure> {
    let answer = access::ask(config, Task::LogStat, Vec::new(), Missing::Refuse, access::print).await?;
    if args.format == Format::Json {
        return output::json(&answer);
    }
    let stat: LogStatAnswer = access::understood(answer)?;
    let people = args.format == Format::Table;
    let bytes = if people { output::bytes(stat.log.bytes) } else { stat.log.bytes.to_string() };
    let per_event = stat.bytes_per_event.map(|bytes| format!("{bytes:.1}")).unwrap_or_default();
    Sheet::of_fields(vec![
        ("id", stat.log.id),
        ("host", stat.log.host),
        ("first_position", stat.log.first_position.to_string()),
        ("next_position", stat.log.next_position.to_string()),
        ("durable_position", stat.log.durable_position.to_string()),
        ("events", stat.events.to_string()),
        ("bytes", bytes),
        ("bytes_per_event", per_event),
        ("segments", stat.segments.to_string()),
        ("holes", if people { in_words(&stat.holes) } else { stat.holes.len().to_string() }),
    ])
    .print(args.format)
}

/// How many holes there are, and of what.
fn in_words(holes: &[HoleObject]) -> String {
    let mut causes: Vec<(&str, u64)> = Vec::new();
    for hole in holes {
        match causes.iter_mut().find(|(cause, _)| *cause == hole.cause) {
            Some((_, events)) => *events += hole.events,
            None => causes.push((&hole.cause, hole.events)),
        }
    }
    let causes = causes.iter().map(|(cause, events)| format!("{} {cause}", output::count(*events)));
    match causes.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "0".to_owned(),
        causes => format!("{} ({causes})", holes.len()),
    }
}
