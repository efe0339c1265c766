//! What is known of one agent, and what follows from it.

use std::collections::BTreeMap;

use event::{AgentSample, AgentState, State, Text, Time};

use super::places::{Claim, Place};
use super::{AgentNow, ConfiguredAgent, Life, Seen};

/// A day.
pub(super) const MICROS_A_DAY: i64 = 24 * 3_600 * 1_000_000;
/// How far a state's time may lie in the future before its clock was wrong.
const FUTURE_MICROS_MAX: i64 = 60 * 1_000_000;

/// For how long after it was seen in a place it is taken to be there still, while nothing else is heard from there.
const SEEN_MICROS: i64 = 10 * 60 * 1_000_000;
/// The places that samplers look into, the one that tells more of an agent last: a container has a network of its own.
const PLACES: [&str; 2] = ["tmux", "docker"];

/// That an agent is sampled in another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// Since now.
    Anew,
    /// As before.
    Still,
}

/// What is known of one agent.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) configured: Option<ConfiguredAgent>,
    /// How it was seen last, by what it runs in: an agent can live in several places.
    sightings: BTreeMap<Text, Sighting>,
    said: Option<AgentState>,
    /// The place that is not sampled, if it lives in two.
    left_out: Option<Text>,
}

/// How an agent was seen last.
#[derive(Debug)]
struct Sighting {
    time: Time,
    role: Text,
    life: Life,
    directory: Option<Text>,
}

/// The words that say what kind of agent it is.
pub(super) struct Labels {
    pub(super) role: Text,
    pub(super) tool: Text,
    pub(super) runtime: Text,
}

impl Known {
    pub(super) fn configured(agent: ConfiguredAgent) -> Self {
        Self { configured: Some(agent), ..Self::default() }
    }

    /// When something was seen or heard of it last.
    pub(super) fn touched(&self) -> Option<Time> {
        let seen = self.sightings.values().map(|sighting| sighting.time);
        seen.chain(self.said.iter().map(|said| said.time)).max()
    }

    /// Keeps what a sampler sees, and tells the state at this time.
    pub(super) fn see(&mut self, time: Time, seen: &Seen) -> State {
        self.forget_future(time);
        let before = self.sightings.get(&seen.runtime);
        // NOTE: who cannot be seen is as it was, for as long as that lasts.
        let life = match seen.life {
            Life::Unseen => before.map_or(Life::Unseen, |before| before.life),
            life => life,
        };
        let directory = seen.directory.clone().or_else(|| before?.directory.clone());
        let sighting = Sighting { time, role: seen.role.clone(), life, directory };
        self.sightings.insert(seen.runtime.clone(), sighting);
        match (seen.life, life) {
            (Life::Unseen, Life::Stopped) => State::Unknown,
            _ => self.state(time, life),
        }
    }

    /// Whether it was seen lately in a better place than the one where it is seen now: one where it runs, and of two
    /// where it does the container.
    pub(super) fn is_sampled_elsewhere(&mut self, time: Time, seen: &Seen) -> Option<Elsewhere> {
        let lately = time.plus_micros(-SEEN_MICROS);
        let rank = |runtime: &str, sighting: &Sighting| {
            let place = PLACES.iter().position(|place| *place == runtime);
            Some((matches!(sighting.life, Life::Runs { .. }), place?))
        };
        let here = rank(&seen.runtime, self.sightings.get(&seen.runtime)?)?;
        let others =
            self.sightings.iter().filter(|(runtime, it)| **runtime != seen.runtime && it.time >= lately);
        let is_elsewhere = others.filter_map(|(runtime, it)| rank(runtime, it)).any(|other| other > here);
        let was_elsewhere = self.left_out.as_ref() == Some(&seen.runtime);
        match (is_elsewhere, was_elsewhere) {
            (true, false) => self.left_out = Some(seen.runtime.clone()),
            (false, true) => self.left_out = None,
            _ => {}
        }
        is_elsewhere.then_some(if was_elsewhere { Elsewhere::Still } else { Elsewhere::Anew })
    }

    pub(super) fn hear(&mut self, said: &AgentState) {
        if self.said.as_ref().is_none_or(|known| known.time < said.time) {
            self.said = Some(said.clone());
        }
    }

    pub(super) fn recall(&mut self, sample: &AgentSample) {
        if self.sightings.get(&sample.runtime).is_some_and(|known| known.time >= sample.time) {
            return;
        }
        let life = if sample.state == State::Stopped { Life::Stopped } else { Life::Runs { since: None } };
        let sighting = Sighting { time: sample.time, role: sample.role.clone(), life, directory: None };
        self.sightings.insert(sample.runtime.clone(), sighting);
        let is_newer = self.said.as_ref().is_none_or(|said| said.time < sample.time);
        match sample.state {
            // NOTE: a sampler has weighed what was said before; who records samples without a runtime has not.
            State::Unknown if is_newer && !sample.runtime.is_empty() => self.said = None,
            State::Unknown | State::Stopped => {}
            state if is_newer => self.hear(&said_by(sample, state, self.said.as_ref())),
            _ => {}
        }
    }

    pub(super) fn labels(&self, seen: &Seen) -> Labels {
        let told = |text: Option<&Text>| text.filter(|text| !text.is_empty()).cloned();
        let (configured, said) = (self.configured.as_ref(), self.said.as_ref());
        let first = |configured: Option<&Text>, seen: &Text, said: Option<&Text>| {
            told(configured).or_else(|| told(Some(seen))).or_else(|| told(said)).unwrap_or_default()
        };
        Labels {
            role: first(configured.map(|it| &it.role), &seen.role, said.map(|it| &it.role)),
            tool: first(configured.map(|it| &it.tool), &seen.tool, said.map(|it| &it.tool)),
            runtime: first(None, &seen.runtime, said.map(|it| &it.runtime)),
        }
    }

    /// Its places: those that the configuration gives it, and where it was seen at work.
    pub(super) fn claims<'a>(&'a self, agent: &'a Text) -> impl Iterator<Item = Place<'a>> {
        let configured = self.configured.iter().flat_map(|it| [&it.home, &it.directory]).flatten();
        let configured = configured.map(|path| (path, Claim::Configured));
        let seen = self.sightings.values().filter_map(|sighting| {
            let claim = if matches!(sighting.life, Life::Runs { .. }) { Claim::Works } else { Claim::Left };
            Some((sighting.directory.as_ref()?, claim))
        });
        configured.chain(seen).map(move |(path, claim)| Place { agent, path, claim })
    }

    /// What it is now: as it runs somewhere, else as it was seen last.
    pub(super) fn now(&mut self, name: &Text, now: Time) -> AgentNow {
        self.forget_future(now);
        let rank = |it: &&Sighting| (matches!(it.life, Life::Runs { .. }), it.time);
        let sighting = self.sightings.values().max_by_key(rank);
        let role = sighting.map(|it| it.role.clone()).unwrap_or_default();
        let seen = Seen { role, ..Seen::default() };
        let (life, state) = match sighting.map(|it| (it.life, it.time)) {
            // NOTE: no sampler has looked since it said so: it lives where none looks.
            Some((Life::Stopped, time)) if self.said_after(time).is_none() => (Life::Stopped, State::Stopped),
            Some((life @ Life::Runs { since }, _)) => {
                let life = if since.is_some() { life } else { self.life_as_said() };
                (life, self.state(now, life))
            }
            _ => (self.life_as_said(), self.said.as_ref().map(|said| said.state).unwrap_or_default()),
        };
        let life = match (life, sighting) {
            _ if state == State::Stopped => Life::Stopped,
            (Life::Unseen, Some(_)) => Life::Runs { since: None },
            (life, _) => life,
        };
        AgentNow { name: name.clone(), role: self.labels(&seen).role, state, life }
    }

    /// What it says of its own life; unseen when it says nothing.
    fn life_as_said(&self) -> Life {
        self.said.as_ref().map_or(Life::Unseen, |said| Life::Runs { since: said.started_at })
    }

    fn said_after(&self, time: Time) -> Option<&AgentState> {
        self.said.as_ref().filter(|said| said.time > time)
    }

    /// Its state with this life.
    fn state(&self, time: Time, life: Life) -> State {
        let since = match life {
            Life::Stopped => return State::Stopped,
            // NOTE: a beginning in the future was told by a clock that was wrong, and says nothing.
            Life::Runs { since } => since.filter(|since| *since <= time),
            Life::Unseen => None,
        };
        let said = self.said.as_ref().filter(|said| since.is_none_or(|since| said.time >= since));
        said.map(|said| said.state).unwrap_or_default()
    }

    fn forget_future(&mut self, now: Time) {
        let horizon = now.plus_micros(FUTURE_MICROS_MAX);
        self.said = self.said.take().filter(|said| said.time <= horizon);
    }
}

/// What a sample says, as if the agent had said it.
fn said_by(sample: &AgentSample, state: State, before: Option<&AgentState>) -> AgentState {
    AgentState {
        time: sample.time,
        host: None,
        agent_name: sample.agent_name.clone(),
        role: sample.role.clone(),
        tool: sample.tool.clone(),
        runtime: sample.runtime.clone(),
        state,
        started_at: before.and_then(|said| said.started_at),
    }
}
