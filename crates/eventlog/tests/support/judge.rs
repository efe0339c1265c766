//! Judges a damaged log: every position is its event, in a hole, or a named error that `verify` tells of as well.

use std::ops::ControlFlow;
use std::path::Path;

use event::wire::Decoded;
use event::{Event, Hole, HoleCause, Position, Stretch};
use eventlog::{Damage, EventLog, OpenError, ReadError, RepairOutcome, RepairWhen};

use super::real_log::{RealLog, event_at, settings, sizes};
use super::{ALL, host};

/// A log that must hold what the fixture held, while it is opened, damaged and repaired.
pub struct Judge<'a> {
    pub real: &'a RealLog,
    pub dir: &'a Path,
}

/// What lies in a log that opens.
#[derive(Debug, Default)]
pub struct Found {
    /// Positions of the fixture that have no event, what was trimmed aside.
    pub lost: Vec<Position>,
    /// Positions that cannot be read.
    pub unreadable: Vec<Position>,
    /// Texts of the errors.
    pub errors: Vec<String>,
    pub notes: Vec<String>,
    pub wrong_blocks: u64,
    pub meta: Option<Vec<u8>>,
    pub lost_events: u64,
}

impl<'a> Judge<'a> {
    pub fn new(real: &'a RealLog, dir: &'a Path) -> Self {
        Self { real, dir }
    }

    /// Opens it, looks at everything, and appends; the text when it does not open.
    pub fn open(&self) -> Result<Found, String> {
        match EventLog::open(self.dir, &host(), settings()) {
            Ok(log) => Ok(self.judge(&log)),
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// A refusal says in one line what is wrong, where, and what to do.
    fn refusal(&self, error: &OpenError) -> String {
        let text = chain(error);
        self.check_text(&text);
        assert!(text.contains(&*self.dir.to_string_lossy()), "it names no path: {text}");
        assert!(text.contains("log repair"), "it says no way out: {text}");
        text
    }

    /// One line, and words: what the debug form of an error looks like is none.
    fn check_text(&self, text: &str) {
        let debug = ["{", "}", "Error(", "LsmTree", "Checksum(", "Mismatch", "Some(", "\n", "Invalid"];
        // NOTE: a name of a temporary directory may have any letters.
        let words = text.replace(&*self.dir.to_string_lossy(), "DIR");
        for debug in debug {
            assert!(!words.contains(debug), "these are no words: {words}");
        }
    }

    /// Looks at an open log, appends to it, and closes it.
    pub fn judge(&self, log: &EventLog) -> Found {
        assert_eq!(log.info(), self.real.info, "it is another log");
        let mut found = Found { notes: log.recovery().notes.clone(), ..Found::default() };
        found.notes.iter().for_each(|note| self.check_text(note));
        self.read(log, &mut found);
        self.verify(log, &mut found);
        found.meta = log.state(b"offset").unwrap_or_else(|error| {
            found.errors.push(chain(&error));
            None
        });
        found.lost_events = log.stat().unwrap().lost_events;
        self.append(log);
        log.close().unwrap_or_else(|error| panic!("it fails: {}", chain(&error)));
        found.errors.iter().for_each(|error| self.check_text(error));
        found
    }

    fn read(&self, log: &EventLog, found: &mut Found) {
        let ends = log.ends();
        assert!(ends.next > self.real.durable, "{ends:?} would give durable positions again");
        assert_eq!(ends.durable.next(), ends.next, "after an opening all is durable");
        let mut position = Position::FIRST;
        while position < ends.next {
            position = match log.read(position, ALL) {
                Ok(Stretch::Events(entries)) => {
                    assert!(!entries.is_empty(), "silence at {position}");
                    for entry in &entries {
                        assert_eq!(entry.position, position, "not dense");
                        self.check_event(position, &entry.event);
                        position = position.next();
                    }
                    position
                }
                Ok(Stretch::Hole(hole)) => {
                    assert!(hole.contains(position), "{hole:?} for {position}");
                    self.lost(position, &hole, found);
                    hole.hi.next()
                }
                Err(error) => self.unreadable(position, &error, found),
            };
        }
    }

    fn lost(&self, from: Position, hole: &Hole, found: &mut Found) {
        let first = if hole.cause == HoleCause::Trimmed {
            assert!(hole.hi <= self.real.trimmed, "{hole:?}, and up to {} was trimmed", self.real.trimmed);
            return;
        } else {
            from.max(self.real.trimmed.next())
        };
        found.lost.extend((first.0..=hole.hi.0).map(Position));
    }

    fn unreadable(&self, position: Position, error: &ReadError, found: &mut Found) -> Position {
        found.errors.push(chain(error));
        let last = match error {
            ReadError::Engine { position: at, .. } | ReadError::Damaged { position: at, .. } => {
                assert_eq!(*at, position, "{error}");
                position
            }
            ReadError::Missing { from, to } => {
                assert_eq!(*from, position, "{error}");
                *to
            }
            other => panic!("{position}: {other}"),
        };
        found.unreadable.extend((position.0..=last.0).map(Position));
        last.next()
    }

    /// The event that was appended there; behind what was durable also what the log itself tells.
    fn check_event(&self, position: Position, event: &Decoded) {
        let Decoded::Event(event) = event else { panic!("{position}: {event:?}") };
        let is_told = matches!(event, Event::Gap(gap) if gap.what == "log");
        if is_told && position > self.real.durable {
            return;
        }
        assert_eq!(*event, event_at(position), "at {position}");
    }

    fn verify(&self, log: &EventLog, found: &mut Found) {
        let verification = log.verify(|_, _| ControlFlow::Continue(())).unwrap();
        let positions = |damage: &Damage| (damage.lo.0..=damage.hi.0).map(Position);
        let told: Vec<Position> = verification.damage.iter().flat_map(positions).collect();
        assert_eq!(told, found.unreadable, "verify tells what a read finds: {:?}", verification.damage);
        assert_eq!(verification.holes, log.holes().unwrap());
        found.errors.extend(verification.damage.into_iter().map(|damage| damage.reason));
        found.wrong_blocks = verification.wrong_blocks;
    }

    /// Appends behind everything that is there.
    fn append(&self, log: &EventLog) {
        let next = log.ends().next;
        let outcome = log.append(vec![event_at(next)]).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(outcome.first, next);
    }

    /// Repairs it: then it opens without a word, is clean, and lacks what could not be read, and no more.
    pub fn repair(&self) -> (RepairOutcome, Found) {
        let before = sizes(&self.dir.join("log"));
        let outcome = EventLog::repair(self.dir, RepairWhen::Always, |_, _| true);
        let outcome = outcome.unwrap_or_else(|error| panic!("no repair: {}", chain(&error)));
        assert_eq!(sizes(outcome.old.as_ref().unwrap()), before, "the old files stay as they are");
        for hole in &outcome.holes {
            assert_eq!(hole.cause, HoleCause::Damaged);
        }
        let log = EventLog::open(self.dir, &host(), settings());
        let log = log.unwrap_or_else(|error| panic!("repaired, and: {}", chain(&error)));
        let found = self.judge(&log);
        assert_eq!(found.notes, [""; 0], "repaired, and it has something to tell");
        assert_eq!(found.unreadable, [], "repaired, and not clean: {:?}", found.errors);
        assert_eq!((found.wrong_blocks, &found.errors), (0, &Vec::new()));
        (outcome, found)
    }
}

/// The text of an error and of its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
