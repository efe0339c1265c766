//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal so soon after the first is its echo: timeout(1), for one, signals a process and its group.
const ECHO: Duration = Duration::from_millis(300);

/// Cancels `stop` at the first signal, and ends the process at the second.
pub(crate) async fn cancel_on_signal(stop: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("cannot listen to signals: only SIGKILL will end this process");
        return;
    };
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
