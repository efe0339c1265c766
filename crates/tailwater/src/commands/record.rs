//! `tailwater record`: NDJSON from standard input into the log, or one event that flags spell out.

use std::io::{IsTerminal, Read};

use anyhow::Context;
use event::limits::REQUEST_BYTES_MAX;
use serde_json::Value;

use crate::access::{self, Missing};
use crate::cli::{EventFlags, RecordArgs};
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::output;
use crate::service::blocking;

/// Reads all of standard input, or makes the line that the flags say; has it recorded, and prints where it lies.
///
/// # Errors
/// When a line or a flag is bad or the log does not take it: nothing was recorded.
pub(crate) async fn record(config: &Config, args: &RecordArgs) -> Result<(), Failure> {
    let body = match &args.event {
        Some(_) if args.skip_invalid => {
            return Err(Failure::error(
                "--skip-invalid is for standard input: leave it out; nothing was recorded",
            ));
        }
        Some(event) => line_of(event)?,
        None => {
            if std::io::stdin().is_terminal() {
                output::notice("reading events from the terminal, one JSON object a line; end with Ctrl-D");
            }
            blocking(read_input).await?
        }
    };
    let task = Task::Record { skip_invalid: args.skip_invalid, bytes: body.len() as u64 };
    let answer = access::ask(config, task, body, Missing::Create, access::print).await?;
    output::json(&answer).map_err(|failure| Failure::error(format!("recorded {answer}, but {failure}")))
}

/// The line of an event that is now, unless its flags say when it was.
fn line_of(event: &EventFlags) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_value(event).context("cannot write the event")?;
    if let Some(fields) = line.as_object_mut() {
        fields.entry("time").or_insert_with(|| Value::String(super::now().to_string()));
    }
    let line = line.to_string().into_bytes();
    // NOTE: the daemon would say the same of a line 1, which nobody has written here.
    event::json::parse_line(&line)
        .map_err(|problem| Failure::error(format!("{problem}; nothing was recorded")))?;
    Ok(line)
}

/// All of standard input, one byte more than a request may have at the most.
fn read_input() -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let most = REQUEST_BYTES_MAX as u64 + 1;
    std::io::stdin().lock().take(most).read_to_end(&mut body).map_err(|error| {
        Failure::error(format!("cannot read standard input: {error}; nothing was recorded"))
    })?;
    if body.len() > REQUEST_BYTES_MAX {
        return Err(Failure::error(format!(
            "standard input has more than {REQUEST_BYTES_MAX} bytes: record it in several parts; nothing was recorded"
        )));
    }
    Ok(body)
}
