//! Recording NDJSON: all of a request, or nothing.

use event::Event;
use event::json::{self, ParseError};
use event::limits::REQUEST_BYTES_MAX;
use eventlog::AppendError;
use serde::Serialize;

use super::Intake;
use crate::failure::{Failure, chain};

/// The answer to `record`. Other tools build on the first three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RecordAnswer {
    /// How many events were taken.
    pub accepted: u64,
    /// Where the first one lies; null when there is none to lie anywhere.
    pub first_position: Option<u64>,
    /// Where the last one lies.
    pub last_position: Option<u64>,
    /// How many of them are token usage that the log knew as much of; only when there are some.
    #[serde(skip_serializing_if = "is_zero")]
    pub known: u64,
    /// How many lines were skipped; only with `--skip-invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

/// Records NDJSON and waits for the acknowledgement. It blocks.
///
/// # Errors
/// When a line is invalid and `skip_invalid` is not set, or the log does not take the events: nothing is kept.
pub(crate) fn record(intake: &Intake, ndjson: &[u8], skip_invalid: bool) -> Result<RecordAnswer, Failure> {
    if ndjson.len() > REQUEST_BYTES_MAX {
        return Err(Failure::error(format!(
            "the request has more than {REQUEST_BYTES_MAX} bytes: record it in several parts; nothing was recorded"
        )));
    }
    let (events, skipped) = read_events(ndjson, 0, skip_invalid)
        .map_err(|error| Failure::error(format!("{error}; nothing was recorded")))?;
    if events.is_empty() {
        return Ok(RecordAnswer { skipped, ..RecordAnswer::default() });
    }
    let accepted = events.len() as u64;
    let outcome = intake.append(events).map_err(|error| refused(&error))?;
    Ok(RecordAnswer {
        accepted,
        first_position: (outcome.events > 0).then_some(outcome.first.0),
        last_position: (outcome.events > 0).then_some(outcome.last().0),
        known: outcome.usage_known,
        skipped,
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
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
