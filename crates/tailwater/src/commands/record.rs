//! `tailwater record`: NDJSON from standard input into the log.

use std::io::{IsTerminal, Read};

use event::limits::REQUEST_BYTES_MAX;

use crate::access::{self, Missing};
use crate::cli::RecordArgs;
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::output;
use crate::service::blocking;

/// Reads all of standard input, has it recorded, and prints where it lies.
///
/// # Errors
/// When a line is bad or the log does not take it: nothing was recorded.
pub(crate) async fn record(config: &Config, args: &RecordArgs) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        output::notice("reading events from the terminal, one JSON object a line; end with Ctrl-D");
    }
    let body = blocking(read_input).await?;
    let task = Task::Record { skip_invalid: args.skip_invalid, bytes: body.len() as u64 };
    let answer = access::ask(config, task, body, Missing::Create, access::print).await?;
    output::json(&answer).map_err(|failure| Failure::error(format!("recorded {answer}, but {failure}")))
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
