//! One turn of the loop: stamp, sample, check, offer, and keep the status.

use std::error::Error;

use event::{Event, Gap, HostName, Sink, SinkError, Text, Time, limits};

use crate::error::{in_one_line, in_short};
use crate::refusals::{Lost, Refusals};
use crate::{Activity, Clock, ClockStep, Pass, SampleError, Sampler, SamplerState, Stamps, StatusHandle};

/// Runs one sampler, a pass at a time. It never blocks on the sink.
///
/// It alone knows the rules that hold for every sampler: times never repeat, events that break a limit are
/// dropped and told (one bad event would make the sink refuse its whole batch), refused events are counted
/// and told by a `gap` event, and traces speak only of changes.
pub struct Runner {
    sampler: Box<dyn Sampler>,
    host: Option<Text>,
    stamps: Stamps,
    refusals: Refusals,
    health: Health,
    intake: Intake,
    status: StatusHandle,
}

/// What was last traced of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Partial,
    Failing,
}

/// What was last traced of the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Takes,
    Refuses,
}

impl Runner {
    /// A runner of this sampler; `host` is stamped on every event when the machine no longer has the name
    /// that the log was created with.
    #[must_use]
    pub fn new(sampler: Box<dyn Sampler>, host: Option<HostName>) -> Self {
        let status = StatusHandle::new(sampler.name());
        Self {
            sampler,
            host: host.map(|host| Text::new(host.as_str())),
            stamps: Stamps::default(),
            refusals: Refusals::default(),
            health: Health::Good,
            intake: Intake::Takes,
            status,
        }
    }

    /// The status, shared.
    #[must_use]
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// The sampler's line for the startup summary.
    pub fn describe(&mut self) -> String {
        self.sampler.describe()
    }

    /// Makes one pass.
    pub fn step(&mut self, clock: &dyn Clock, sink: &dyn Sink) {
        let began = clock.monotonic();
        let (time, clock_step) = self.stamps.next(clock.now());
        let mut pass = Pass::default();
        if let Some(step) = clock_step {
            pass.events.push(Event::Gap(self.clock_step(time, step)));
        }
        let outcome = self.sampler.sample(time, &mut pass);
        self.keep_valid(&mut pass);
        self.report(time, outcome, &pass.problems);
        let events = u64::try_from(pass.events.len()).unwrap_or(u64::MAX);
        self.status.update(|status| {
            status.last_duration = Some(clock.monotonic().saturating_sub(began));
            status.events = events;
            status.events_total = status.events_total.saturating_add(events);
        });
        self.hand_over(time, pass.events, sink);
    }

    /// Tells of the last refusals, if any. For the end of the loop.
    pub fn finish(&mut self, clock: &dyn Clock, sink: &dyn Sink) {
        let (time, _) = self.stamps.next(clock.now());
        self.hand_over(time, Vec::new(), sink);
    }

    fn clock_step(&self, time: Time, step: ClockStep) -> Gap {
        let name = self.sampler.name();
        tracing::warn!(sampler = name, from = %step.to, to = %step.from, "the clock stepped back");
        Gap {
            time,
            host: None,
            from: step.from,
            to: step.to,
            events: 0,
            what: Text::new(name),
            reason: Text::const_new("clock_step"),
        }
    }

    fn keep_valid(&self, pass: &mut Pass) {
        let Pass { events, problems } = pass;
        events.retain_mut(|event| {
            if let Some(host) = &self.host {
                *event.host_mut() = Some(host.clone());
            }
            let check = limits::check(event);
            if let Err(invalid) = &check {
                problems.push(format!("{} is left out: {invalid}", described(event)));
            }
            check.is_ok()
        });
    }

    fn report(&mut self, time: Time, outcome: Result<Activity, SampleError>, problems: &[String]) {
        let (state, health, error) = match outcome {
            Err(error) => (SamplerState::Failing, Health::Failing, Some(in_one_line(&error))),
            Ok(activity) => {
                let state = match activity {
                    Activity::Sampled => SamplerState::Ok,
                    Activity::Idle => SamplerState::Idle,
                };
                match in_short(problems) {
                    Some(problems) => (state, Health::Partial, Some(problems)),
                    None => (state, Health::Good, None),
                }
            }
        };
        self.trace_health(health, error.as_deref().unwrap_or_default());
        self.status.update(|status| {
            status.state = state;
            status.last_run = Some(time);
            status.error = error;
        });
    }

    fn trace_health(&mut self, health: Health, error: &str) {
        if self.health == health {
            return;
        }
        self.health = health;
        let name = self.sampler.name();
        match health {
            Health::Good => tracing::info!(sampler = name, "the sampler works again"),
            Health::Partial => tracing::warn!(sampler = name, error, "the sampler cannot read everything"),
            Health::Failing => tracing::warn!(sampler = name, error, "the sampler fails"),
        }
    }

    fn hand_over(&mut self, time: Time, mut events: Vec<Event>, sink: &dyn Sink) {
        let lost = Lost::of(&events);
        if let Some(mut gap) = self.refusals.gap(time, self.sampler.name()) {
            gap.host.clone_from(&self.host);
            events.push(Event::Gap(gap));
        }
        if events.is_empty() {
            return;
        }
        match sink.offer(events) {
            Ok(()) => {
                self.refusals.clear();
                self.trace_intake(Intake::Takes, None);
            }
            Err(error) => {
                if let Some(lost) = lost {
                    self.refusals.add(lost, error.kind());
                    self.status.update(|status| {
                        status.refused_events = status.refused_events.saturating_add(lost.events);
                    });
                }
                self.trace_intake(Intake::Refuses, Some(&error));
            }
        }
    }

    fn trace_intake(&mut self, intake: Intake, error: Option<&SinkError>) {
        if self.intake == intake {
            return;
        }
        self.intake = intake;
        let name = self.sampler.name();
        match intake {
            Intake::Takes => tracing::info!(sampler = name, "the log takes the sampler's events again"),
            Intake::Refuses => {
                let error = error.map(|error| in_one_line(error as &dyn Error)).unwrap_or_default();
                tracing::warn!(sampler = name, error, "the log refuses the sampler's events");
            }
        }
    }
}

/// An event by its kind and the beginning of its subject's name.
fn described(event: &Event) -> String {
    /// The most characters of a name, which may be what is wrong.
    const NAME_CHARS_MAX: usize = 100;
    let name = match event {
        Event::AgentSample(sample) => &sample.agent_name,
        Event::SystemSample(sample) => &sample.system_name,
        _ => return format!("the {}", event.kind()),
    };
    let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    format!("the {} of {shown:?}", event.kind())
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
