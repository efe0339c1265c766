//! Recording NDJSON: all of a request, or nothing.

use event::Event;
use event::json::{self, ParseError};
use event::limits::REQUEST_BYTES_MAX;
use eventlog::AppendError;
use server::Accepted;

use super::intake::{Intake, accepted};
use crate::failure::{Failure, chain};

/// Records NDJSON and waits for the acknowledgement. It blocks.
///
/// # Errors
/// When a line is invalid and `skip_invalid` is not set, or the log does not take the events: nothing is kept.
pub(crate) fn record(intake: &Intake, ndjson: Vec<u8>, skip_invalid: bool) -> Result<Accepted, Failure> {
    if ndjson.len() > REQUEST_BYTES_MAX {
        return Err(Failure::error(format!(
            "the request has more than {REQUEST_BYTES_MAX} bytes: record it in several parts; nothing was recorded"
        )));
    }
    let (events, skipped) = read_events(&ndjson, 0, skip_invalid)
        .map_err(|error| Failure::error(format!("{error}; nothing was recorded")))?;
    // NOTE: 64 MiB at the most, which are not to lie beside the events, their records and the log's own copy.
    drop(ndjson);
    if events.is_empty() {
        return Ok(Accepted { skipped, ..Accepted::default() });
    }
    let offered = events.len() as u64;
    let outcome = intake.append(events).map_err(|error| refused(&error))?;
    Ok(Accepted { skipped, ..accepted(offered, &outcome) })
}

fn refused(error: &AppendError) -> Failure {
    let fate = match error {
        // NOTE: a failed fsync leaves open what of it is on the disk; recovery decides.
        AppendError::Failed(_) => "this request was not acknowledged: record it again later",
        _ => "nothing was recorded",
    };
    Failure::error(format!("{}; {fate}", chain(error)))
}

/// The events of NDJSON. The first bad line refuses them all, or with `skip_invalid` it is one of so many.
/// Lines are counted from `lines_before` on.
pub(super) fn read_events(
    ndjson: &[u8],
    lines_before: u64,
    skip_invalid: bool,
) -> Result<(Vec<Event>, Option<u64>), ParseError> {
    let lines = json::parse_lines(ndjson);
    if skip_invalid {
        let mut skipped = 0;
        let events = lines.filter_map(|line| line.map_err(|_| skipped += 1).ok()).collect();
        return Ok((events, Some(skipped)));
    }
    let before = usize::try_from(lines_before).unwrap_or(usize::MAX);
    let numbered = |error: ParseError| ParseError { line: error.line.saturating_add(before), ..error };
    Ok((lines.collect::<Result<_, _>>().map_err(numbered)?, None))
}
