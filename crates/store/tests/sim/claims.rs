//! Claims: whatever ranges there are, the database in memory and the real one take, merge and cut the same.

use event::{HostName, LogId, Position};
use fastrand::Rng;
use projector::{
    Claim, ClaimError, Claimed, Cursor, Digest, ErrorKind, Lane, LaneName, LogIdentity, RangeState, Target,
    Wanted, WriterId,
};
use sim::database::{Data, MemoryTarget, Range};
use store::testing::{TestDatabase, TestEdition};
use store::{StoreOptions, TimescaleTarget};
use tokio_postgres::Client;

use crate::content;

const CASES: u64 = 150;
/// How many claims follow each other in a case.
const CLAIMS: u64 = 4;

/// Ranges in order, mostly without gaps between them, mostly with a live one.
fn ranges(chance: &mut Rng) -> Vec<(Position, Range)> {
    let mut ranges = Vec::new();
    let mut lo = chance.u64(1..10);
    for _ in 0..chance.u64(..6) {
        let hi = lo + chance.u64(1..12);
        let between = chance.u64(lo..=hi);
        let next = *chance.choice(&[lo, hi, between]).unwrap();
        ranges.push((Position(lo), range(chance, next, Some(hi))));
        lo = hi + u64::from(chance.u8(..8) == 0);
    }
    if chance.u8(..10) > 0 {
        let next = lo + chance.u64(..5);
        ranges.push((Position(lo), range(chance, next, None)));
    }
    ranges
}

fn range(chance: &mut Rng, next: u64, hi: Option<u64>) -> Range {
    let digest = chance.bool().then(|| Digest { checksum: chance.u32(..), at: Position(next - 1) });
    let writer = chance.bool().then(|| WriterId::of(chance.u128(..)));
    Range { cursor: Cursor { next: Position(next), digest }, hi: hi.map(Position), writer }
}

/// Something that a lane can want of these ranges.
fn wanted(chance: &mut Rng, los: &[Position]) -> Wanted {
    match chance.u8(..3) {
        0 => Wanted::Live { first: Position(chance.u64(..5)) },
        1 => Wanted::Oldest,
        _ => Wanted::This { lo: chance.choice(los).copied().unwrap_or(Position(chance.u64(1..9))) },
    }
}

/// Cuts so far behind the next position, if the range reaches beyond that.
fn cut(range: &RangeState, events: Option<u64>) -> Option<Cursor> {
    let next = range.cursor.next.plus(events?);
    let digest = (events? % 2 == 0).then_some(Digest { checksum: 7, at: next.before() });
    range.hi.is_none_or(|hi| next < hi).then_some(Cursor { next, digest })
}

async fn write(client: &Client, log: LogId, ranges: &[(Position, Range)]) {
    client.batch_execute("DELETE FROM tailwater_ranges").await.unwrap();
    for (lo, Range { cursor, hi, writer }) in ranges {
        let number = |number: Option<u64>| number.map_or("NULL".to_owned(), |number| number.to_string());
        let digest = cursor.digest;
        let sql = format!(
            "INSERT INTO tailwater_ranges (log_no, lo, next, hi, digest, digest_at, writer)
             SELECT log_no, {lo}, {next}, {hi}, {digest}, {at}, {writer}
             FROM tailwater_logs WHERE log_id = '{log}'",
            next = cursor.next,
            hi = number(hi.map(|hi| hi.0)),
            digest = number(digest.map(|it| it.checksum.into())),
            at = number(digest.map(|it| it.at.0)),
            writer = writer.map_or("NULL".to_owned(), |writer| format!("'{}'", writer.0)),
        );
        client.batch_execute(&sql).await.unwrap();
    }
}

/// What came of a claim, but for the words of an error.
fn told(outcome: Result<Option<Claimed>, ClaimError>) -> Result<Option<Claimed>, ErrorKind> {
    outcome.map_err(|error| match error {
        ClaimError::Target(error) => error.kind(),
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn both_databases_claim_alike() {
    claim_alike(TestEdition::Apache).await;
}

#[tokio::test]
async fn both_databases_claim_alike_in_plain_postgresql() {
    claim_alike(TestEdition::Plain).await;
}

async fn claim_alike(edition: TestEdition) {
    let Some(database) = TestDatabase::create_in(edition).await else { return };
    let log = LogIdentity { log_id: LogId::random(), host: HostName::new("here").unwrap() };
    let real = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
    let memory = MemoryTarget::new();
    let mut real_lane = real.connect(&log, LaneName::Live).await.unwrap();
    let client = database.client().await;
    let first = Claim {
        writer: WriterId::of(0),
        wanted: Wanted::Live { first: Position(1) },
        busy: &[],
        judge: &|_| Ok(None),
    };
    real_lane.claim(&first).await.unwrap();
    let mut seen = Seen::default();
    for case in 0..CASES {
        let mut chance = Rng::with_seed(case);
        let begin = ranges(&mut chance);
        write(&client, log.log_id, &begin).await;
        let keyed = begin.iter().map(|(lo, range)| ((log.log_id, *lo), *range)).collect();
        memory.replace(Data { ranges: keyed, ..Data::default() });
        let mut memory_lane = memory.connect(&log, LaneName::Live).await.unwrap();
        for number in 0..CLAIMS {
            let los: Vec<_> = memory.data().ranges_of(log.log_id).iter().map(|(lo, _)| *lo).collect();
            let wanted = wanted(&mut chance, &los);
            let busy: Vec<_> = los.into_iter().filter(|_| chance.u8(..4) == 0).collect();
            let events = chance.bool().then(|| chance.u64(1..8));
            let judge = |range: &RangeState| Ok(cut(range, events));
            let writer = WriterId::of(u128::from(case * CLAIMS + number));
            let claim = Claim { writer, wanted, busy: &busy, judge: &judge };
            let in_memory = told(memory_lane.claim(&claim).await);
            let in_reality = told(real_lane.claim(&claim).await);
            assert_eq!(in_memory, in_reality, "case {case}: {wanted:?} {busy:?} {events:?} of {begin:?}");
            assert_eq!(memory.data().ranges, content::ranges(&client).await, "case {case}: {begin:?}");
            seen.add(&in_memory);
        }
    }
    seen.check();
    database.drop().await;
}

/// That the cases are worth it.
#[derive(Debug, Default)]
struct Seen {
    nothing: u64,
    refused: u64,
    merged: u64,
    cut: u64,
}

impl Seen {
    fn add(&mut self, outcome: &Result<Option<Claimed>, ErrorKind>) {
        match outcome {
            Err(_) => self.refused += 1,
            Ok(None) => self.nothing += 1,
            Ok(Some(Claimed { found, range, .. })) => {
                let is_cut = range.cursor.next != found.cursor.next || range.hi < found.hi;
                let is_merged = range.lo < found.lo || range.hi > found.hi;
                self.cut += u64::from(is_cut);
                self.merged += u64::from(is_merged);
            }
        }
    }

    fn check(&self) {
        let Self { nothing, refused, merged, cut } = self;
        assert!([nothing, refused, merged, cut].iter().all(|count| **count >= 10), "{self:?}");
    }
}

/// A claim that waits for the live range gets what is live when its turn comes: another writer has cut it meanwhile,
/// or somebody has taken all progress away.
#[tokio::test]
async fn a_live_range_that_changes_under_a_claim_is_looked_for_again() {
    let Some(database) = TestDatabase::create().await else { return };
    let log = LogIdentity { log_id: LogId::random(), host: HostName::new("here").unwrap() };
    let real = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
    let mut lane = real.connect(&log, LaneName::Live).await.unwrap();
    let client = database.client().await;
    let wanted = Wanted::Live { first: Position(1) };
    let claim = Claim { writer: WriterId::of(1), wanted, busy: &[], judge: &|_| Ok(None) };
    lane.claim(&claim).await.unwrap();
    let cut = "UPDATE tailwater_ranges SET hi = 7;
        INSERT INTO tailwater_ranges (log_no, lo, next) SELECT log_no, 7, 7 FROM tailwater_logs";
    for (change, lo) in [(cut, 7), ("DELETE FROM tailwater_ranges", 1)] {
        client.batch_execute(&format!("BEGIN; {change}")).await.unwrap();
        let commit = async {
            wait_for_a_waiter(&client).await;
            client.batch_execute("COMMIT").await.unwrap();
        };
        let (claimed, ()) = tokio::join!(lane.claim(&claim), commit);
        assert_eq!(claimed.unwrap().unwrap().range.lo, Position(lo), "{change}");
    }
    database.drop().await;
}

async fn wait_for_a_waiter(client: &Client) {
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}
