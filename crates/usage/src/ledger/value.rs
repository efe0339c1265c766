//! What lies under the ledger's keys, as bytes.
//!
//! ```text
//! call     1, flags u8, day u32, payload    the largest telling of a call, and the day that last touched it
//!          2, sixteen bytes                 the call that this one turned out to be
//! session  1, day u32                       a transcript tells of it; the day that last touched this
//! near     1, teller u8, last i64, at i64   the time of the newest telling, and when it was appended
//! waiting  1, due i64, payload              telemetry, and when it has waited long enough
//! ```
//!
//! Integers are big-endian, times microseconds and days since the epoch, a payload is that of a record of the event
//! (`event::wire`). What cannot be read, because a newer version wrote it, counts as not there: the database has its
//! own rule behind this one.

use event::wire::{self, Decoded};
use event::{Event, Time, TokenUsage};

use super::key::Id;

const FORMAT: u8 = 1;
const ALSO: u8 = 2;
const EXPLAINED: u8 = 1;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day since the epoch.
pub(super) type Day = u32;

/// The day that a time lies in.
pub(super) fn day(time: Time) -> Day {
    Day::try_from(time.micros().div_euclid(MICROS_PER_DAY)).unwrap_or_default()
}

/// What is under the key of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    /// The call itself.
    Itself(Box<Known>),
    /// Another call's id: both are one.
    Also(Id),
}

/// The largest telling of a call so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) usage: TokenUsage,
    pub(super) touched: Day,
    pub(super) explained: Explained,
}

/// Whether telemetry has told of a call already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Explained {
    #[default]
    No,
    Yes,
}

/// Who told of a call first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Somebody who knows message ids.
    Named,
    /// Telemetry alone.
    Telemetry,
}

impl Call {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Also(id) => id.key(&[ALSO]),
            Self::Itself(known) => {
                let flags = if known.explained == Explained::Yes { EXPLAINED } else { 0 };
                let mut bytes = vec![FORMAT, flags];
                bytes.extend(known.touched.to_be_bytes());
                put_usage(&known.usage, &mut bytes);
                bytes
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&ALSO, rest) if rest.len() == 16 => Id::at_end_of(rest).map(Self::Also),
            (&FORMAT, rest) => {
                let (flags, rest) = rest.split_first()?;
                let (day, payload) = rest.split_first_chunk()?;
                let explained = if flags & EXPLAINED == 0 { Explained::No } else { Explained::Yes };
                let touched = Day::from_be_bytes(*day);
                Some(Self::Itself(Box::new(Known { usage: usage(payload)?, touched, explained })))
            }
            _ => None,
        }
    }
}

pub(super) fn encode_session(touched: Day) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend(touched.to_be_bytes());
    bytes
}

pub(super) fn decode_session(bytes: &[u8]) -> Option<Day> {
    let rest = bytes.strip_prefix(&[FORMAT])?;
    Some(Day::from_be_bytes(rest.try_into().ok()?))
}

pub(super) fn encode_near(by: By, last: Time, at: Time) -> Vec<u8> {
    let mut bytes = vec![FORMAT, u8::from(by == By::Telemetry)];
    bytes.extend(last.micros().to_be_bytes());
    bytes.extend(at.micros().to_be_bytes());
    bytes
}

pub(super) fn decode_near(bytes: &[u8]) -> Option<(By, Time, Time)> {
    let (by, rest) = bytes.strip_prefix(&[FORMAT])?.split_first()?;
    let by = if *by == 0 { By::Named } else { By::Telemetry };
    let (last, at) = rest.split_first_chunk()?;
    let at = at.try_into().ok()?;
    Some((by, Time::from_micros(i64::from_be_bytes(*last)), Time::from_micros(i64::from_be_bytes(at))))
}

pub(super) fn encode_waiting(due: Time, usage: &TokenUsage) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend(due.micros().to_be_bytes());
    put_usage(usage, &mut bytes);
    bytes
}

pub(super) fn decode_waiting(bytes: &[u8]) -> Option<(Time, TokenUsage)> {
    let (due, payload) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk()?;
    Some((Time::from_micros(i64::from_be_bytes(*due)), usage(payload)?))
}

fn put_usage(usage: &TokenUsage, bytes: &mut Vec<u8>) {
    // NOTE: encoding into memory fails for no event that has passed its limits; without a payload the value counts as
    // not there.
    let _ = wire::encode(&Event::TokenUsage(usage.clone()), bytes);
}

fn usage(payload: &[u8]) -> Option<TokenUsage> {
    match wire::decode(payload) {
        Ok(Decoded::Event(Event::TokenUsage(usage))) => Some(usage),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use event::Text;

    use super::*;

    fn sample() -> TokenUsage {
        let [agent_name, model, message_id] = ["zen", "claude", "msg_1"].map(Text::new);
        let host = Some(Text::new("h"));
        let time = Time::from_micros(1_767_323_045_000_000);
        TokenUsage { time, host, agent_name, model, message_id, output_tokens: 7, ..TokenUsage::default() }
    }

    #[test]
    fn values_are_read_back() {
        let usage = sample();
        for explained in [Explained::No, Explained::Yes] {
            let call = Call::Itself(Box::new(Known { usage: usage.clone(), touched: 20_455, explained }));
            assert_eq!(Call::decode(&call.encode()), Some(call));
        }
        let also = Call::Also(Id::of_call(&usage).unwrap());
        assert_eq!(Call::decode(&also.encode()), Some(also));
        assert_eq!(decode_session(&encode_session(9)), Some(9));
        let (last, at) = (Time::from_micros(-5), Time::from_micros(6));
        for by in [By::Named, By::Telemetry] {
            assert_eq!(decode_near(&encode_near(by, last, at)), Some((by, last, at)));
        }
        assert_eq!(decode_waiting(&encode_waiting(at, &usage)), Some((at, usage)));
    }

    #[test]
    fn what_is_cut_or_strange_counts_as_not_there() {
        let call =
            Call::Itself(Box::new(Known { usage: sample(), touched: 1, explained: Explained::No })).encode();
        for cut in 0..call.len() {
            assert_eq!(Call::decode(&call[..cut]), None, "{cut}");
        }
        assert_eq!(Call::decode(&[9, 0]), None);
        assert_eq!((decode_session(&[1, 2]), decode_near(&[1]), decode_waiting(&[2, 3])), (None, None, None));
    }

    #[test]
    fn a_day_is_one_of_utc() {
        assert_eq!(day("1970-01-02T00:00:00Z".parse().unwrap()), 1);
        assert_eq!(day("1970-01-01T23:59:59.999999Z".parse().unwrap()), 0);
    }
}
