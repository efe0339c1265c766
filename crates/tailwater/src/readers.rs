//! One place to ask: the database while it answers, else the log.
//!
//! Who asks shall not wait for a database that is away. One that has just answered is trusted for a moment. Else it is
//! asked first whether it is there, and given [`PATIENCE`] for that, or twice what it took the last time: an answer that
//! comes later makes it known again, and the next question goes there. While a question is under way it is asked again now
//! and then; when it no longer answers, or its link breaks, the log answers instead.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use query::{Answer, Question, ReadError, ReadErrorKind};
use server::{Answered, Source};
use store::DatabaseUrl;
use store::read::{PgPool, ReadOptions, TimescaleReader};

use crate::log_reader::LogReader;

/// How long a database that was asked whether it is there may take at first.
const PATIENCE: Duration = Duration::from_millis(150);
/// And at the most, where it is known to be slow.
const PATIENCE_MAX: Duration = Duration::from_secs(2);
/// How long a database that has answered is taken to be there.
const TRUST: Duration = Duration::from_secs(2);
/// How often it is asked whether it is still there, while it works on a question.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Answers from a database or a log.
pub(crate) struct Readers {
    log: LogReader,
    database: Option<Arc<Database>>,
}

/// A database and what is known of its being there.
pub(crate) struct Database {
    reader: TimescaleReader,
    /// A connection of its own: the others may all be at work.
    pinging: TimescaleReader,
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    answered: Option<Instant>,
    /// How long it took to say that it is there.
    took: Option<Duration>,
}

impl Readers {
    /// Readers of this log, and of a database if there is one. Call it within a tokio runtime.
    #[must_use]
    pub(crate) fn new(log: LogReader, database: Option<&DatabaseUrl>) -> Self {
        Self { log, database: database.map(|url| Arc::new(Database::new(url))) }
    }

    /// What answers without a database.
    #[must_use]
    pub(crate) const fn log(&self) -> &LogReader {
        &self.log
    }

    /// Answers from the database while it is there, else from the log.
    ///
    /// # Errors
    /// When the question cannot be answered, or neither can answer it.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answered, ReadError> {
        if let Some(database) = &self.database
            && let Some(answer) = database.ask_if_there(question).await?
        {
            return Ok(answered(answer, Source::Database));
        }
        let answer = question.ask(&self.log).await?;
        let (covers_from, covers_hosts) = self.log.covers().await?;
        Ok(Answered { covers_from, covers_hosts, ..answered(answer, Source::Log) })
    }
}

fn answered(answer: Answer, source: Source) -> Answered {
    Answered { answer, source, covers_from: None, covers_hosts: Vec::new() }
}

impl Database {
    /// A database that is asked for the first time later. Call it within a tokio runtime.
    #[must_use]
    pub(crate) fn new(url: &DatabaseUrl) -> Self {
        let options = ReadOptions { connections_max: 1, ..ReadOptions::default() };
        Self {
            reader: TimescaleReader::new(url, ReadOptions::default()),
            pinging: TimescaleReader::new(url, options),
            known: Mutex::default(),
        }
    }

    /// Its answer; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot answer the question.
    pub(crate) async fn ask_if_there(
        self: &Arc<Self>,
        question: &Question,
    ) -> Result<Option<Answer>, ReadError> {
        if !self.is_there().await {
            return Ok(None);
        }
        match self.ask(question).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind() == ReadErrorKind::Unavailable => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its connections.
    ///
    /// # Errors
    /// When the way to it cannot be opened.
    pub(crate) async fn pool(&self) -> Result<PgPool, ReadError> {
        self.reader.pool().await
    }

    /// Waits for the statements under way and closes the connections.
    pub(crate) async fn close(&self) {
        tokio::join!(self.reader.close(), self.pinging.close());
    }

    /// Whether it has answered just now, or does so soon.
    async fn is_there(self: &Arc<Self>) -> bool {
        let known = *self.known();
        if known.answered.is_some_and(|answered| answered.elapsed() < TRUST) {
            return true;
        }
        let patience = known.took.map_or(PATIENCE, |took| (took * 2).clamp(PATIENCE, PATIENCE_MAX));
        // NOTE: a ping that takes longer goes on, and is heard of by the next question.
        let pinging = tokio::spawn(Arc::clone(self).ping());
        matches!(tokio::time::timeout(patience, pinging).await, Ok(Ok(true)))
    }

    async fn ping(self: Arc<Self>) -> bool {
        let began = Instant::now();
        let is_there = self.pinging.ping().await.is_ok();
        let mut known = self.known();
        if is_there {
            *known = Known { answered: Some(Instant::now()), took: Some(began.elapsed()) };
        } else {
            known.answered = None;
        }
        is_there
    }

    /// Asks the question, for as long as the database is there.
    async fn ask(self: &Arc<Self>, question: &Question) -> Result<Answer, ReadError> {
        let outcome = tokio::select! {
            answer = question.ask(&self.reader) => answer,
            () = self.gone() => Err(ReadError::new(ReadErrorKind::Unavailable, "the database no longer answers")),
        };
        let mut known = self.known();
        match &outcome {
            Ok(_) => known.answered = Some(Instant::now()),
            Err(error) if error.kind() == ReadErrorKind::Unavailable => known.answered = None,
            Err(_) => {}
        }
        outcome
    }

    /// Ends when the database has not said twice in a row that it is there.
    fn gone(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let database = Arc::clone(self);
        async move {
            let mut silent = 0;
            while silent < 2 {
                tokio::time::sleep(WATCH_INTERVAL).await;
                let patience =
                    database.known().took.map_or(PATIENCE_MAX, |took| (took * 10).min(PATIENCE_MAX));
                let ping = tokio::time::timeout(patience.max(PATIENCE), Arc::clone(&database).ping());
                silent = if matches!(ping.await, Ok(true)) { 0 } else { silent + 1 };
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
