//! Tests of one turn of the loop, with a scripted sampler, a scripted sink and a clock that stands still.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Accepted, SinkErrorKind, SystemSample};

use super::*;
use crate::{ErrorKind, ManualClock};

/// What the scripted sampler does in its next pass.
enum Act {
    Sample(&'static str),
    Partial(&'static str),
    Fail,
    Idle,
}

struct Script(VecDeque<Act>);

impl Sampler for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn describe(&mut self) -> String {
        "script: a test".to_owned()
    }

    fn sample(&mut self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError> {
        let system = |name| SystemSample { time, system_name: Text::new(name), ..SystemSample::default() };
        match self.0.pop_front().unwrap() {
            Act::Sample(name) => pass.events.push(Event::SystemSample(system(name))),
            Act::Partial(name) => {
                pass.events.push(Event::SystemSample(system(name)));
                pass.problems.push("a part is missing".to_owned());
            }
            Act::Fail => {
                pass.events.push(Event::SystemSample(system("null")));
                let cause = std::io::Error::other("the source is gone");
                return Err(SampleError::new("cannot sample", ErrorKind::Retry, cause));
            }
            Act::Idle => return Ok(Activity::Idle),
        }
        Ok(Activity::Sampled)
    }
}

/// Refuses as scripted, and keeps the rest.
#[derive(Default)]
struct Shelf {
    refuse: Mutex<VecDeque<Option<SinkErrorKind>>>,
    kept: Mutex<Vec<Event>>,
}

impl Sink for Shelf {
    fn append(&self, _: Vec<Event>) -> Result<Accepted, SinkError> {
        unreachable!("samplers never wait")
    }

    fn offer(&self, events: Vec<Event>) -> Result<(), SinkError> {
        if let Some(Some(kind)) = self.refuse.lock().unwrap().pop_front() {
            return Err(SinkError::new(kind, "no"));
        }
        self.kept.lock().unwrap().extend(events);
        Ok(())
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    sink: Shelf,
    runner: Runner,
}

fn bench(acts: impl IntoIterator<Item = Act>, host: Option<&str>) -> Bench {
    let clock = Arc::new(ManualClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
    let host = host.map(|host| HostName::new(host).unwrap());
    let runner = Runner::new(Box::new(Script(acts.into_iter().collect())), host);
    Bench { clock, sink: Shelf::default(), runner }
}

impl Bench {
    fn step(&mut self) {
        self.runner.step(&*self.clock, &self.sink);
        self.clock.advance(Duration::from_secs(1));
    }

    fn kept(&self) -> Vec<Event> {
        self.sink.kept.lock().unwrap().clone()
    }

    fn status(&self) -> (SamplerState, Option<String>) {
        let status = self.runner.status().get();
        (status.state, status.error)
    }
}

fn gaps(events: &[Event]) -> Vec<Gap> {
    events
        .iter()
        .filter_map(|event| if let Event::Gap(gap) = event { Some(gap.clone()) } else { None })
        .collect()
}

#[test]
fn status_follows_the_passes() {
    let mut bench = bench([Act::Sample("a"), Act::Fail, Act::Partial("a"), Act::Idle], None);
    assert_eq!(bench.status(), (SamplerState::Idle, None));
    bench.step();
    assert_eq!(bench.status(), (SamplerState::Ok, None));
    bench.step();
    let error = "cannot sample: the source is gone".to_owned();
    assert_eq!(bench.status(), (SamplerState::Failing, Some(error)));
    bench.step();
    assert_eq!(bench.status(), (SamplerState::Ok, Some("a part is missing".to_owned())));
    bench.step();
    assert_eq!(bench.status(), (SamplerState::Idle, None));
    assert_eq!(bench.kept().len(), 3, "what was pushed before an error is offered too");
    let last_run = bench.runner.status().get().last_run.unwrap();
    assert_eq!(last_run.to_string(), "2026-01-02T03:04:08.000000Z");
    let status = bench.runner.status().get();
    assert_eq!((status.events, status.events_total, status.last_duration), (0, 3, Some(Duration::ZERO)));
}

#[test]
fn refused_events_become_one_gap_when_the_sink_takes_again() {
    let mut bench = bench((0..4).map(|_| Act::Sample("a")), None);
    let full = Some(SinkErrorKind::Full);
    bench.sink.refuse.lock().unwrap().extend([None, full, full, None]);
    (0..4).for_each(|_| bench.step());
    let kept = bench.kept();
    assert_eq!(kept.len(), 3, "the first, the last and the gap");
    let gap = gaps(&kept).remove(0);
    assert_eq!((gap.events, gap.what.as_str(), gap.reason.as_str()), (2, "script", "log_full"));
    let seconds = |time: Time| time.micros() / 1_000_000 - kept[0].time().micros() / 1_000_000;
    assert_eq!((seconds(gap.from), seconds(gap.to), seconds(gap.time)), (1, 2, 3));
    assert_eq!(bench.runner.status().get().refused_events, 2);
}

#[test]
fn a_refused_gap_event_is_not_counted_twice_and_told_at_the_end() {
    let mut bench = bench([Act::Sample("a"), Act::Idle, Act::Sample("a")], None);
    bench.sink.refuse.lock().unwrap().extend([Some(SinkErrorKind::Closed); 3]);
    (0..3).for_each(|_| bench.step());
    assert!(bench.kept().is_empty());
    bench.runner.finish(&*bench.clock, &bench.sink);
    let gap = gaps(&bench.kept()).remove(0);
    assert_eq!((gap.events, gap.reason.as_str()), (2, "log_closed"));
    bench.runner.finish(&*bench.clock, &bench.sink);
    assert_eq!(bench.kept().len(), 1, "told once");
}

#[test]
fn times_never_repeat_and_a_step_back_is_a_gap() {
    let mut bench = bench((0..3).map(|_| Act::Sample("a")), None);
    let start = bench.clock.now();
    bench.runner.step(&*bench.clock, &bench.sink);
    bench.runner.step(&*bench.clock, &bench.sink);
    bench.clock.step_to(start.plus_micros(-60_000_000));
    bench.runner.step(&*bench.clock, &bench.sink);
    let kept = bench.kept();
    assert_eq!(kept[1].time(), kept[0].time().plus_micros(1));
    let gap = gaps(&kept).remove(0);
    assert_eq!((gap.reason.as_str(), gap.events), ("clock_step", 0));
    assert_eq!((gap.from, gap.to), (start.plus_micros(-60_000_000), start.plus_micros(1)));
    assert_eq!(kept.last().unwrap().time(), start.plus_micros(-60_000_000));
}

#[test]
fn an_event_that_breaks_a_limit_is_left_out_and_told() {
    let mut bench = bench([Act::Sample(""), Act::Sample("a")], None);
    bench.step();
    assert!(bench.kept().is_empty());
    let error = bench.status().1.unwrap();
    assert_eq!(error, r#"the system_sample of "" is left out: field system_name: must not be empty"#);
    bench.step();
    assert_eq!(bench.kept().len(), 1);
    assert_eq!(bench.status(), (SamplerState::Ok, None));
}

#[test]
fn a_renamed_machine_stamps_every_event() {
    let mut bench = bench([Act::Sample("a"), Act::Sample("a")], Some("newname"));
    bench.sink.refuse.lock().unwrap().push_back(Some(SinkErrorKind::Full));
    (0..2).for_each(|_| bench.step());
    let kept = bench.kept();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|event| event.host() == Some("newname")), "the gap too");
}

/// Collects what a thread traces.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn traces_speak_of_changes_only() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let acts =
        [Act::Sample("a"), Act::Fail, Act::Fail, Act::Sample("a"), Act::Partial("a"), Act::Partial("a")];
    let mut bench = bench(acts, None);
    let full = Some(SinkErrorKind::Full);
    bench.sink.refuse.lock().unwrap().extend([None, None, full, full]);
    tracing::subscriber::with_default(subscriber, || (0..6).for_each(|_| bench.step()));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let count = |needle: &str| text.lines().filter(|line| line.contains(needle)).count();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert_eq!(count("WARN"), 3, "{text}");
    assert_eq!(count("the sampler fails"), 1);
    assert_eq!(count("the sampler works again"), 1);
    assert_eq!(count("the sampler cannot read everything"), 1);
    assert_eq!(count("the log refuses the sampler's events"), 1);
    assert_eq!(count("the log takes the sampler's events again"), 1);
}
