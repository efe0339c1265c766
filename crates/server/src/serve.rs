//! Connections: accepted up to a bound, each with deadlines, and ended in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guard::Access;
use crate::intake::Intake;
use crate::live::Stop;
use crate::reads::Reads;
use crate::routes::{App, Client, router};
use crate::settings::Settings;
use crate::tally::Tally;
use crate::tls::Tls;
use crate::web::Charts;

/// How long to wait when no connection can be accepted, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come in, and whom the server lets in.
pub struct Door {
    /// Where it listens.
    pub listener: TcpListener,
    /// Who may ask and send.
    pub access: Access,
    /// What makes connections private; without it they are not.
    pub tls: Option<Tls>,
}

/// The server.
pub struct Server<I> {
    app: Arc<App<I>>,
    settings: Settings,
}

impl<I: Intake + Reads> Server<I> {
    /// A server in front of who keeps events and answers questions.
    #[must_use]
    ///
    /// `charts` gives plotly.js, when the first page wants charts.
    pub fn new(backend: I, settings: Settings, charts: fn() -> String) -> Self {
        Self { app: App::new(backend, &settings, Charts::new(charts)), settings }
    }

    /// Where events go, and answers come from.
    #[must_use]
    pub fn backend(&self) -> &I {
        &self.app.backend
    }

    /// What it has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.app.counters.tally()
    }

    /// Serves until told to stop; then accepts nothing more and ends what is under way.
    pub async fn serve(&self, door: Door, stop: CancellationToken) {
        let Door { listener, access, tls } = door;
        let (clients, router) = (TaskTracker::new(), router(&self.app, access));
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        let mut health = Health::default();
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = next => next,
            };
            match health.heard(accepted) {
                Some((stream, address)) => {
                    let client = ServedClient {
                        address,
                        head_deadline: self.settings.head_deadline,
                        router: router.clone(),
                        stop: stop.clone(),
                    };
                    let tls = tls.clone();
                    clients.spawn(async move {
                        match tls {
                            None => client.serve(stream).await,
                            Some(tls) => client.serve_private(stream, &tls).await,
                        }
                        drop(place);
                    });
                }
                None => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
        // NOTE: from here on a connection is refused at once, and not left waiting for an answer.
        drop(listener);
        clients.close();
        clients.wait().await;
    }
}

/// A connection that was accepted.
struct ServedClient {
    address: SocketAddr,
    head_deadline: Duration,
    router: Router,
    stop: CancellationToken,
}

impl ServedClient {
    /// Serves it when it has agreed on a key.
    async fn serve_private(self, stream: TcpStream, tls: &Tls) {
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.head_deadline, tls.acceptor().accept(stream)) => accepted,
            () = self.stop.cancelled() => return,
        };
        match accepted {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS connection did not begin"),
            Err(_) => tracing::debug!("a TLS connection did not begin in time"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { address, head_deadline, router, stop } = self;
        let (router, stopping) = (TowerToHyperService::new(router), Stop(stop.clone()));
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Client(address.ip()));
            request.extensions_mut().insert(stopping.clone());
            router.call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head_deadline);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection broke off");
        }
    }
}

/// Whether connections can be accepted: said once when they cannot, and once when they can again.
#[derive(Debug, Default)]
struct Health {
    is_failing: bool,
}

impl Health {
    fn heard(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, SocketAddr)> {
        let was_failing = std::mem::replace(&mut self.is_failing, accepted.is_err());
        match accepted {
            Ok(connection) => {
                if was_failing {
                    tracing::info!("HTTP connections are accepted again");
                }
                Some(connection)
            }
            Err(error) => {
                if !was_failing {
                    tracing::warn!(%error, "cannot accept HTTP connections; it is tried again and again");
                }
                None
            }
        }
    }
}
