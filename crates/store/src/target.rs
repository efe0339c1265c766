//! The target: makes the schema ready, opens lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use projector::{ErrorKind, LaneName, LogIdentity, ReplayRequest, Target, TargetError};
use tokio::sync::OnceCell;

use crate::chunks::Chunks;
use crate::connect::{Session, application_name, within};
use crate::lane::TimescaleLane;
use crate::ledger::{Known, Ledger};
use crate::prices::{self, PriceList};
use crate::schema::{self, Extension, State};
use crate::url::DatabaseUrl;

/// Whether connecting may change the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Migrate {
    /// Yes: it is brought up to date first.
    #[default]
    Auto,
    /// No: a schema that is not up to date is an error.
    Never,
}

/// What an operator decides about a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Whether connecting may change the schema.
    pub migrate: Migrate,
    /// Whether the extension may be made where it is not.
    pub extension: Extension,
}

/// A database that events are projected into.
#[derive(Debug)]
pub struct TimescaleTarget {
    url: DatabaseUrl,
    options: StoreOptions,
    /// Whether the schema was made ready once. The cheap look at every connect tells when it no longer is.
    is_prepared: AtomicBool,
    /// What its lanes know of the chunks.
    chunks: Arc<Chunks>,
    work: Work,
    /// What calls cost, where the projector is to tell the database.
    prices: Option<Arc<PriceList>>,
    /// Whether the database was told.
    are_prices_told: AtomicBool,
}

/// Whose progress its lanes move.
#[derive(Debug)]
enum Work {
    Projection,
    /// A replay's; which one settles once, at the first connection.
    Replay {
        asked: ReplayRequest,
        settled: OnceCell<Known>,
    },
}

impl TimescaleTarget {
    /// A target at `url`; nothing is connected yet.
    #[must_use]
    pub fn new(url: DatabaseUrl, options: StoreOptions) -> Self {
        Self::of(url, options, Work::Projection)
    }

    /// A target at `url` for a replay, whose progress is kept apart from that of the projection.
    #[must_use]
    pub fn replay(url: DatabaseUrl, options: StoreOptions, asked: ReplayRequest) -> Self {
        Self::of(url, options, Work::Replay { asked, settled: OnceCell::new() })
    }

    fn of(url: DatabaseUrl, options: StoreOptions, work: Work) -> Self {
        Self {
            url,
            options,
            is_prepared: AtomicBool::new(false),
            chunks: Arc::default(),
            work,
            prices: None,
            are_prices_told: AtomicBool::new(false),
        }
    }

    /// The same, and it keeps these prices in the database.
    #[must_use]
    pub fn with_prices(mut self, prices: Arc<PriceList>) -> Self {
        self.prices = Some(prices);
        self
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Migrates and ensures, if that is allowed.
    async fn prepare(&self) -> Result<(), TargetError> {
        if self.options.migrate == Migrate::Auto {
            let outcome = schema::migrate(&self.url, self.options.extension).await?;
            let applied: Vec<String> = outcome.applied.iter().map(ToString::to_string).collect();
            if !applied.is_empty() || !outcome.hypertables_made.is_empty() {
                let hypertables = outcome.hypertables_made.len();
                tracing::info!(database = %self.url, edition = %outcome.edition, ?applied, hypertables, "the schema was brought up to date");
            }
        }
        self.is_prepared.store(true, Ordering::Relaxed);
        self.are_prices_told.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the database the prices, once.
    ///
    /// NOTE: a database that will not have them costs a warning: events come first, and can be priced later.
    async fn tell_prices(&self, session: &Session) -> Result<(), TargetError> {
        let Some(prices) = self.prices.as_ref().filter(|_| !self.are_prices_told.load(Ordering::Relaxed))
        else {
            return Ok(());
        };
        match prices::mirror(session, prices, self.url.connect_timeout()).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Retry => return Err(error),
            Err(error) => {
                session.run("leaving the prices as they are", "ROLLBACK").await?;
                tracing::warn!(%error, "the database does not take the prices: what it computes of costs may be old");
            }
        }
        self.are_prices_told.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A session for the lane and whether its database has the schema: it may be another database by now.
    async fn open(&self, log: &LogIdentity, name: LaneName) -> Result<(Session, State), TargetError> {
        let name = match (&self.work, name) {
            (Work::Replay { .. }, LaneName::Backlog(number)) => format!("replay-{number}"),
            (Work::Projection | Work::Replay { .. }, name) => name.to_string(),
        };
        let session = Session::open(&self.url, &application_name(&log.log_id, &name)).await?;
        let state = schema::state(&session, &schema::migrator(), self.url.connect_timeout()).await?;
        Ok((session, state))
    }

    /// Whose progress a lane moves, in a database that has the schema.
    async fn ledger(&self, session: &Session, log: &LogIdentity) -> Result<Ledger, TargetError> {
        let Work::Replay { asked, settled } = &self.work else { return Ok(Ledger::Ranges) };
        let settling = settled.get_or_try_init(|| Known::settle(session, log, asked));
        let known =
            within(self.url.connect_timeout(), "looking for a replay that was begun", settling).await?;
        if known.log_id == log.log_id {
            return Ok(Ledger::Replay(known.clone()));
        }
        let message = "the log has another identity since the replay began: run the replay again";
        Err(TargetError::new(ErrorKind::Fatal, message))
    }
}

impl Target for TimescaleTarget {
    type Lane = TimescaleLane;

    async fn connect(&self, log: &LogIdentity, name: LaneName) -> Result<TimescaleLane, TargetError> {
        if !self.is_prepared.load(Ordering::Relaxed) {
            self.prepare().await?;
        }
        let (mut session, mut state) = self.open(log, name).await?;
        if matches!(state, State::Behind(_)) {
            self.prepare().await?;
            (session, state) = self.open(log, name).await?;
        }
        match state {
            State::Current => {
                self.tell_prices(&session).await?;
                let ledger = self.ledger(&session, log).await?;
                Ok(TimescaleLane::new(session, log.clone(), ledger, Arc::clone(&self.chunks)))
            }
            State::Behind(pending) => Err(behind(pending.len())),
            State::Refused(error) => Err(error),
        }
    }
}

pub(crate) fn behind(pending: usize) -> TargetError {
    let migrations = if pending == 1 { "a migration" } else { "migrations" };
    let message =
        format!("the database lacks {migrations} of tailwater's tables: `tailwater migrate` makes them");
    TargetError::new(ErrorKind::Fatal, message)
}
