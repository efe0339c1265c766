//! The HTTP server in the daemon: where it listens, what it appends to, and how it is doing.
//!
//! Recording does not depend on it: a port that is taken is told once and tried again, and everything else goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use server::{Server, Settings, Tally};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::config::HttpServing;
use crate::service::Service;

/// How long until a port that was taken is tried again.
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
    pub(crate) async fn bind(serving: HttpServing, backend: Backend) -> (Arc<Self>, Option<TcpListener>) {
        let settings = Settings { rate: serving.rate, ..Settings::default() };
        let server = Server::new(backend, settings);
        let wanted = serving.listen;
        let (listening, listener) = match listen(wanted).await {
            Ok((address, listener)) => (Listening::At(address), Some(listener)),
            Err(error) => (Listening::Waiting { wanted, error: error.to_string() }, None),
        };
        (Arc::new(Self { server, listening: Mutex::new(listening) }), listener)
    }

    /// Tells who holds the log, and so knows how all is doing.
    pub(crate) fn is_held_by(&self, holder: &Arc<Service>) {
        self.server.backend().is_held_by(Arc::downgrade(holder));
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
