//! Events to project: plain ones that differ, and drawn ones whose keys meet often.

use event::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Kind, Resources, State, SystemSample, Text, Time,
    TokenUsage,
};

const BEGIN_MICROS: i64 = 1_767_323_045_000_000;

/// `count` events with keys of their own; `from` tells one run of them from the next.
pub fn samples(from: u64, count: u64) -> Vec<Event> {
    (from..from + count).map(sample).collect()
}

/// The sample of this number.
pub fn sample(number: u64) -> Event {
    Event::SystemSample(SystemSample {
        time: time(number),
        system_name: "db".into(),
        ..SystemSample::default()
    })
}

/// A snapshot of one model call.
pub fn usage(message_id: &str, output_tokens: u64, input_tokens: u64, is_final: bool) -> Event {
    Event::TokenUsage(TokenUsage {
        time: time(0),
        agent_name: "a".into(),
        model: "m".into(),
        message_id: message_id.into(),
        input_tokens,
        output_tokens,
        r#final: is_final,
        ..TokenUsage::default()
    })
}

/// What an event of few names and times is made of, so that keys meet.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Which kind.
    pub kind: Kind,
    /// Whether the host is absent, named though it is the log's own, or another.
    pub host: DrawnHost,
    /// Part of the key.
    pub name: u8,
    /// Part of the key.
    pub time: u8,
    /// Part of a usage's key; 0 is none.
    pub message: u8,
    /// What a usage's rank is made of, and content elsewhere.
    pub counts: (u8, u8),
    /// Whether a usage is final.
    pub is_final: bool,
}

/// The three ways in which an event has a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawnHost {
    /// Absent: the log's own.
    Absent,
    /// Named, and the log's own.
    Own,
    /// Another.
    Other,
}

impl Draw {
    /// The event.
    pub fn event(self) -> Event {
        let (time, name) = (time(self.time.into()), Text::from(format!("n{}", self.name)));
        let host = match self.host {
            DrawnHost::Absent => None,
            DrawnHost::Own => Some(crate::log::HOST.into()),
            DrawnHost::Other => Some("elsewhere".into()),
        };
        let (first, second) = (u64::from(self.counts.0), u64::from(self.counts.1));
        let resources = Resources { mem_used_bytes: Some(first), ..Resources::default() };
        match self.kind {
            Kind::AgentSample => Event::AgentSample(AgentSample {
                time,
                host,
                agent_name: name,
                resources,
                ..Default::default()
            }),
            Kind::SystemSample => {
                Event::SystemSample(SystemSample { time, host, system_name: name, resources })
            }
            Kind::ChannelSample => Event::ChannelSample(ChannelSample {
                time,
                host,
                channel_name: name,
                message_count: first,
                member_count: Some(second),
                reaction_count: 0,
            }),
            Kind::TokenUsage => Event::TokenUsage(TokenUsage {
                time,
                host,
                agent_name: name,
                model: "m".into(),
                message_id: if self.message == 0 {
                    "".into()
                } else {
                    format!("msg_{}", self.message).into()
                },
                output_tokens: first,
                input_tokens: second,
                r#final: self.is_final,
                ..TokenUsage::default()
            }),
            Kind::AgentState => Event::AgentState(AgentState {
                time,
                host,
                agent_name: name,
                state: if self.is_final { State::Done } else { State::Working },
                ..AgentState::default()
            }),
            Kind::Gap => Event::Gap(Gap {
                time,
                host,
                from: time,
                to: time,
                events: first,
                what: name,
                reason: "clock_step".into(),
            }),
        }
    }
}

/// The draw of a number: neighbours differ, and few of them have a key of their own.
pub fn draw_of(number: u64) -> Draw {
    let mut chance = fastrand::Rng::with_seed(number);
    Draw {
        kind: Kind::ALL[chance.usize(..Kind::ALL.len())],
        host: [DrawnHost::Absent, DrawnHost::Own, DrawnHost::Other][chance.usize(..3)],
        name: chance.u8(..2),
        time: chance.u8(..3),
        message: chance.u8(..3),
        counts: (chance.u8(..3), chance.u8(..3)),
        is_final: chance.bool(),
    }
}

/// The time of a number.
pub fn time(number: u64) -> Time {
    Time::from_micros(BEGIN_MICROS).plus_micros(i64::try_from(number).unwrap() * 1_000_000)
}
