//! Ledgers against a table like a database's, step by step and at random.

use std::collections::{BTreeMap, HashMap};

use event::Text;

use super::*;

mod random;

/// A shelf in memory.
#[derive(Clone, Debug, Default)]
struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

impl Shelf for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        Ok(self.0.get(key).cloned())
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value);
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(&key);
    }

    fn scan(&self, prefix: &[u8], after: &[u8], most: usize) -> Result<Vec<KeyValue>, ShelfError> {
        let alike = self.0.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_slice() > after);
        Ok(alike.take(most).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

type Key = (Text, Option<Text>, Text, Time, Text);

/// A log with a ledger in front of it, and the table that its events give.
struct World {
    ledger: Ledger,
    shelf: Memory,
    now: Time,
    kept: Vec<TokenUsage>,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl World {
    fn new() -> Self {
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        let mut world = Self { ledger: Ledger::default(), shelf: Memory::default(), now, kept: Vec::new() };
        world.reopen();
        world
    }

    fn reopen(&mut self) {
        self.ledger = Ledger::new(self.ledger.counters.clone());
        self.ledger.open(&self.shelf, self.now).unwrap();
    }

    fn tell(&mut self, teller: Teller, usage: &TokenUsage) -> Fate {
        let before = self.kept.len();
        let usage = usage.clone();
        let fate = self.ledger.pass(usage, teller, self.now, &mut self.shelf, &mut self.kept).unwrap();
        assert!(fate != Fate::Kept || self.kept.len() > before);
        fate
    }

    fn pass_time(&mut self, micros: i64) {
        self.now = self.now.plus_micros(micros);
        while self.ledger.due().is_some_and(|due| due <= self.now) {
            self.ledger.wake(self.now, &mut self.shelf, &mut self.kept).unwrap();
        }
    }

    fn counts(&self) -> Counts {
        self.ledger.counters.get()
    }

    /// The rows of the table, by the database's own rule.
    fn rows(&self) -> Vec<TokenUsage> {
        let mut rows: HashMap<Key, TokenUsage> = HashMap::new();
        for it in self.kept.iter().cloned() {
            let key =
                (it.agent_name.clone(), it.host.clone(), it.model.clone(), it.time, it.message_id.clone());
            let row = rows.entry(key).or_insert_with(|| it.clone());
            if it.rank() > row.rank() {
                *row = it;
            }
        }
        rows.into_values().collect()
    }

    fn row(&self) -> TokenUsage {
        let rows = self.rows();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].clone()
    }
}

/// A telling by a transcript, `after` seconds after the world began.
fn told(message: &str, output_tokens: u64, after: i64) -> TokenUsage {
    let began: Time = "2026-03-01T00:00:00Z".parse().unwrap();
    TokenUsage {
        time: began.plus_micros(after * SECOND),
        agent_name: Text::new("zen"),
        model: Text::new("opus"),
        tool: Text::new("claude"),
        session_id: Text::new("s1"),
        message_id: Text::new(message),
        input_tokens: 3,
        output_tokens,
        cache_read: 1_000,
        cache_create: 50,
        cache_create_1h: 40,
        ..TokenUsage::default()
    }
}

/// The same call by telemetry.
fn telemetry(id: &str, output_tokens: u64, after: i64) -> TokenUsage {
    TokenUsage {
        agent_name: Text::new("somebody"),
        cache_create_1h: 0,
        cost_usd: Some(0.5),
        r#final: true,
        ..told(id, output_tokens, after)
    }
}

#[test]
fn a_larger_snapshot_takes_the_first_ones_identity() {
    let mut world = World::new();
    assert_eq!(world.tell(Teller::Anybody, &told("msg_1", 1, 0)), Fate::Kept);
    let mut later = told("msg_1", 9, 4);
    later.agent_name = Text::new("other");
    later.model = Text::new("sonnet");
    later.host = Some(Text::new("elsewhere"));
    assert_eq!(world.tell(Teller::Transcript, &later), Fate::Kept);
    assert_eq!(world.tell(Teller::Transcript, &later), Fate::Known);
    assert_eq!(world.tell(Teller::Anybody, &told("msg_1", 8, 5)), Fate::Known);
    assert_eq!(world.row(), told("msg_1", 9, 0));
    assert_eq!((world.kept.len(), world.counts().known), (2, 2));
}

#[test]
fn final_wins_over_output_and_output_over_the_others() {
    let mut world = World::new();
    let mut done = told("msg_1", 5, 1);
    done.r#final = true;
    let mut more = told("msg_1", 5, 2);
    more.r#final = true;
    more.input_tokens += 1;
    for (usage, fate) in [
        (told("msg_1", 9, 0), Fate::Kept),
        (done.clone(), Fate::Kept),
        (told("msg_1", 90, 3), Fate::Known),
        (more, Fate::Kept),
        (done, Fate::Known),
    ] {
        assert_eq!(world.tell(Teller::Transcript, &usage), fate, "{usage:?}");
    }
}

#[test]
fn without_a_message_id_nothing_is_compared() {
    let mut world = World::new();
    for _ in 0..2 {
        assert_eq!(world.tell(Teller::Telemetry, &told("", 9, 0)), Fate::Kept);
    }
    assert!(world.shelf.0.is_empty());
}

#[test]
fn a_copy_in_another_session_is_the_same_call() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &told("msg_1", 9, 0));
    let copy = TokenUsage { session_id: Text::new("s2"), ..told("msg_1", 9, 0) };
    assert_eq!(world.tell(Teller::Transcript, &copy), Fate::Known);
    let other = TokenUsage { session_id: Text::new("s2"), ..told("gen-1", 9, 0) };
    world.tell(Teller::Transcript, &told("gen-1", 9, 0));
    assert_eq!(world.tell(Teller::Transcript, &other), Fate::Kept, "other ids are of their session");
}

#[test]
fn calls_of_two_sessions_are_two_rows_whatever_else_they_share() {
    let mut world = World::new();
    for session in ["s1", "s2"] {
        let usage = TokenUsage { session_id: Text::new(session), ..told("call-1", 9, 0) };
        assert_eq!(world.tell(Teller::Anybody, &usage), Fate::Kept);
        let exported = world.kept.last().unwrap().clone();
        assert_eq!(world.tell(Teller::Anybody, &exported), Fate::Known, "what was kept is the same call");
    }
    assert_eq!(world.rows().len(), 2);
}

#[test]
fn telemetry_of_what_people_recorded_is_one_row_also_when_its_transcript_comes_later() {
    let mut world = World::new();
    let recorded = told("msg_1", 9, 0);
    world.tell(Teller::Anybody, &recorded);
    world.tell(Teller::Telemetry, &telemetry("otlp-7", 40, 3));
    world.pass_time(301 * SECOND);
    world.reopen();
    world.tell(Teller::Transcript, &ended("msg_1", 40, 3));
    assert_eq!(world.row(), TokenUsage { cost_usd: Some(0.5), ..ended("msg_1", 40, 0) });
    assert_eq!((world.counts().matched, world.counts().unmatched), (1, 0));
}

#[test]
fn a_cost_that_comes_with_a_smaller_telling_is_kept() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &ended("msg_1", 40, 0));
    let partial = TokenUsage { cost_usd: Some(0.25), ..told("msg_1", 9, 0) };
    assert_eq!(world.tell(Teller::Anybody, &partial), Fate::Kept);
    assert_eq!(world.tell(Teller::Anybody, &partial), Fate::Known);
    assert_eq!(world.row(), TokenUsage { cost_usd: Some(0.25), ..ended("msg_1", 40, 0) });
}

/// The last telling of a call by a transcript.
fn ended(message: &str, output_tokens: u64, after: i64) -> TokenUsage {
    TokenUsage { r#final: true, ..told(message, output_tokens, after) }
}

#[test]
fn telemetry_of_a_call_that_has_ended_brings_its_cost() {
    for order in 0..2 {
        let mut world = World::new();
        let tell = |world: &mut World, number| match number {
            0 => _ = world.tell(Teller::Transcript, &ended("msg_1", 40, 0)),
            _ => _ = world.tell(Teller::Telemetry, &telemetry("otlp-7", 40, 3)),
        };
        tell(&mut world, order);
        world.reopen();
        tell(&mut world, 1 - order);
        assert_eq!(world.row(), TokenUsage { cost_usd: Some(0.5), ..ended("msg_1", 40, 0) }, "{order}");
        assert_eq!((world.counts().matched, world.counts().waiting), (1, 0));
        let telemetry = telemetry("otlp-7", 40, 3);
        assert_eq!(world.tell(Teller::Telemetry, &telemetry), Fate::Known, "sent again");
        assert_eq!(world.tell(Teller::Transcript, &ended("msg_1", 40, 0)), Fate::Known, "read again");
        let later = ended("msg_1", 41, 57);
        assert_eq!(world.tell(Teller::Transcript, &later), Fate::Kept);
        assert_eq!(world.row().cost_usd, Some(0.5), "the reported cost stays");
    }
}

#[test]
fn what_a_transcript_has_ended_is_never_changed_by_telemetry() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &ended("msg_a", 5, 0));
    world.tell(Teller::Transcript, &ended("msg_b", 900, 2));
    world.tell(Teller::Telemetry, &telemetry("otlp-1", 5, 3));
    world.tell(Teller::Telemetry, &telemetry("otlp-2", 900, 20));
    assert_eq!(
        world.tell(Teller::Telemetry, &telemetry("otlp-3", 700, 3)),
        Fate::Waits,
        "of no call that is told"
    );
    world.pass_time(301 * SECOND);
    let mut rows: Vec<_> = world
        .rows()
        .iter()
        .map(|row| (row.message_id.to_string(), row.output_tokens, row.cost_usd))
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(rows, [("msg_a".to_owned(), 5, Some(0.5)), ("msg_b".to_owned(), 900, Some(0.5))]);
    assert_eq!((world.counts().matched, world.counts().superseded), (2, 1));
}

#[test]
fn a_call_whose_end_no_transcript_tells_has_it_from_telemetry() {
    for order in 0..2 {
        let mut world = World::new();
        let tell = |world: &mut World, number| match number {
            0 => assert_eq!(world.tell(Teller::Transcript, &told("msg_1", 1, 0)), Fate::Kept),
            _ => assert_eq!(world.tell(Teller::Telemetry, &telemetry("otlp-7", 40, 55)), Fate::Waits),
        };
        tell(&mut world, order);
        tell(&mut world, 1 - order);
        world.reopen();
        assert_eq!(world.row().output_tokens, 1);
        world.pass_time(301 * SECOND);
        let expected = TokenUsage { cost_usd: Some(0.5), ..ended("msg_1", 40, 0) };
        assert_eq!(world.row(), expected);
        world.pass_time(DAY);
        assert_eq!((world.rows().len(), world.counts().matched, world.counts().waiting), (1, 1, 0));
    }
}

#[test]
fn unexplained_telemetry_is_kept_after_five_minutes_as_it_is() {
    let mut world = World::new();
    world.tell(Teller::Telemetry, &telemetry("otlp-7", 40, 3));
    world.pass_time(299 * SECOND);
    assert_eq!(world.rows(), []);
    world.pass_time(SECOND);
    assert_eq!(world.row(), telemetry("35d52dca789a0f35/otlp-7", 40, 3));
    world.reopen();
    assert_eq!(world.tell(Teller::Telemetry, &telemetry("otlp-7", 40, 3)), Fate::Known);
    assert_eq!(world.tell(Teller::Transcript, &told("msg_1", 39, 0)), Fate::Known, "much later");
    assert_eq!(world.tell(Teller::Transcript, &told("msg_2", 8, 0)), Fate::Kept, "each only once");
    assert_eq!(world.rows().len(), 2);
    assert_eq!(world.counts().unmatched, 1);
}

#[test]
fn telemetry_of_a_tailed_session_is_superseded() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &told("msg_1", 9, 0));
    let mut other = telemetry("otlp-7", 40, 3);
    other.cache_read += 1;
    assert_eq!(world.tell(Teller::Telemetry, &other), Fate::Waits);
    world.reopen();
    world.pass_time(301 * SECOND);
    assert_eq!((world.rows().len(), world.counts().superseded), (1, 1));
}

#[test]
fn what_matches_is_alike_and_near() {
    let check = |change: &dyn Fn(&mut TokenUsage), matches: u64| {
        let mut world = World::new();
        world.tell(Teller::Transcript, &told("msg_1", 9, 0));
        let mut it = telemetry("otlp-7", 40, 0);
        change(&mut it);
        world.tell(Teller::Telemetry, &it);
        world.pass_time(301 * SECOND);
        assert_eq!(world.counts().matched, matches, "{it:?}");
    };
    check(&|_| {}, 1);
    check(&|it| it.input_tokens = 4, 1);
    check(&|it| it.output_tokens = 9, 1);
    check(&|it| it.output_tokens = 8, 0);
    check(&|it| it.time = it.time.plus_micros(60 * SECOND), 1);
    check(&|it| it.time = it.time.plus_micros(60 * SECOND + 1), 0);
    check(&|it| it.time = it.time.plus_micros(-61 * SECOND), 0);
    check(&|it| it.cache_create = 51, 0);
    check(&|it| it.model = Text::new("haiku"), 0);
    check(&|it| it.session_id = Text::new("s2"), 0);
    check(&|it| it.tool = Text::new("codex"), 0);
}

#[test]
fn a_long_call_is_near_the_end_of_it() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &told("msg_1", 1, 0));
    world.tell(Teller::Transcript, &told("msg_1", 50, 170));
    world.tell(Teller::Telemetry, &telemetry("otlp-7", 60, 200));
    world.pass_time(301 * SECOND);
    assert_eq!(world.row().output_tokens, 60);
}

#[test]
fn of_several_alike_the_nearest_is_taken_and_each_once() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &told("msg_1", 1, 0));
    world.tell(Teller::Transcript, &told("msg_2", 2, 20));
    world.tell(Teller::Telemetry, &telemetry("otlp-1", 11, 19));
    world.tell(Teller::Telemetry, &telemetry("otlp-2", 12, 2));
    world.pass_time(301 * SECOND);
    let mut outputs: Vec<_> =
        world.rows().iter().map(|row| (row.message_id.clone(), row.output_tokens)).collect();
    outputs.sort();
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs.iter().map(|(_, output)| output).sum::<u64>(), 23, "each once: {outputs:?}");
}

#[test]
fn the_oldest_is_let_go_when_too_many_wait() {
    let mut world = World::new();
    for number in 0..65_540_u64 {
        let mut it = telemetry(&format!("otlp-{number}"), 1, 0);
        it.session_id = Text::new(format!("s{number}"));
        world.tell(Teller::Telemetry, &it);
    }
    assert_eq!((world.counts().waiting, world.rows().len()), (65_536, 4));
}

#[test]
fn ninety_days_after_the_last_touch_a_call_is_forgotten() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &told("msg_1", 9, 0));
    world.pass_time(80 * DAY);
    assert_eq!(world.tell(Teller::Transcript, &told("msg_1", 9, 0)), Fate::Known, "a touch");
    world.pass_time(80 * DAY);
    assert_eq!(world.tell(Teller::Anybody, &told("msg_1", 1, 0)), Fate::Known);
    assert_eq!(world.counts().late, 0);
    for _ in 0..4 {
        world.pass_time(91 * DAY);
    }
    let left: Vec<_> = world.shelf.0.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    assert_eq!(left, ["usage/began"]);
    assert_eq!(world.tell(Teller::Transcript, &told("msg_1", 9, 0)), Fate::Kept);
    assert_eq!((world.counts().late, world.rows().len()), (1, 1), "its own time is the same row");
}

#[test]
fn an_old_file_that_is_read_for_the_first_time_is_not_late() {
    let mut world = World::new();
    world.tell(Teller::Transcript, &told("msg_1", 9, -200 * 86_400));
    assert_eq!(world.counts().late, 0);
}
