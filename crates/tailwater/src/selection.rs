//! What of the log a command asks for: from where, to where, and which kinds.
//!
//! A place is a position or a time. A position says where reading begins or ends; a time chooses events by their
//! own time, wherever they lie, for imports bring old times late. Ends are exclusive: `--from 1 --to 10` is nine
//! positions, and the next piece begins with `--from 10`.

use event::wire::Decoded;
use event::{Entry, Kind, Position, Time};
use eventlog::TimeRange;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Where something begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// At a position.
    Position(u64),
    /// At a time of events, in microseconds since the epoch.
    Time(i64),
}

/// Which kinds of event; none named means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub(crate) struct Kinds(Vec<Kind>);

/// Which events of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// Where it begins; the beginning of the log.
    pub from: Option<Place>,
    /// Where it ends, exclusive; the end of the log.
    pub to: Option<Place>,
    /// Which kinds.
    pub kinds: Kinds,
}

impl Place {
    /// Reads a position (a bare whole number), or a time as everywhere.
    ///
    /// # Errors
    /// When it is neither: `flag` is what the error names.
    pub(crate) fn parse(flag: &'static str, text: &str, now: Time) -> Result<Self, Failure> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(0) => Err(Failure::error(format!("--{flag}: positions begin at 1"))),
                Ok(position) => Ok(Self::Position(position)),
                Err(_) => Err(Failure::error(format!("--{flag}: {text} is beyond every position"))),
            };
        }
        query::parse_time(flag, text, now).map(|time| Self::Time(time.micros())).map_err(|_| {
            Failure::error(format!(
                "--{flag}: {text:?} is neither a position such as 1234 nor a time: use RFC 3339 such as \
                 2026-01-02T03:04:05Z, or a time relative to now: -90s, -30m, -1h, -2d, now"
            ))
        })
    }
}

impl Kinds {
    /// Reads names of kinds with commas between them.
    ///
    /// # Errors
    /// When one of them is no kind.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let names = text.split(',').map(str::to_owned).collect::<Vec<_>>();
        Self::try_from(names).map_err(|problem| Failure::error(format!("--kind: {problem}")))
    }

    fn has(&self, kind: Option<Kind>) -> bool {
        self.0.is_empty() || kind.is_some_and(|kind| self.0.contains(&kind))
    }
}

impl TryFrom<Vec<String>> for Kinds {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        let kinds = names.iter().map(|name| {
            Kind::from_name(name.trim()).ok_or_else(|| {
                let all = Kind::ALL.map(Kind::name).join(", ");
                format!("{name:?} is not one of: {all}")
            })
        });
        kinds.collect::<Result<_, _>>().map(Self)
    }
}

impl From<Kinds> for Vec<String> {
    fn from(kinds: Kinds) -> Self {
        kinds.0.into_iter().map(|kind| kind.name().to_owned()).collect()
    }
}

impl Selection {
    /// Reads the flags `--from`, `--to` and `--kind`.
    ///
    /// # Errors
    /// When one of them means nothing, or nothing can lie between the two ends.
    pub(crate) fn parse(
        from: Option<&str>,
        to: Option<&str>,
        kind: Option<&str>,
        now: Time,
    ) -> Result<Self, Failure> {
        let place = |flag, text: Option<&str>| text.map(|text| Place::parse(flag, text, now)).transpose();
        let selection = Self {
            from: place("from", from)?,
            to: place("to", to)?,
            kinds: kind.map(Kinds::parse).transpose()?.unwrap_or_default(),
        };
        let is_empty = match (selection.from, selection.to) {
            (Some(Place::Position(from)), Some(Place::Position(to))) => from >= to,
            (Some(Place::Time(from)), Some(Place::Time(to))) => from >= to,
            _ => false,
        };
        if is_empty {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            return Err(Failure::error(format!(
                "--from: {} is not before --to, which is {}",
                text(from),
                text(to)
            )));
        }
        Ok(selection)
    }

    /// It as flags: always the same for the same, and nothing in them is relative to now.
    #[must_use]
    pub(crate) fn flags(&self) -> String {
        let place = |flag, place: Option<Place>| match place {
            None => None,
            Some(Place::Position(position)) => Some(format!("{flag} {position}")),
            Some(Place::Time(micros)) => Some(format!("{flag} {}", Time::from_micros(micros))),
        };
        let mut kinds: Vec<&str> = self.kinds.0.iter().map(|kind| kind.name()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kinds = (!kinds.is_empty()).then(|| format!("--kind {}", kinds.join(",")));
        let flags = [place("--from", self.from), place("--to", self.to), kinds];
        flags.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// How a replay of it goes on.
    #[must_use]
    pub(crate) fn goes_on(&self) -> String {
        let command = format!("tailwater replay {}", self.flags());
        format!("`{}`, into the same database, goes on from there", command.trim_end())
    }

    /// The first position that can be in it.
    #[must_use]
    pub(crate) fn start(&self) -> Position {
        match self.from {
            Some(Place::Position(position)) => Position(position),
            _ => Position::FIRST,
        }
    }

    /// The position behind the last one that can be in it, in a log that ends before `end`.
    #[must_use]
    pub(crate) fn end(&self, end: Position) -> Position {
        match self.to {
            Some(Place::Position(position)) => end.min(Position(position)),
            _ => end,
        }
    }

    /// Whether every event between its ends is in it.
    #[must_use]
    pub(crate) fn is_whole(&self) -> bool {
        self.times() == TimeRange::ALL && self.kinds.0.is_empty()
    }

    /// The times of its events, both ends included.
    #[must_use]
    pub(crate) fn times(&self) -> TimeRange {
        let mut times = TimeRange::ALL;
        if let Some(Place::Time(from)) = self.from {
            times.from = Time::from_micros(from);
        }
        if let Some(Place::Time(to)) = self.to {
            times.to = Time::from_micros(to.saturating_sub(1));
        }
        times
    }

    /// The kinds of its events.
    #[must_use]
    pub(crate) fn kinds(&self) -> &[Kind] {
        if self.kinds.0.is_empty() { &Kind::ALL } else { &self.kinds.0 }
    }

    /// Whether this entry, which lies between its ends, is in it. What a newer version wrote has a time that
    /// nobody here can read: it is in, so that it is told.
    #[must_use]
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        match &entry.event {
            Decoded::Event(event) => self.kinds.has(Some(event.kind())) && self.has_time(event.time()),
            Decoded::Unknown { kind, .. } => self.kinds.has(Kind::from_number(*kind)),
        }
    }

    fn has_time(&self, time: Time) -> bool {
        let micros = time.micros();
        let is_late_enough = !matches!(self.from, Some(Place::Time(from)) if micros < from);
        let is_early_enough = !matches!(self.to, Some(Place::Time(to)) if micros >= to);
        is_late_enough && is_early_enough
    }
}

#[cfg(test)]
mod tests {
    use event::{AgentState, Event, Gap};

    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn parse(from: &str, to: &str, kind: &str) -> Result<Selection, String> {
        let given = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let leak = |text: &str| given(text.to_owned().leak());
        Selection::parse(leak(from), leak(to), leak(kind), NOW.parse().unwrap())
            .map_err(|failure| failure.message)
    }

    fn entry(position: u64, event: Event) -> Entry {
        Entry { position: Position(position), checksum: 0, bytes: 0, event: Decoded::Event(event) }
    }

    fn state(time: &str) -> Event {
        Event::AgentState(AgentState { time: time.parse().unwrap(), ..AgentState::default() })
    }

    #[test]
    fn a_number_is_a_position_and_everything_else_a_time() {
        let selection = parse("17", "", "").unwrap();
        assert_eq!(selection.from, Some(Place::Position(17)));
        assert_eq!((selection.start(), selection.end(Position(99))), (Position(17), Position(99)));
        assert_eq!(parse("", "5", "").unwrap().end(Position(99)), Position(5));
        assert_eq!(parse("", "500", "").unwrap().end(Position(99)), Position(99));
        let hour = Place::Time(NOW.parse::<Time>().unwrap().micros() - 3_600_000_000);
        assert_eq!(parse("-1h", "", "").unwrap().from, Some(hour));
        assert_eq!(parse("2026-01-02T02:04:05Z", "now", "").unwrap().from, Some(hour));
    }

    #[test]
    fn what_means_nothing_is_told_in_one_line() {
        let check = |from: &str, to: &str, kind: &str, says: &str| {
            let error = parse(from, to, kind).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        };
        check("yesterday", "", "", "--from: \"yesterday\" is neither a position such as 1234 nor a time");
        check("", "1.5", "", "--to: \"1.5\" is neither");
        check("0", "", "", "--from: positions begin at 1");
        check("99999999999999999999", "", "", "--from: 99999999999999999999 is beyond every position");
        check("10", "10", "", "--from: 10 is not before --to, which is 10");
        check("-1h", "-2h", "", "--from: -1h is not before --to, which is -2h");
        check("", "", "agent_sample,gaps", "--kind: \"gaps\" is not one of: agent_sample, system_sample");
        check("", "", ",", "--kind: \"\" is not one of");
    }

    #[test]
    fn events_are_chosen_by_their_kind_and_their_own_time() {
        let check = |selection: &Selection, event: Event, is_in: bool| {
            assert_eq!(selection.has(&entry(1, event)), is_in);
        };
        let hour = parse("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "").unwrap();
        check(&hour, state("2025-12-31T23:59:59Z"), false);
        check(&hour, state("2026-01-01T00:00:00Z"), true);
        check(&hour, state("2026-01-01T01:00:00Z"), false);
        let gaps = parse("1", "", "gap,token_usage").unwrap();
        check(&gaps, state("2026-01-01T00:00:00Z"), false);
        check(&gaps, Event::Gap(Gap::default()), true);
    }

    #[test]
    fn its_times_and_kinds_are_what_an_index_can_be_asked_for() {
        assert!(parse("17", "5000", "").unwrap().is_whole());
        let hour = parse("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "").unwrap();
        let TimeRange { from, to } = hour.times();
        assert_eq!(to.micros() - from.micros(), 3_600_000_000 - 1, "its end is not in it");
        assert!(!hour.is_whole() && hour.kinds() == Kind::ALL);
        let gaps = parse("", "", "gap").unwrap();
        assert_eq!((gaps.is_whole(), gaps.times(), gaps.kinds()), (false, TimeRange::ALL, &[Kind::Gap][..]));
    }

    #[test]
    fn what_a_newer_version_wrote_is_in_unless_kinds_are_named() {
        let unknown = |kind: u8| Entry {
            event: Decoded::Unknown { kind, version: 9, payload: Box::default() },
            ..entry(1, Event::Gap(Gap::default()))
        };
        assert!(parse("-1h", "", "").unwrap().has(&unknown(200)));
        let gaps = parse("", "", "gap").unwrap();
        assert!(gaps.has(&unknown(Kind::Gap.number())) && !gaps.has(&unknown(200)));
    }

    /// What is given again as flags is the same.
    #[test]
    fn its_flags_mean_the_same_at_any_time() {
        let check = |from, to, kind, flags: &str| {
            let selection = parse(from, to, kind).unwrap();
            assert_eq!(selection.flags(), flags);
            selection
        };
        check("", "", "", "");
        let hour = check("-1h", "5000", "", "--from 2026-01-02T02:04:05.000000Z --to 5000");
        assert_eq!(parse("2026-01-02T02:04:05Z", "5000", "").unwrap(), hour);
        check("7", "2026-01-02T02:04:05.000001Z", "", "--from 7 --to 2026-01-02T02:04:05.000001Z");
        let kinds = check("", "", "gap,agent_state,gap", "--kind agent_state,gap");
        assert_eq!(
            kinds.goes_on(),
            "`tailwater replay --kind agent_state,gap`, into the same database, goes on from there"
        );
    }

    #[test]
    fn it_travels() {
        let selection = parse("5", "-1h", "gap,agent_state").unwrap();
        let text = serde_json::to_string(&selection).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), selection);
    }
}
