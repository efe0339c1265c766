//! A server on a port of its own in front of an intake that a test looks into, and requests to it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::wire::Decoded;
use event::{Entry, Event, Hole, Position, Stretch};
use query::{Question, ReadError, ReadErrorKind, WorkspaceStats};
use serde_json::Value;
use server::{
    Accepted, Access, Answered, Door, Head, Intake, IntakeError, Reads, Server, Settings, Tally, Teller, Tls,
};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use ureq::http::Response;

/// Keeps events in a list, or refuses them as a test says.
#[derive(Clone)]
pub struct Fake {
    pub kept: Arc<Mutex<Vec<(Event, Teller)>>>,
    pub refusal: Arc<Mutex<Option<IntakeError>>>,
    /// Each append takes a permit for ever: without any it waits.
    pub permits: Arc<Semaphore>,
    /// Gets a permit for each append that has begun.
    pub begun: Arc<Semaphore>,
    /// What was asked.
    pub asked: Arc<Mutex<Vec<Question>>>,
    /// What is answered to the next question.
    pub answer: Arc<Mutex<Option<Result<Answered, ReadError>>>>,
    pub ailment: Arc<Mutex<Option<String>>>,
    /// What the log has no more.
    pub hole: Arc<Mutex<Option<Hole>>>,
}

impl Intake for Fake {
    async fn append(&self, events: Vec<Event>, teller: Teller) -> Result<Accepted, IntakeError> {
        self.begun.add_permits(1);
        self.permits.acquire().await.expect("never closed").forget();
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        let mut kept = self.kept.lock().unwrap();
        let first = Position(kept.len() as u64 + 1);
        let accepted = events.len() as u64;
        kept.extend(events.into_iter().map(|event| (event, teller)));
        let last_position = Some(first.plus(accepted).before().0);
        Ok(Accepted { accepted, first_position: Some(first.0), last_position, known: 0, skipped: None })
    }
}

impl Fake {
    /// What was kept, as a log would have it.
    fn entries_from(&self, from: Position) -> Vec<Entry> {
        let kept = self.kept.lock().unwrap();
        let placed = (1..).map(Position).zip(kept.iter()).filter(|(position, _)| *position >= from);
        let entry = |(position, (event, _)): (Position, &(Event, Teller))| {
            let event = Decoded::Event(event.clone());
            Entry { position, checksum: 0, bytes: 0, event }
        };
        placed.take(3).map(entry).collect()
    }
}

/// What it answers is what it was asked, and what a test says.
impl Reads for Fake {
    async fn ask(&self, question: &Question) -> Result<Answered, ReadError> {
        self.asked.lock().unwrap().push(question.clone());
        let answer = self.answer.lock().unwrap().take();
        answer.unwrap_or_else(|| Err(ReadError::new(ReadErrorKind::Unavailable, "nobody is there")))
    }

    async fn workspace(&self) -> Result<WorkspaceStats, ReadError> {
        Ok(WorkspaceStats::default())
    }

    async fn status(&self) -> Result<Value, ReadError> {
        Ok(serde_json::json!({"log": {}}))
    }

    async fn log(&self) -> Result<Value, ReadError> {
        Ok(serde_json::json!({"holes": []}))
    }

    async fn quarantine(&self) -> Result<Value, ReadError> {
        Ok(serde_json::json!([]))
    }

    async fn metrics(&self) -> Result<String, ReadError> {
        Ok("tailwater_build_info 1\n".to_owned())
    }

    fn head(&self) -> Result<Head, ReadError> {
        let next = Position(self.kept.lock().unwrap().len() as u64 + 1);
        Ok(Head { next, host: "here".into() })
    }

    async fn read(&self, from: Position) -> Result<Stretch, ReadError> {
        loop {
            if let Some(hole) = self.hole.lock().unwrap().filter(|hole| (hole.lo..=hole.hi).contains(&from)) {
                return Ok(Stretch::Hole(hole));
            }
            let entries = self.entries_from(from);
            if !entries.is_empty() {
                return Ok(Stretch::Events(entries));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ailment(&self) -> Result<Option<String>, ReadError> {
        Ok(self.ailment.lock().unwrap().clone())
    }
}

/// A server that runs.
pub struct Running {
    pub fake: Fake,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    server: Arc<Server<Fake>>,
    serving: Option<tokio::task::JoinHandle<()>>,
    pub runtime: Runtime,
}

impl Running {
    pub fn new() -> Self {
        Self::with(Settings { rate: None, ..Settings::default() })
    }

    pub fn with(settings: Settings) -> Self {
        Self::behind(settings, Access::default(), None)
    }

    /// Behind a door that lets in whom these let in.
    pub fn behind(settings: Settings, access: Access, tls: Option<Tls>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let fake = Fake {
            kept: Arc::default(),
            refusal: Arc::default(),
            permits: Arc::new(Semaphore::new(1_000)),
            begun: Arc::new(Semaphore::new(0)),
            asked: Arc::default(),
            answer: Arc::default(),
            ailment: Arc::default(),
            hole: Arc::default(),
        };
        let server = Arc::new(Server::new(fake.clone(), settings, || "// plotly.js\n".repeat(1_000)));
        let stop = CancellationToken::new();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (serves, stops) = (Arc::clone(&server), stop.clone());
        let serving =
            Some(runtime.spawn(async move { serves.serve(Door { listener, access, tls }, stops).await }));
        Self { fake, address, stop, server, serving, runtime }
    }

    pub fn tally(&self) -> Tally {
        self.server.tally()
    }

    pub fn kept(&self) -> usize {
        self.fake.kept.lock().unwrap().len()
    }

    /// Tells it to stop and waits until it has.
    pub fn end(mut self) {
        self.stop.cancel();
        let serving = self.serving.take().expect("it runs");
        self.runtime.block_on(serving).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Posts a body with these headers.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = agent().post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send(body).expect("an answer"))
    }

    /// Asks with these headers.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = agent().get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.call().expect("an answer"))
    }

    /// Posts events of this media type.
    pub fn events(&self, media_type: &str, body: &str) -> Answer {
        self.post("/api/events", &[("content-type", media_type)], body.as_bytes())
    }

    /// Sends these bytes as they are and reads what comes until the connection ends.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub media_type: String,
    pub retry_after: Option<u64>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn of(mut response: Response<ureq::Body>) -> Self {
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Self {
            status: response.status().as_u16(),
            media_type: header("content-type").unwrap_or_default(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            retry_after: header("retry-after").map(|seconds| seconds.parse().expect("seconds")),
            body: response.body_mut().read_to_vec().unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Checks that it is a problem of this status whose detail says this; gives it.
    pub fn problem(&self, status: u16, says: &str) -> Value {
        assert_eq!(self.media_type, "application/problem+json", "{self:?}");
        let problem = self.json();
        let detail = problem["detail"].as_str().expect("a detail");
        assert_eq!((self.status, problem["status"].as_u64()), (status, Some(u64::from(status))), "{problem}");
        assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
        assert!(detail.contains(says) && !detail.contains('\n'), "{problem}");
        problem
    }
}

/// One event as a line of JSON without its end.
pub fn line(number: usize) -> String {
    format!(r#"{{"kind":"system_sample","time":"2026-01-02T03:04:05Z","system_name":"s{number}"}}"#)
}

pub fn lines(count: usize) -> String {
    (0..count).map(|number| line(number) + "\n").collect()
}

pub fn array(count: usize) -> String {
    format!("[{}]", (0..count).map(line).collect::<Vec<_>>().join(","))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
