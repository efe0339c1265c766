//! The HTTP server in the daemon: where it listens, what it appends to, and how it is doing.
//!
//! Recording does not depend on it: a port that is taken is told once and tried again, and everything else goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventlog::{AppendError, Batch};
use serde::{Deserialize, Serialize};
use server::{Accepted, Intake, IntakeError, Server, Settings, Tally, Teller};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::HttpServing;
use crate::failure::chain;
use crate::service;

/// How long until a port that was taken is tried again.
const LISTEN_PAUSE: Duration = Duration::from_secs(10);

/// How long a client should wait while the queue to the disk is full; it drains in a moment.
const QUEUE_WAIT: Duration = Duration::from_secs(1);
/// How long a client should wait while the log has no room, or has failed: it looks again about as often.
const LOG_WAIT: Duration = Duration::from_secs(10);

/// The `ingest` object of `status`. Other tools build on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IngestObject {
    /// `disabled`, `listening`, or `waiting` for its port.
    pub state: String,
    /// Where it listens, or would; null when it is disabled.
    pub address: Option<String>,
    /// Why it does not listen; null when it does.
    pub error: Option<String>,
    /// What it has done.
    #[serde(flatten)]
    pub tally: Tally,
}

impl Default for IngestObject {
    fn default() -> Self {
        Self { state: "disabled".to_owned(), address: None, error: None, tally: Tally::default() }
    }
}

/// The HTTP server of the daemon.
pub(crate) struct Http {
    server: Server<LogIntake>,
    listening: Mutex<Listening>,
}

/// Where it listens.
#[derive(Clone, Debug)]
enum Listening {
    At(SocketAddr),
    Waiting { wanted: SocketAddr, error: String },
}

impl Http {
    /// Binds its address, which may fail: then it is tried again while the server runs.
    pub(crate) async fn bind(
        serving: HttpServing,
        intake: service::Intake,
    ) -> (Arc<Self>, Option<TcpListener>) {
        let settings = Settings { rate: serving.rate, ..Settings::default() };
        let server = Server::new(LogIntake(intake), settings);
        let wanted = serving.listen;
        let (listening, listener) = match listen(wanted).await {
            Ok((address, listener)) => (Listening::At(address), Some(listener)),
            Err(error) => (Listening::Waiting { wanted, error: error.to_string() }, None),
        };
        (Arc::new(Self { server, listening: Mutex::new(listening) }), listener)
    }

    /// Serves until told to stop, and ends what is under way.
    pub(crate) fn start(
        self: &Arc<Self>,
        bound: Option<TcpListener>,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let http = Arc::clone(self);
        tokio::spawn(async move {
            let listener = match bound {
                Some(listener) => Some(listener),
                None => http.wait_for_port(&stop).await,
            };
            if let Some(listener) = listener {
                http.server.serve(listener, stop).await;
            }
        })
    }

    async fn wait_for_port(&self, stop: &CancellationToken) -> Option<TcpListener> {
        let Listening::Waiting { wanted, error } = self.listening() else { return None };
        tracing::warn!(
            "cannot listen on {wanted}: {error}; recording goes on, it is tried again every {} s; if another program \
             has the port, set server.listen",
            LISTEN_PAUSE.as_secs()
        );
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(LISTEN_PAUSE) => {}
            }
            if let Ok((address, listener)) = listen(wanted).await {
                *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Listening::At(address);
                tracing::info!("listens on http://{address} now");
                return Some(listener);
            }
        }
    }

    fn listening(&self) -> Listening {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The line of the daemon's summary.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        match self.listening() {
            Listening::At(address) => format!("http://{address}"),
            Listening::Waiting { wanted, error } => format!("not yet on {wanted}: {error}"),
        }
    }

    /// How it is doing.
    #[must_use]
    pub(crate) fn object(&self) -> IngestObject {
        let tally = self.server.tally();
        let (state, address, error) = match self.listening() {
            Listening::At(address) => ("listening", address, None),
            Listening::Waiting { wanted, error } => ("waiting", wanted, Some(error)),
        };
        IngestObject { state: state.to_owned(), address: Some(address.to_string()), error, tally }
    }
}

async fn listen(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(address).await?;
    Ok((listener.local_addr()?, listener))
}

/// The log, as the server sees it.
struct LogIntake(service::Intake);

impl Intake for LogIntake {
    async fn append(&self, events: Vec<event::Event>, teller: Teller) -> Result<Accepted, IntakeError> {
        let teller = match teller {
            Teller::Caller => eventlog::Teller::Anybody,
            Teller::Telemetry => eventlog::Teller::Telemetry,
        };
        let offered = events.len() as u64;
        let (intake, batch) = (self.0.clone(), Batch { events, teller, ..Batch::default() });
        let appended = tokio::task::spawn_blocking(move || intake.append(batch)).await;
        let outcome = appended.unwrap_or(Err(AppendError::Closed)).map_err(|error| intake_error(&error))?;
        Ok(service::accepted(offered, &outcome))
    }
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

    use super::*;

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
    #[tokio::test]
    async fn a_log_at_its_bound_asks_clients_to_wait_and_keeps_nothing_of_what_it_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { max_bytes: 1, when_full: WhenFull::Refuse, ..Bounds::default() };
        let settings = eventlog::Settings { bounds, ..eventlog::Settings::default() };
        let log = EventLog::open(dir.path(), &HostName::new("here").unwrap(), settings).unwrap();
        let intake = LogIntake(service::Intake::new(log.clone(), Registry::default()));
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
