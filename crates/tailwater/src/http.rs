//! The HTTP server in the daemon: where it listens, what it appends to, and how it is doing.
//!
//! Recording does not depend on it: a port that is taken, or a certificate that cannot be read, is told once and tried
//! again, and everything else goes on.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use server::{Access, Door, Server, Settings, Tally, Tls, Tokens};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::config::HttpServing;
use crate::failure::chain;
use crate::plotly_js::plotly_js;
use crate::service::Service;

/// How long until it is tried again to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(10);

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
    server: Server<Backend>,
    serving: HttpServing,
    listening: Mutex<Listening>,
}

/// Where it listens.
#[derive(Clone, Debug)]
enum Listening {
    At(SocketAddr),
    Waiting { error: String },
}

impl Http {
    /// Opens its door, which may fail: then it is tried again while the server runs.
    pub(crate) async fn bind(serving: HttpServing, backend: Backend) -> (Arc<Self>, Option<Door>) {
        let settings = Settings { rate: serving.rate, ..Settings::default() };
        let server = Server::new(backend, settings, plotly_js);
        let (listening, door) = match open(&serving).await {
            Ok((address, door)) => (Listening::At(address), Some(door)),
            Err(error) => (Listening::Waiting { error }, None),
        };
        (Arc::new(Self { server, serving, listening: Mutex::new(listening) }), door)
    }

    /// Tells who holds the log, and so knows how all is doing.
    pub(crate) fn is_held_by(&self, holder: &Arc<Service>) {
        self.server.backend().is_held_by(Arc::downgrade(holder));
    }

    /// Serves until told to stop, and ends what is under way.
    pub(crate) fn start(self: &Arc<Self>, opened: Option<Door>, stop: CancellationToken) -> JoinHandle<()> {
        let http = Arc::clone(self);
        tokio::spawn(async move {
            if http.is_in_the_open() {
                tracing::warn!(
                    "other machines can reach {}, and tokens and answers go there unencrypted: set server.tls_cert and \
                     server.tls_key, or let a proxy with TLS stand before it",
                    http.serving.listen
                );
            }
            let door = match opened {
                Some(door) => Some(door),
                None => http.wait_for_door(&stop).await,
            };
            if let Some(door) = door {
                http.server.serve(door, stop).await;
            }
        })
    }

    async fn wait_for_door(&self, stop: &CancellationToken) -> Option<Door> {
        let Listening::Waiting { error } = self.listening() else { return None };
        tracing::warn!(
            "cannot listen on {}: {error}; recording goes on, it is tried again every {} s",
            self.serving.listen,
            LISTEN_PAUSE.as_secs()
        );
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(LISTEN_PAUSE) => {}
            }
            let opened = open(&self.serving).await;
            let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
            match opened {
                Ok((address, door)) => {
                    *listening = Listening::At(address);
                    tracing::info!("listens on {}://{address} now", self.scheme());
                    return Some(door);
                }
                Err(error) => *listening = Listening::Waiting { error },
            }
        }
    }

    fn is_in_the_open(&self) -> bool {
        !self.serving.listen.ip().is_loopback() && self.serving.tls.is_none()
    }

    const fn scheme(&self) -> &'static str {
        if self.serving.tls.is_some() { "https" } else { "http" }
    }

    fn listening(&self) -> Listening {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The line of the daemon's summary.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let HttpServing { tokens, token_file, listen, .. } = &self.serving;
        let wants = if tokens.is_empty() && token_file.is_none() { "" } else { ", wants a token" };
        match self.listening() {
            Listening::At(address) => format!("{}://{address}{wants}", self.scheme()),
            Listening::Waiting { error } => format!("not yet on {listen}: {error}"),
        }
    }

    /// How it is doing.
    #[must_use]
    pub(crate) fn object(&self) -> IngestObject {
        let tally = self.server.tally();
        let (state, address, error) = match self.listening() {
            Listening::At(address) => ("listening", address, None),
            Listening::Waiting { error } => ("waiting", self.serving.listen, Some(error)),
        };
        IngestObject { state: state.to_owned(), address: Some(address.to_string()), error, tally }
    }
}

/// Binds the address and reads what decides who is let in.
async fn open(serving: &HttpServing) -> Result<(SocketAddr, Door), String> {
    let tokens = match &serving.token_file {
        Some(path) => serving.tokens.clone().and(tokens_of(path)?),
        None => serving.tokens.clone(),
    };
    let tls = serving.tls.as_ref().map(|files| Tls::of_files(&files.cert, &files.key)).transpose();
    let tls = tls.map_err(|error| chain(&error))?;
    let bound = async {
        let listener = TcpListener::bind(serving.listen).await?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = bound.await.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{error}: if another program has the port, set server.listen"),
        _ => error.to_string(),
    })?;
    let access = Access { tokens, cors_origins: serving.cors_origins.clone() };
    Ok((address, Door { listener, access, tls }))
}

/// IMPORTANT: a file that cannot be read, or has no token, keeps the door shut.
fn tokens_of(path: &Path) -> Result<Tokens, String> {
    let place = format!("server.token_file {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
    let tokens = Tokens::parse(&text).map_err(|error| format!("{place}: {error}"))?;
    if tokens.is_empty() {
        Err(format!("{place} has no token: a line of it is read:TOKEN or write:TOKEN"))
    } else {
        Ok(tokens)
    }
}
