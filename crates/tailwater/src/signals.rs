//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A signal so soon after the first is its echo: timeout(1), for one, signals a process and its group.
const ECHO: Duration = Duration::from_millis(300);

/// From now on, cancels `stop` at the first signal and ends the process at the second.
///
/// NOTE: the handlers are there when this returns. A task of its own would install them when it is first run, and
/// until then a signal would kill the process.
pub(crate) fn cancel_on_signal(stop: CancellationToken) -> JoinHandle<()> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    tokio::spawn(async move {
        match signals {
            (Ok(interrupt), Ok(terminate)) => listen(interrupt, terminate, stop).await,
            _ => tracing::warn!("cannot listen to signals: they end this process at once"),
        }
    })
}

/// SIGXFSZ of signal(7), the same number on every machine that tailwater is built for.
const FILE_TOO_LARGE: i32 = 25;

/// From now on a file that grows beyond the limit of the process is an error of that write. Without a handler the
/// signal would end the process. It lasts as long as what it gives.
pub(crate) fn refuse_large_files() -> Option<Signal> {
    signal(SignalKind::from_raw(FILE_TOO_LARGE)).ok()
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, stop: CancellationToken) {
    let mut first = None;
    loop {
        let code = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        if first.get_or_insert_with(Instant::now).elapsed() > ECHO {
            std::process::exit(code);
        }
        stop.cancel();
    }
}
