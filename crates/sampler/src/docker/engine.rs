//! The real engine: bollard over the engine's socket.
//!
//! bollard's own methods decode into closed models, which refuse a whole list for one word that they do not know (Podman has
//! such words, and engines of tomorrow will). So the text is fetched, by the one request of bollard that gives text
//! (`ping`), aimed at another path, and read by the tolerant parsers beside this file. Paths carry no version: an engine
//! answers in its own, which every version since 2013 does, and the parsers know the words of all of them.
//!
//! What the engine costs: one request for the list, two for each running container that is somebody's. A `one-shot` reading takes
//! no second reading for CPU use, so a new engine answers at once; those up to 20.10 at least answer with the next round
//! of their own collector, which comes each second. Containers are asked beside each other, so that fifty of them
//! take that one second, and not fifty.

use std::error::Error;
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{StreamExt, future, stream};
use tokio::time::{Instant, timeout_at};

use super::json::{self, AnswerError};
use super::probe::{DockerListing, DockerProbe, Look, Sight};
use super::{inspection, listing, stats};
use crate::ProbeError;

/// The most containers that are asked at once. NOTE: each takes two connections, of the 1,024 files that are usual; fewer
/// than fifty would take an engine that collects each second several seconds for fifty containers.
const AT_ONCE_MAX: usize = 64;
/// The request whose answer bollard hands over as it is.
const PING: &str = "/_ping";

/// How the engine is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Its socket.
    pub socket: PathBuf,
    /// How long it may take to tell of one container, or to list them.
    pub answer_limit: Duration,
    /// How long it may take to tell of all of them.
    pub pass_limit: Duration,
}

impl EngineSettings {
    /// The engine that listens at this socket, with the usual patience.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self { socket, answer_limit: Duration::from_secs(3), pass_limit: Duration::from_secs(5) }
    }
}

/// What the engine says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineVersion {
    /// Its own version.
    pub engine: String,
    /// That of the protocol.
    pub api: String,
}

/// Asks an engine over its socket.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    settings: EngineSettings,
}

/// Until when an answer is waited for, and what that was as a length of time.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    fn within(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    fn or_earlier(self, other: Self) -> Self {
        if other.at < self.at { other } else { self }
    }
}

/// Why a request has no answer.
enum Refusal {
    NoSocket,
    NotFound,
    Failed(ProbeError),
}

impl DockerEngine {
    /// An engine, which need not be there.
    #[must_use]
    pub const fn new(settings: EngineSettings) -> Self {
        Self { settings }
    }

    /// What it is; `None` when there is no socket.
    ///
    /// # Errors
    /// When it does not answer as an engine does.
    pub fn version(&self) -> Result<Option<EngineVersion>, ProbeError> {
        let answer = self.wait(self.ask("/version", Deadline::within(self.settings.answer_limit)));
        let value = match answer {
            Ok(text) => json::object(text.as_bytes()).map_err(|error| self.odd("", &error))?,
            Err(Refusal::NoSocket) => return Ok(None),
            Err(Refusal::NotFound) => return Err(self.complaint("it knows no versions")),
            Err(Refusal::Failed(error)) => return Err(error),
        };
        let word = |field| json::text(&value, field).to_owned();
        Ok(Some(EngineVersion { engine: word("/Version"), api: word("/ApiVersion") }))
    }

    /// Runs to the end what is asked, on a thread of its own with a runtime of its own.
    ///
    /// NOTE: the caller may be inside a runtime, which must neither be blocked nor drop another one. A thread and a
    /// runtime cost a tenth of a millisecond.
    fn wait<T: Send>(&self, work: impl Future<Output = Result<T, Refusal>> + Send) -> Result<T, Refusal> {
        let start = |source| Refusal::Failed(ProbeError::Run { program: self.place(), source });
        let run =
            move || Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work));
        let ended = std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("docker-ask".to_owned());
            Ok(builder.spawn_scoped(scope, run)?.join())
        });
        match ended.map_err(start)? {
            Ok(answer) => answer.map_err(start)?,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The text of an answer.
    async fn ask(&self, path: &str, deadline: Deadline) -> Result<String, Refusal> {
        let docker = self.connect()?;
        let path = path.to_owned();
        let docker = docker.with_request_modifier(move |mut request| {
            if let Ok(uri) = request.uri().to_string().replacen(PING, &path, 1).parse() {
                *request.uri_mut() = uri;
            }
            request
        });
        match timeout_at(deadline.at, docker.ping()).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(_) => Err(Refusal::Failed(self.late(deadline))),
        }
    }

    fn connect(&self) -> Result<Docker, Refusal> {
        let path = self.settings.socket.to_str();
        let path =
            path.ok_or_else(|| Refusal::Failed(self.complaint("the path of its socket is not UTF-8")))?;
        // NOTE: bollard's own limit is for the head of an answer only and in whole seconds: ours is the one that counts.
        Docker::connect_with_unix(path, 120, API_DEFAULT_VERSION).map_err(|error| self.refusal(&error))
    }

    async fn see(&self, id: String, pass: Deadline) -> Look {
        let deadline = Deadline::within(self.settings.answer_limit).or_earlier(pass);
        let (stats, life) =
            (format!("/containers/{id}/stats?stream=false&one-shot=true"), format!("/containers/{id}/json"));
        let (stats, life) = future::join(self.ask(&stats, deadline), self.ask(&life, deadline)).await;
        let (stats, life) = match (stats, life) {
            (Err(Refusal::NotFound | Refusal::NoSocket), _) | (_, Err(Refusal::NotFound)) => {
                return Look::Gone;
            }
            (Err(Refusal::Failed(error)), _) => return Look::Failed(error),
            // NOTE: so the engine answers when the container goes while it is asked.
            (Ok(stats), _) if stats.trim_ascii().is_empty() => return Look::Gone,
            (Ok(stats), life) => (stats, life),
        };
        match stats::parse(stats.as_bytes()) {
            Ok((stats, problems)) => {
                let mut sight = Sight { stats, problems, ..Sight::default() };
                self.add_life(&mut sight, life);
                Look::Seen(Box::new(sight))
            }
            Err(error) => Look::Failed(self.odd("of its numbers ", &error)),
        }
    }

    fn add_life(&self, sight: &mut Sight, answer: Result<String, Refusal>) {
        let life = match answer {
            Ok(text) => inspection::parse(text.as_bytes()).map_err(|error| self.odd("of its life ", &error)),
            Err(Refusal::Failed(error)) => Err(error),
            Err(Refusal::NotFound | Refusal::NoSocket) => return,
        };
        match life {
            Ok(life) => sight.inspection = life,
            Err(error) => sight.problems.push(crate::error::in_one_line(&error)),
        }
    }

    fn refusal(&self, error: &BollardError) -> Refusal {
        match error {
            BollardError::SocketNotFoundError(_) => return self.no_socket(),
            BollardError::DockerResponseServerError { status_code: 404, .. } => return Refusal::NotFound,
            BollardError::DockerResponseServerError { status_code, message } => {
                let message: String = message.lines().next().unwrap_or_default().chars().take(200).collect();
                return Refusal::Failed(self.complaint(&format!("{status_code} {message}")));
            }
            _ => {}
        }
        let mut cause: &dyn Error = error;
        loop {
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                let source = io::Error::from(error.kind());
                return Refusal::Failed(ProbeError::Read { path: self.settings.socket.clone(), source });
            }
            match cause.source() {
                Some(next) => cause = next,
                None => return Refusal::Failed(self.complaint(&cause.to_string())),
            }
        }
    }

    /// NOTE: to bollard a socket in a folder that may not be entered is not there.
    fn no_socket(&self) -> Refusal {
        let path = &self.settings.socket;
        match std::fs::metadata(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Refusal::Failed(ProbeError::Read { path: path.clone(), source })
            }
            _ => Refusal::NoSocket,
        }
    }

    fn odd(&self, which: &str, error: &AnswerError) -> ProbeError {
        self.complaint(&format!("{which}{}", crate::error::in_one_line(error)))
    }

    fn complaint(&self, message: &str) -> ProbeError {
        ProbeError::Complained { program: self.place(), message: message.to_owned() }
    }

    fn late(&self, deadline: Deadline) -> ProbeError {
        ProbeError::TimedOut { program: self.place(), limit_ms: deadline.limit.as_millis() }
    }
}

impl DockerProbe for DockerEngine {
    fn containers(&mut self) -> Result<DockerListing, ProbeError> {
        let deadline = Deadline::within(self.settings.answer_limit);
        match self.wait(self.ask("/containers/json?all=true", deadline)) {
            Ok(text) => match listing::parse(text.as_bytes()) {
                Ok(parsed) => Ok(DockerListing::Containers(parsed)),
                Err(error) => Err(self.odd("", &error)),
            },
            Err(Refusal::NoSocket) => Ok(DockerListing::NoEngine),
            Err(Refusal::NotFound) => Err(self.complaint("404 it knows no containers")),
            Err(Refusal::Failed(error)) => Err(error),
        }
    }

    fn look(&mut self, ids: &[&str]) -> Vec<Look> {
        let pass = Deadline::within(self.settings.pass_limit);
        let mut sights = Vec::with_capacity(ids.len());
        for id in ids {
            sights.push(self.see((*id).to_owned(), pass));
        }
        match self.wait(async { Ok(stream::iter(sights).buffered(AT_ONCE_MAX).collect().await) }) {
            Ok(looks) => looks,
            Err(Refusal::Failed(error)) => {
                let message = crate::error::in_one_line(&error);
                ids.iter().map(|_| Look::Failed(self.complaint(&message))).collect()
            }
            Err(Refusal::NoSocket | Refusal::NotFound) => Vec::new(),
        }
    }

    fn place(&self) -> String {
        format!("the Docker engine at {}", self.settings.socket.display())
    }
}
