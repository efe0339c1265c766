//! Tests of the thread around a sampler. They wait for events, never for luck.

use std::sync::mpsc::{Receiver, Sender, channel};

use event::{Accepted, Event, SinkError, SystemSample, Text, Time};

use super::*;
use crate::{Activity, Pass, SampleError, SystemClock};

/// Long enough for any machine; a test that reaches it fails.
const FOREVER: Duration = Duration::from_secs(30);

type Action = Box<dyn FnMut() + Send>;

/// Does something at every pass, then pushes one event.
struct Acting(Action);

impl Sampler for Acting {
    fn name(&self) -> &str {
        "acting"
    }

    fn describe(&mut self) -> String {
        String::new()
    }

    fn sample(&mut self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError> {
        (self.0)();
        let sample = SystemSample { time, system_name: Text::const_new("s"), ..SystemSample::default() };
        pass.events.push(Event::SystemSample(sample));
        Ok(Activity::Sampled)
    }
}

struct Pipe(Mutex<Sender<Event>>);

impl Sink for Pipe {
    fn append(&self, _: Vec<Event>) -> Result<Accepted, SinkError> {
        unreachable!("samplers never wait")
    }

    fn offer(&self, events: Vec<Event>) -> Result<(), SinkError> {
        let sender = self.0.lock().unwrap();
        events.into_iter().for_each(|event| drop(sender.send(event)));
        Ok(())
    }
}

fn start(interval: Duration, action: Action) -> (PacedSampler, Receiver<Event>) {
    let (sender, receiver) = channel();
    let settings = PaceSettings { interval, jitter: Jitter::None, host: None };
    let sink = Arc::new(Pipe(Mutex::new(sender)));
    let paced = PacedSampler::start(Box::new(Acting(action)), settings, Arc::new(SystemClock), sink).unwrap();
    (paced, receiver)
}

#[test]
fn passes_follow_each_other_on_the_grid() {
    let (paced, events) = start(Duration::from_millis(20), Box::new(|| ()));
    let first = events.recv_timeout(FOREVER).unwrap().time();
    (0..4).for_each(|_| drop(events.recv_timeout(FOREVER).unwrap()));
    let last = events.recv_timeout(FOREVER).unwrap().time();
    // NOTE: a loaded machine makes it longer, nothing makes five ticks shorter than four whole intervals.
    assert!(last.micros() - first.micros() >= 80_000, "{first} {last}");
    let status = paced.status();
    assert_eq!(paced.stop(FOREVER), StopOutcome::Ended);
    assert_eq!(status.get().state, SamplerState::Ok);
}

#[test]
fn a_stop_does_not_wait_for_the_next_tick() {
    let (paced, events) = start(Duration::from_secs(3600), Box::new(|| ()));
    events.recv_timeout(FOREVER).unwrap();
    assert_eq!(paced.stop(FOREVER), StopOutcome::Ended, "and not an hour later");
    assert!(events.recv().is_err(), "the thread is gone, its sink with it");
}

#[test]
fn a_pass_that_hangs_does_not_hold_up_the_stop() {
    let (release, gate) = channel::<()>();
    let wait = move || gate.recv().unwrap_or_default();
    let (paced, events) = start(Duration::from_millis(10), Box::new(wait));
    assert_eq!(paced.stop(Duration::from_millis(50)), StopOutcome::Late);
    drop(release);
    events.recv_timeout(FOREVER).unwrap();
    assert!(events.recv_timeout(FOREVER).is_err(), "it ended after that pass");
}

#[test]
fn a_drop_stops_the_thread() {
    let (paced, events) = start(Duration::from_secs(3600), Box::new(|| ()));
    events.recv_timeout(FOREVER).unwrap();
    drop(paced);
    assert!(events.recv().is_err());
}

#[test]
fn a_panic_shows_in_the_status() {
    let (paced, events) = start(Duration::from_millis(10), Box::new(|| panic!("a test")));
    assert!(events.recv_timeout(FOREVER).is_err(), "no event, and the thread is gone");
    let status = paced.status();
    assert_eq!(paced.stop(FOREVER), StopOutcome::Ended);
    assert_eq!(status.get().state, SamplerState::Failing);
    assert_eq!(status.get().error.as_deref(), Some("the sampler panicked and has ended"));
}

#[test]
fn a_sampler_that_hangs_delays_no_other_and_its_missed_ticks_are_told_while_it_hangs() {
    let (release, gate) = channel::<()>();
    let wait = move || gate.recv().unwrap_or_default();
    let interval = Duration::from_millis(10);
    let (hanging, late) = start(interval, Box::new(wait));
    let (well, events) = start(interval, Box::new(|| ()));
    (0..5).for_each(|_| drop(events.recv_timeout(FOREVER).unwrap()));
    let status = hanging.status();
    let begin = Instant::now();
    while status.get().missed_ticks < 3 {
        assert!(begin.elapsed() < FOREVER, "missed ticks are told while it hangs: {:?}", status.get());
        events.recv_timeout(FOREVER).unwrap();
    }
    let hung = status.get();
    assert!(hung.running.is_some_and(|running| running >= 2 * interval), "{hung:?}");
    assert_eq!((hung.last_run, hung.events_total), (None, 0));
    release.send(()).unwrap();
    late.recv_timeout(FOREVER).unwrap();
    drop(release);
    late.recv_timeout(FOREVER).unwrap();
    assert!(status.get().missed_ticks >= hung.missed_ticks);
    assert_eq!((hanging.stop(FOREVER), well.stop(FOREVER)), (StopOutcome::Ended, StopOutcome::Ended));
    let after = status.get();
    assert!(after.running.is_none() && after.events == 1 && after.last_duration.is_some(), "{after:?}");
}
