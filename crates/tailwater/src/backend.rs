//! What stands behind the HTTP server: where its events go, and where its answers come from.

use std::sync::{OnceLock, Weak};
use std::time::Duration;

use event::{Position, Stretch};
use eventlog::{AppendError, Batch};
use query::{Question, ReadError, ReadErrorKind, WorkspaceStats};
use serde::Serialize;
use serde_json::Value;
use server::{Accepted, Answered, Head, Intake, IntakeError, Reads, Teller};

use crate::failure::{Failure, chain};
use crate::readers::Readers;
use crate::service::{self, LogStatAnswer, Service};

/// How long a client should wait while the queue to the disk is full; it drains in a moment.
const QUEUE_WAIT: Duration = Duration::from_secs(1);
/// How long a client should wait while the log has no room, or has failed: it looks again about as often.
const LOG_WAIT: Duration = Duration::from_secs(10);

/// The answer to `/api/log`.
#[derive(Serialize)]
struct CoveredLog {
    #[serde(flatten)]
    stat: LogStatAnswer,
    /// The earliest time of which the log has something; null while it is empty.
    covers_from: Option<String>,
}

/// The log, the readers, and who tells how all is doing.
pub(crate) struct Backend {
    intake: service::Intake,
    readers: Readers,
    /// The holder of the log, which has the server and so comes after it.
    holder: OnceLock<Weak<Service>>,
}

impl Backend {
    /// A backend whose holder is told later.
    #[must_use]
    pub(crate) fn new(intake: service::Intake, readers: Readers) -> Self {
        Self { intake, readers, holder: OnceLock::new() }
    }

    /// Tells who holds the log.
    pub(crate) fn is_held_by(&self, holder: Weak<Service>) {
        // NOTE: there is one, and it is told once.
        let _ = self.holder.set(holder);
    }

    fn holder(&self) -> Result<std::sync::Arc<Service>, ReadError> {
        let holder = self.holder.get().and_then(Weak::upgrade);
        holder.ok_or_else(|| ReadError::new(ReadErrorKind::Unavailable, "the daemon is starting or ending"))
    }
}

impl Intake for Backend {
    async fn append(&self, events: Vec<event::Event>, teller: Teller) -> Result<Accepted, IntakeError> {
        let teller = match teller {
            Teller::Caller => eventlog::Teller::Anybody,
            Teller::Telemetry => eventlog::Teller::Telemetry,
        };
        let offered = events.len() as u64;
        let (intake, batch) = (self.intake.clone(), Batch { events, teller, ..Batch::default() });
        let appended = tokio::task::spawn_blocking(move || intake.append(batch)).await;
        let outcome = appended.unwrap_or(Err(AppendError::Closed)).map_err(|error| intake_error(&error))?;
        Ok(service::accepted(offered, &outcome))
    }
}

impl Reads for Backend {
    async fn ask(&self, question: &Question) -> Result<Answered, ReadError> {
        self.readers.ask(question).await
    }

    async fn workspace(&self) -> Result<WorkspaceStats, ReadError> {
        self.holder()?.stats().await.map_err(failed)
    }

    async fn status(&self) -> Result<Value, ReadError> {
        encoded(&self.holder()?.status().await.map_err(failed)?)
    }

    async fn log(&self) -> Result<Value, ReadError> {
        let stat = self.holder()?.log_stat().await.map_err(failed)?;
        let (covers_from, _) = self.readers.log().covers().await?;
        encoded(&CoveredLog { stat, covers_from: covers_from.map(|from| from.to_string()) })
    }

    async fn quarantine(&self) -> Result<Value, ReadError> {
        encoded(&self.holder()?.quarantine_rows().await?)
    }

    async fn metrics(&self) -> Result<String, ReadError> {
        Ok(self.holder()?.metrics().await.map_err(failed)?.text)
    }

    fn head(&self) -> Result<Head, ReadError> {
        let (next, host) = self.readers.log().head();
        Ok(Head { next, host })
    }

    async fn read(&self, from: Position) -> Result<Stretch, ReadError> {
        self.readers.log().stretch(from).await
    }

    async fn ailment(&self) -> Result<Option<String>, ReadError> {
        Ok(self.holder()?.status().await.map_err(failed)?.ailment())
    }
}

fn encoded(answer: &impl Serialize) -> Result<Value, ReadError> {
    serde_json::to_value(answer)
        .map_err(|error| ReadError::new(ReadErrorKind::Fatal, "cannot encode the answer").caused_by(error))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn failed(failure: Failure) -> ReadError {
    ReadError::new(ReadErrorKind::Fatal, failure.to_string())
}

fn intake_error(error: &AppendError) -> IntakeError {
    let unavailable = |fate: &str, retry_after| IntakeError::Unavailable {
        reason: format!("{}; {fate}", chain(error)),
        retry_after,
    };
    let invalid = |index: usize, field, problem| IntakeError::Invalid { index, field, problem };
    match error {
        AppendError::Invalid { index, invalid: why } => invalid(*index, Some(why.field), why.to_string()),
        AppendError::TooLarge { index, bytes, most } => {
            invalid(*index, None, format!("has {bytes} bytes, the most is {most}"))
        }
        AppendError::Encode { index, reason } => invalid(*index, None, reason.clone()),
        AppendError::Full { .. } => unavailable("nothing was recorded", QUEUE_WAIT),
        AppendError::NoRoom(_) | AppendError::Closed => unavailable("nothing was recorded", LOG_WAIT),
        // NOTE: a failed fsync leaves open what of it is on the disk; recovery decides.
        AppendError::Failed(_) => unavailable("this request was not acknowledged", LOG_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use event::{AgentSample, HostName};
    use eventlog::{Bounds, EventLog, WhenFull};
    use sampler::Registry;
    use usage::prices::Prices;

    use std::sync::Arc;

    use super::*;
    use crate::log_reader::LogReader;

    #[test]
    fn what_a_client_can_mend_is_told_apart_from_what_it_must_wait_for() {
        let too_large = AppendError::TooLarge { index: 3, bytes: 70_000, most: 65_536 };
        let problem = "has 70000 bytes, the most is 65536".to_owned();
        assert_eq!(intake_error(&too_large), IntakeError::Invalid { index: 3, field: None, problem });
        for (error, wait) in [(AppendError::Full { queued: 9 }, QUEUE_WAIT), (AppendError::Closed, LOG_WAIT)]
        {
            let IntakeError::Unavailable { reason, retry_after } = intake_error(&error) else {
                panic!("{error} passes by itself")
            };
            assert_eq!(retry_after, wait);
            assert_eq!(reason, format!("{error}; nothing was recorded"));
        }
    }
    fn backend(log: &EventLog) -> Backend {
        let reader = LogReader::new(log.clone(), Arc::new(Prices::default()));
        Backend::new(service::Intake::new(log.clone(), Registry::default()), Readers::new(reader, None))
    }

    #[tokio::test]
    async fn a_log_at_its_bound_asks_clients_to_wait_and_keeps_nothing_of_what_it_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { max_bytes: 1, when_full: WhenFull::Refuse, ..Bounds::default() };
        let settings = eventlog::Settings { bounds, ..eventlog::Settings::default() };
        let log = EventLog::open(dir.path(), &HostName::new("here").unwrap(), settings).unwrap();
        let intake = backend(&log);
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        let sample = AgentSample { time, agent_name: "zen".into(), ..AgentSample::default() };
        let mut taken = 0;
        let refusal = loop {
            let events = vec![event::Event::AgentSample(sample.clone()); 10];
            match intake.append(events, Teller::Caller).await {
                Ok(accepted) => taken += accepted.accepted,
                Err(error) => break error,
            }
            assert!(taken < 1_000, "the bound was not kept");
        };
        let IntakeError::Unavailable { reason, retry_after } = refusal else { panic!("{refusal:?}") };
        assert!(reason.contains("log.max_bytes") && reason.ends_with("nothing was recorded"), "{reason}");
        assert_eq!((retry_after, log.stat().unwrap().events), (LOG_WAIT, taken));
    }
}
