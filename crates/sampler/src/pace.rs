//! The paced loop: one thread per sampler, on a grid of ticks, until it is told to stop.
//!
//! Stopping is a protocol with a deadline. [`PacedSampler::stop`] wakes the thread at once; a thread that is
//! in the middle of a pass (a source that hangs) is waited for until the deadline and then left to end by
//! itself, so that one bad source cannot hold up the shutdown of the daemon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{HostName, Sink};

use crate::{Clock, Jitter, Runner, Sampler, SamplerState, Schedule, StatusHandle};

/// How a sampler is run.
#[derive(Clone, Debug)]
pub struct PaceSettings {
    /// The time between two passes; below 10 ms counts as 10 ms.
    pub interval: Duration,
    /// Where in the interval its passes lie; the first one is at once all the same.
    pub jitter: Jitter,
    /// Stamped on every event, when the machine no longer has the name that the log was created with.
    pub host: Option<HostName>,
}

/// A sampler's thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a thread for the sampler {sampler}")]
pub struct PaceError {
    sampler: String,
    source: std::io::Error,
}

impl PaceError {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Fatal
    }
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The thread has ended; its last events are with the sink.
    Ended,
    /// A pass was still running at the deadline; the thread ends after it.
    Late,
}

/// A sampler that runs on a thread of its own. Dropping it tells the thread to stop and does not wait.
#[derive(Debug)]
pub struct PacedSampler {
    stop: Arc<Stop>,
    status: StatusHandle,
    thread: Option<JoinHandle<()>>,
}

impl PacedSampler {
    /// Starts the thread; the first pass is at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        sampler: Box<dyn Sampler>,
        settings: PaceSettings,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, PaceError> {
        let name = sampler.name().to_owned();
        let runner = Runner::new(sampler, settings.host);
        let status = runner.status();
        let stop = Arc::new(Stop::default());
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(format!("sample-{name}"))
            .spawn(move || drive(runner, (settings.interval, settings.jitter), &seen, &*clock, &*sink))
            .map_err(|source| PaceError { sampler: name, source })?;
        Ok(Self { stop, status, thread: Some(thread) })
    }

    /// The status, shared.
    #[must_use]
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Starts the thread of a sampler that does not go by a grid of ticks: `work` returns soon after it is told to stop.
    pub(crate) fn spawn(
        status: StatusHandle,
        work: impl FnOnce(&Arc<Stop>) + Send + 'static,
    ) -> Result<Self, PaceError> {
        let name = status.get().name;
        let stop = Arc::new(Stop::default());
        let (seen, told) = (Arc::clone(&stop), status.clone());
        let thread = std::thread::Builder::new()
            .name(format!("sample-{name}"))
            .spawn(move || {
                let _end = End { stop: &seen, status: told };
                work(&seen);
            })
            .map_err(|source| PaceError { sampler: name, source })?;
        Ok(Self { stop, status, thread: Some(thread) })
    }

    /// Tells the thread to stop, without waiting: for stopping several at once.
    pub fn signal_stop(&self) {
        self.stop.request();
    }

    /// Tells the thread to stop and waits for its end, at most until `deadline` from now.
    pub fn stop(mut self, deadline: Duration) -> StopOutcome {
        self.stop.request();
        if !self.stop.wait_ended(deadline) {
            return StopOutcome::Late;
        }
        if let Some(thread) = self.thread.take() {
            // NOTE: a panic was told by the status already, when the thread ended.
            let _ = thread.join();
        }
        StopOutcome::Ended
    }
}

impl Drop for PacedSampler {
    fn drop(&mut self) {
        self.stop.request();
    }
}

fn drive(
    mut runner: Runner,
    (interval, jitter): (Duration, Jitter),
    stop: &Stop,
    clock: &dyn Clock,
    sink: &dyn Sink,
) {
    let _end = End { stop, status: runner.status() };
    let status = runner.status();
    let mut schedule = Schedule::new(clock.monotonic(), interval, jitter);
    loop {
        status.begin(schedule.leeway(clock.monotonic()), schedule.interval());
        runner.step(clock, sink);
        status.end(schedule.advance(clock.monotonic()));
        if stop.wait_requested(schedule.wait(clock.monotonic())) {
            return runner.finish(clock, sink);
        }
    }
}

/// Tells that the thread has ended, however it ended.
struct End<'a> {
    stop: &'a Stop,
    status: StatusHandle,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.status.end(0);
            self.status.update(|status| {
                status.state = SamplerState::Failing;
                status.error = Some("the sampler panicked and has ended".to_owned());
            });
        }
        self.stop.ended();
    }
}

/// Where a thread is between running and having ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Runs,
    Requested,
    Ended,
}

/// What a sampler's thread waits on.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    phase: Mutex<Phase>,
    changed: Condvar,
    nudged: AtomicBool,
}

impl Stop {
    fn request(&self) {
        self.reach(Phase::Requested);
    }

    fn ended(&self) {
        self.reach(Phase::Ended);
    }

    /// Whether the thread has been told to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.lock() >= Phase::Requested
    }

    /// Ends the wait of [`Self::wait_nudged`]: there is something to do.
    pub(crate) fn nudge(&self) {
        self.nudged.store(true, Ordering::SeqCst);
        // NOTE: with the lock, so that a thread that has just looked and is about to wait hears of it.
        let _now = self.lock();
        self.changed.notify_all();
    }

    /// Waits for a nudge or a request, at most this long.
    pub(crate) fn wait_nudged(&self, timeout: Duration) {
        let start = Instant::now();
        let mut now = self.lock();
        while *now < Phase::Requested && !self.nudged.swap(false, Ordering::SeqCst) {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return;
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a request; false when `timeout` passed without one.
    pub(crate) fn wait_requested(&self, timeout: Duration) -> bool {
        self.wait(Phase::Requested, timeout)
    }

    fn wait_ended(&self, timeout: Duration) -> bool {
        self.wait(Phase::Ended, timeout)
    }

    fn reach(&self, phase: Phase) {
        let mut now = self.lock();
        *now = phase.max(*now);
        self.changed.notify_all();
    }

    fn wait(&self, phase: Phase, timeout: Duration) -> bool {
        let start = Instant::now();
        let mut now = self.lock();
        while *now < phase {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
