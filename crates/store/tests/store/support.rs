//! A database, a target, a log; events by the dozen.

use std::time::Duration;

use event::wire::Decoded;
use event::{AgentSample, Event, HostName, LogId, Position, Resources, State, Time, TokenUsage};
use projector::{
    ApplyError, ApplyOutcome, Batch, Claim, ClaimError, Claimed, Commit, Contents, Cursor, Digest, Entry,
    Judge, Lane, LaneName, LogIdentity, RangeState, Target, TargetError, Wanted, WriterId,
};
use store::testing::{TestDatabase, TestEdition, table_checksum};
use store::{Extension, Migrate, StoreOptions, TimescaleLane, TimescaleTarget};
use tokio_postgres::Client;

/// 2026-01-02T03:04:05Z.
pub(crate) const NOON: i64 = 1_767_323_045_000_000;

/// How many cases of a property are tried in an edition. One is slow.
pub(crate) const fn cases(edition: TestEdition) -> u32 {
    match edition {
        TestEdition::Apache | TestEdition::Plain => 40,
        TestEdition::Licensed => 8,
    }
}

/// Every table that events go to.
pub(crate) const TABLES: [&str; 6] =
    ["agent_metrics", "system_metrics", "channel_metrics", "token_metrics", "agent_states", "gaps"];

/// One database with the schema, and one log.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) target: TimescaleTarget,
    pub(crate) log: LogIdentity,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> Option<Self> {
        Self::of(TestEdition::Apache).await
    }

    pub(crate) async fn of(edition: TestEdition) -> Option<Self> {
        Self::made(edition, Extension::Create).await
    }

    pub(crate) async fn with(extension: Extension) -> Option<Self> {
        Self::made(TestEdition::Apache, extension).await
    }

    async fn made(edition: TestEdition, extension: Extension) -> Option<Self> {
        let database = TestDatabase::create_in(edition).await?;
        let options = StoreOptions { migrate: Migrate::Auto, extension };
        let target = TimescaleTarget::new(database.url().clone(), options);
        let client = database.client().await;
        Some(Self { database, target, log: log("home"), client })
    }

    pub(crate) async fn lane(&self) -> TimescaleLane {
        self.target.connect(&self.log, LaneName::Live).await.expect("connect")
    }

    /// A claimed range of this world's log.
    pub(crate) async fn range(&self) -> Range {
        self.range_of(&self.log).await
    }

    pub(crate) async fn range_of(&self, log: &LogIdentity) -> Range {
        let lane = self.target.connect(log, LaneName::Live).await.expect("connect");
        Range::claim(lane, WriterId::random()).await
    }

    /// One text for each row of a query of one column.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client.query(sql, &[]).await.expect(sql);
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        self.texts(sql).await.concat()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect(sql);
    }

    /// The content of every table.
    pub(crate) async fn checksums(&self) -> Vec<(i64, String)> {
        let mut checksums = Vec::new();
        for table in TABLES {
            checksums.push(table_checksum(&self.client, table).await);
        }
        checksums
    }

    /// What is in quarantine: position, kind and SQLSTATE.
    pub(crate) async fn quarantined(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', position, kind, sqlstate) FROM tailwater_quarantine
            ORDER BY log_no, position";
        self.texts(sql).await
    }

    /// Has the server count the statements that insert into a table, those that are rolled back as well: a
    /// sequence does not go back.
    pub(crate) async fn count_statements(&self, table: &str) {
        self.execute(&format!(
            "CREATE SEQUENCE tried_{table} MINVALUE 0 START 0; SELECT nextval('tried_{table}');
             CREATE FUNCTION count_{table}() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM nextval('tried_{table}'); RETURN NULL; END $$;
             CREATE TRIGGER count_{table} BEFORE INSERT ON {table} FOR EACH STATEMENT
                 EXECUTE FUNCTION count_{table}()"
        ))
        .await;
    }

    /// How many statements there were since the last call.
    pub(crate) async fn statements(&self, table: &str) -> u64 {
        let counted = self.text(&format!("SELECT last_value::text FROM tried_{table}")).await;
        self.execute(&format!("SELECT setval('tried_{table}', 0)")).await;
        counted.parse().unwrap()
    }

    /// A trigger for each row that is inserted into a table; `body` may RAISE or RETURN NULL.
    pub(crate) async fn trigger(&self, table: &str, body: &str) {
        self.execute(&format!(
            "CREATE FUNCTION judge_{table}() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN {body} RETURN NEW; END $$;
             CREATE TRIGGER judge_{table} BEFORE INSERT ON {table} FOR EACH ROW
                 EXECUTE FUNCTION judge_{table}()"
        ))
        .await;
    }

    /// Waits until a session with this database waits for a lock. NOTE: the server has other tests' databases, too, and
    /// who waits for a row waits for a transaction, which is in no database.
    pub(crate) async fn until_blocked(&self) {
        let sql = "SELECT count(*)::text FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE NOT granted AND datname = current_database()";
        while self.text(sql).await == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        table_checksum(&self.client, table).await.0
    }
}

/// Makes tests of functions that take a [`TestEdition`], in each edition: one for each function, but for the Timescale
/// licence, whose server takes so long to start that all of them share it.
macro_rules! in_every_edition {
    ($($check:ident),+ $(,)?) => {
        $crate::support::in_the_shared_editions!($($check),+);
        $crate::support::in_the_licensed_edition!($($check),+);
    };
}
macro_rules! in_the_shared_editions {
    ($($check:ident),+ $(,)?) => {
        mod timescaledb_apache {
            $(
                #[tokio::test]
                async fn $check() {
                    super::$check(store::testing::TestEdition::Apache).await;
                }
            )+
        }
        mod postgresql_15 {
            $(
                #[tokio::test]
                async fn $check() {
                    super::$check(store::testing::TestEdition::Plain).await;
                }
            )+
        }
    };
}
macro_rules! in_the_licensed_edition {
    ($($check:ident),+ $(,)?) => {
        #[tokio::test]
        async fn all_in_the_licensed_edition() {
            $(
                println!(stringify!($check));
                $check(store::testing::TestEdition::Licensed).await;
            )+
        }
    };
}
pub(crate) use {in_every_edition, in_the_licensed_edition, in_the_shared_editions};

/// A lane with the range that it claimed.
pub(crate) struct Range {
    pub(crate) lane: TimescaleLane,
    pub(crate) writer: WriterId,
    pub(crate) lo: Position,
    pub(crate) cursor: Cursor,
}

impl Range {
    pub(crate) async fn claim(mut lane: TimescaleLane, writer: WriterId) -> Self {
        let state = claim_live(&mut lane, writer, Position::FIRST, &|_| Ok(None)).await.expect("claim").range;
        Self { lane, writer, lo: state.lo, cursor: state.cursor }
    }

    /// Claims the live range again; gives it as it was found.
    pub(crate) async fn claim_again(&mut self) -> RangeState {
        let claimed = claim_live(&mut self.lane, self.writer, Position::FIRST, &|_| Ok(None)).await;
        let Claimed { found, range, .. } = claimed.expect("claim");
        self.cursor = range.cursor;
        found
    }

    /// Applies events at the range's next positions.
    pub(crate) async fn try_apply(&mut self, events: &[Event]) -> Result<ApplyOutcome, ApplyError> {
        self.try_apply_entries(entries(self.cursor.next, events)).await
    }

    pub(crate) async fn try_apply_entries(
        &mut self,
        entries: Vec<Entry>,
    ) -> Result<ApplyOutcome, ApplyError> {
        let (to, contents) = (after(&entries, self.cursor), Contents::of(&entries));
        let batch = Batch {
            writer: self.writer,
            lo: self.lo,
            from: self.cursor,
            to,
            entries: &entries,
            contents: &contents,
            commit: Commit::Flushed,
        };
        let outcome = self.lane.apply(&batch).await?;
        self.cursor = to;
        Ok(outcome)
    }

    pub(crate) async fn apply(&mut self, events: &[Event]) -> ApplyOutcome {
        self.try_apply(events).await.expect("apply")
    }

    /// Goes over a hole that ends before `next`.
    pub(crate) async fn pass_to(&mut self, next: Position) -> Result<ApplyOutcome, ApplyError> {
        let to = Cursor { next, ..self.cursor };
        let batch = Batch {
            writer: self.writer,
            lo: self.lo,
            from: self.cursor,
            to,
            entries: &[],
            contents: &Contents::default(),
            commit: Commit::Buffered,
        };
        let outcome = self.lane.apply(&batch).await?;
        self.cursor = to;
        Ok(outcome)
    }

    /// Moves the range to a position without applying what lies between.
    pub(crate) async fn jump(&mut self, world: &World, next: u64) {
        let sql = format!(
            "UPDATE tailwater_ranges SET lo = 1, next = {next}, digest = NULL, digest_at = NULL
            WHERE log_no = (SELECT log_no FROM tailwater_logs WHERE log_id = '{}')",
            world.log.log_id
        );
        world.execute(&sql).await;
        self.claim_again().await;
    }
}

/// Claims the live range.
pub(crate) async fn claim_live(
    lane: &mut TimescaleLane,
    writer: WriterId,
    first: Position,
    judge: Judge<'_>,
) -> Result<Claimed, ClaimError> {
    let claim = Claim { writer, wanted: Wanted::Live { first }, busy: &[], judge };
    lane.claim(&claim).await.map(|claimed| claimed.expect("a live range"))
}

pub(crate) fn log(host: &str) -> LogIdentity {
    LogIdentity { log_id: LogId::random(), host: HostName::new(host).unwrap() }
}

pub(crate) fn entries(first: Position, events: &[Event]) -> Vec<Entry> {
    let entry = |(index, event): (u64, &Event)| {
        let position = first.plus(index);
        let checksum = u32::try_from(position.0 % 4_000_000_000).unwrap();
        Entry { position, checksum, bytes: 100, event: Decoded::Event(event.clone()) }
    };
    (0..).zip(events).map(entry).collect()
}

/// The cursor behind these entries.
pub(crate) fn after(entries: &[Entry], from: Cursor) -> Cursor {
    entries.last().map_or(from, |last| Cursor {
        next: last.position.next(),
        digest: Some(Digest { checksum: last.checksum, at: last.position }),
    })
}

pub(crate) fn seconds(seconds: i64) -> Time {
    Time::from_micros(NOON + seconds * 1_000_000)
}

/// A sample of one agent at one second, told apart by its memory.
pub(crate) fn sample(agent: &str, second: i64, memory: u64) -> Event {
    Event::AgentSample(AgentSample {
        time: seconds(second),
        agent_name: agent.into(),
        state: State::Working,
        resources: Resources { mem_used_bytes: Some(memory), ..Resources::default() },
        ..AgentSample::default()
    })
}

/// Samples of one agent, a second apart.
pub(crate) fn samples(agent: &str, count: u64) -> Vec<Event> {
    (0..count).map(|index| sample(agent, i64::try_from(index).unwrap(), index)).collect()
}

/// What became of events of which none was refused again or released.
pub(crate) fn outcome(inserted: u64, present: u64, conflicting: u64, quarantined: u64) -> ApplyOutcome {
    ApplyOutcome { inserted, present, conflicting, quarantined, released: 0 }
}

pub(crate) fn target_error<T: std::fmt::Debug>(result: Result<T, ApplyError>) -> TargetError {
    match result {
        Err(ApplyError::Target(error)) => error,
        other => panic!("not an error of the target: {other:?}"),
    }
}

pub(crate) fn usage(message: &str, output: u64, is_final: bool) -> TokenUsage {
    TokenUsage {
        time: seconds(0),
        agent_name: "a".into(),
        model: "m".into(),
        message_id: message.into(),
        output_tokens: output,
        r#final: is_final,
        ..TokenUsage::default()
    }
}
