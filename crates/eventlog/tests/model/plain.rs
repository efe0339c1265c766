//! What the log must hold: a plain list of places, and what is kept beside it.

use std::collections::BTreeMap;

use event::wire::{Decoded, Entry};
use event::{Event, Hole, HoleCause, Kind, Position, SystemSample, Time, TokenUsage};
use eventlog::TimeRange;

/// The time of the first live event; each later one is a minute younger.
const BASE_MICROS: i64 = 1_767_323_045_678_901;
const MINUTE_MICROS: i64 = 60_000_000;

/// So many minutes from the first live event.
pub(crate) const fn minute(minutes: i64) -> Time {
    Time::from_micros(BASE_MICROS + minutes * MINUTE_MICROS)
}

pub(crate) type Meta = BTreeMap<u8, u8>;

/// What lies at one position.
#[derive(Clone, Debug)]
enum Place {
    Event(Fact),
    /// The checksum counts where the hole ends; `None` is one that we do not know.
    Hole(HoleCause, Option<u32>),
}

#[derive(Clone, Debug, PartialEq)]
struct Fact {
    name: String,
    kind: Kind,
    time: Time,
    /// Known since it was read.
    checksum: Option<u32>,
    /// Its block, or a whole number of them together; `None` when the index may not know it any more.
    block: Option<usize>,
}

/// The times of each kind.
type Spans = BTreeMap<Kind, (Time, Time)>;

#[derive(Debug)]
pub(crate) struct Plain {
    places: Vec<Place>,
    meta: Meta,
    /// After each commit: how many places there were, and the meta.
    commits: Vec<(usize, Meta)>,
    blocks: Vec<Spans>,
    made: i64,
    pub(crate) lost_events: u64,
}

impl Plain {
    pub(crate) fn new() -> Self {
        let (places, meta, commits) = (Vec::new(), Meta::new(), vec![(0, Meta::new())]);
        Self { places, meta, commits, blocks: vec![Spans::new()], made: 0, lost_events: 0 }
    }

    /// The last position that was given to anything.
    pub(crate) fn last(&self) -> Position {
        Position(self.places.len() as u64)
    }

    pub(crate) fn next(&self) -> Position {
        self.last().next()
    }

    /// The position behind the hole at the beginning, if there is one.
    pub(crate) fn first(&self) -> Position {
        let holes = self.places.iter().take_while(|place| matches!(place, Place::Hole(..)));
        Position::FIRST.plus(holes.count() as u64)
    }

    fn place(&self, position: Position) -> Option<&Place> {
        self.places.get(index(position))
    }

    fn fact(&self, position: Position) -> Option<&Fact> {
        match self.place(position)? {
            Place::Event(fact) => Some(fact),
            Place::Hole(..) => None,
        }
    }

    /// How many events lie before `position`.
    pub(crate) fn events_before(&self, position: Position) -> u64 {
        let before = self.places.iter().take(index(position));
        before.filter(|place| matches!(place, Place::Event(_))).count() as u64
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    // What is done to it.

    /// New events of now.
    pub(crate) fn live(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..count {
            let (name, time) = (format!("event {}", self.made), minute(self.made));
            let system_name = name.as_str().into();
            events.push(Event::SystemSample(SystemSample { time, system_name, ..SystemSample::default() }));
            self.push(name, Kind::SystemSample, time);
        }
        events
    }

    /// Events of `minutes` before the first live one, in blocks of their own.
    pub(crate) fn imported(&mut self, count: usize, minutes: i64) -> Vec<Event> {
        let mut events = Vec::new();
        self.close_block();
        for second in 0..count {
            let name = format!("event {}", self.made);
            let time = minute(-minutes).plus_micros(i64::try_from(second).unwrap() * 1_000_000);
            events.push(Event::TokenUsage(TokenUsage {
                time,
                agent_name: "agent".into(),
                model: "model".into(),
                message_id: name.as_str().into(),
                ..TokenUsage::default()
            }));
            self.push(name, Kind::TokenUsage, time);
        }
        self.close_block();
        events
    }

    fn push(&mut self, name: String, kind: Kind, time: Time) {
        self.made += 1;
        let spans = self.blocks.last_mut().unwrap();
        let span = spans.entry(kind).or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
        let block = Some(self.blocks.len() - 1);
        self.places.push(Place::Event(Fact { name, kind, time, checksum: None, block }));
    }

    pub(crate) fn close_block(&mut self) {
        self.blocks.push(Spans::new());
    }

    /// One of the values beside the events changes.
    pub(crate) fn change(&mut self, change: Option<(u8, Option<u8>)>) {
        match change {
            Some((key, Some(value))) => _ = self.meta.insert(key, value),
            Some((key, None)) => _ = self.meta.remove(&key),
            None => {}
        }
    }

    /// All since the last commit is one.
    pub(crate) fn commit(&mut self) {
        self.commits.push((self.places.len(), self.meta.clone()));
    }

    /// What lies before `first` is trimmed.
    pub(crate) fn trim(&mut self, first: Position) {
        let end = index(first);
        for (index, place) in self.places.iter_mut().enumerate().take(end) {
            if let Place::Event(fact) = place {
                let checksum = fact.checksum.filter(|_| index + 1 == end);
                *place = Place::Hole(HoleCause::Trimmed, checksum);
            }
        }
    }

    /// A power cut has left this much. It is what some commits made, from the first on.
    pub(crate) fn cut(&mut self, last: Position, meta: Meta) {
        let kept = index(last.next());
        let known = self.commits.iter().rposition(|commit| *commit == (kept, meta.clone()));
        let known =
            known.unwrap_or_else(|| panic!("no commit ended at {last} with {meta:?}: {:?}", self.commits));
        self.commits.truncate(known + 1);
        self.places.truncate(kept);
        self.meta = meta;
    }

    /// What lies behind `head` is lost, though it was durable.
    pub(crate) fn lose(&mut self, head: Position) {
        let known = self.commits.iter().any(|(end, _)| *end == index(head.next()));
        assert!(known, "the log ends at {head}: {:?}", self.commits);
        let checksum = self.fact(self.last()).and_then(|fact| fact.checksum);
        for place in self.places.iter_mut().skip(index(head.next())) {
            *place = Place::Hole(HoleCause::LostTail, checksum);
        }
    }

    /// What is kept beside the events may be older than they are, back to when `safe` was the last of them.
    pub(crate) fn age(&mut self, safe: Position, meta: Meta) {
        for key in 0..3 {
            let value = meta.get(&key);
            assert!(
                self.commits.iter().any(|(_, meta)| meta.get(&key) == value),
                "{key} never was {value:?}"
            );
        }
        self.meta = meta;
        for place in self.places.iter_mut().skip(index(safe.next())) {
            if let Place::Event(fact) = place {
                fact.block = None;
            }
        }
    }

    /// The log has told a loss by itself.
    pub(crate) fn told(&mut self, gap: &Event) {
        if let Event::Gap(gap) = gap {
            self.lost_events += gap.events;
        }
        self.push(name_of(gap), Kind::Gap, gap.time());
        self.commit();
    }

    // What it looks like.

    pub(crate) fn holes(&self) -> Vec<Hole> {
        let mut holes: Vec<Hole> = Vec::new();
        for (position, place) in (1..).map(Position).zip(&self.places) {
            let Place::Hole(cause, checksum) = *place else { continue };
            match holes.last_mut() {
                Some(hole) if hole.hi.next() == position && hole.cause == cause => {
                    (hole.hi, hole.checksum) = (position, checksum);
                }
                _ => holes.push(Hole { lo: position, hi: position, cause, checksum }),
            }
        }
        holes
    }

    pub(crate) fn hole_at(&self, position: Position) -> Option<Hole> {
        self.holes().into_iter().find(|hole| hole.contains(position))
    }

    /// The last position before the next hole, or of all.
    pub(crate) fn run_end(&self, from: Position) -> Position {
        let next = self.holes().into_iter().find(|hole| hole.lo > from);
        next.map_or(self.last(), |hole| hole.lo.before())
    }

    /// They are dense from `from`, and what was appended there.
    pub(crate) fn check_entries(&mut self, from: Position, entries: &[Entry]) {
        for (position, entry) in (from.0..).map(Position).zip(entries) {
            assert_eq!(entry.position, position, "{entries:?}");
            let Decoded::Event(event) = &entry.event else { panic!("{entry:?}") };
            let Some(Place::Event(fact)) = self.places.get_mut(index(position)) else {
                panic!("{position} should have no event: {entry:?}")
            };
            assert_eq!(
                (name_of(event), event.kind(), event.time()),
                (fact.name.clone(), fact.kind, fact.time)
            );
            assert_eq!(*fact.checksum.get_or_insert(entry.checksum), entry.checksum, "{position}");
        }
    }

    /// The runs are in order, within `ends`, hold every event of the range that was durable `before`, and nothing
    /// of blocks that hold none.
    pub(crate) fn check_runs(
        &self,
        runs: &[(Position, Position)],
        (before, after): (Position, Position),
        times: TimeRange,
        kinds: &[Kind],
    ) {
        assert!(runs.iter().all(|(lo, hi)| self.first() <= *lo && lo <= hi && *hi <= after), "{runs:?}");
        assert!(runs.is_sorted_by(|left, right| left.1.next() < right.0), "{runs:?}");
        let is_in = |position| runs.iter().any(|(lo, hi)| (*lo..=*hi).contains(&position));
        for position in (1..=before.0).map(Position) {
            let Some(fact) = self.fact(position) else { continue };
            if kinds.contains(&fact.kind) && (times.from..=times.to).contains(&fact.time) {
                assert!(is_in(position), "{position} of {fact:?} is missing in {runs:?}");
            }
        }
        for position in runs.iter().flat_map(|(lo, hi)| lo.0..=hi.0).map(Position) {
            let Some(Fact { block: Some(block), .. }) = self.fact(position) else { continue };
            let spans = self.blocks.get(*block).unwrap();
            let may_hold =
                |kind| spans.get(kind).is_some_and(|(from, to)| *from <= times.to && times.from <= *to);
            assert!(kinds.iter().any(may_hold), "{position} in {runs:?} is of a block with {spans:?}");
        }
    }
}

fn index(position: Position) -> usize {
    usize::try_from(position.before().0).unwrap()
}

fn name_of(event: &Event) -> String {
    match event {
        Event::SystemSample(sample) => sample.system_name.to_string(),
        Event::TokenUsage(usage) => usage.message_id.to_string(),
        Event::Gap(gap) => format!("gap {} {} {}", gap.what, gap.reason, gap.events),
        other => panic!("{other:?}"),
    }
}
