//! Statements that a lane runs again and again, and what of them may outlive a transaction.
//!
//! Over a direct link they are prepared once. Behind a pooler none may stay in the server's session, where others
//! would meet it: tokio-postgres names them s0, s1, … in every process. There a statement with parameters has no name
//! at all, and a COPY, which tokio-postgres cannot run without one, is prepared inside the transaction and closed
//! behind its data; requests are answered in order, so before the COMMIT or ROLLBACK that comes next.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use projector::TargetError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CopyInSink, CopyOutStream, Error, Row, Statement};

use super::{Link, Session};

/// A statement that is prepared when it is first run.
#[derive(Default)]
pub(crate) struct Prepared(Option<Statement>);

impl Prepared {
    async fn get(&mut self, session: &Session, sql: &str) -> Result<&Statement, Error> {
        Ok(match &mut self.0 {
            Some(statement) => statement,
            slot => slot.insert(session.client.prepare(sql).await?),
        })
    }
}

impl Session {
    /// Begins a transaction and runs its first statement, in one round trip; returns that one's rows.
    pub(crate) async fn begin_with(
        &self,
        tried: &str,
        prepared: &mut Prepared,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, TargetError> {
        let begin = self.client.batch_execute(&self.begin);
        let (begun, done) = match self.link {
            Link::Direct => {
                let statement = prepared.get(self, sql).await.map_err(|error| self.error(tried, error))?;
                let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
                tokio::join!(biased; begin, self.client.query(statement, &values))
            }
            Link::Pooled => tokio::join!(biased; begin, self.client.query_typed(sql, parameters)),
        };
        begun.map_err(|error| self.error("beginning a transaction", error))?;
        done.map_err(|error| self.error(tried, error))
    }

    /// Runs `before` and begins a COPY; the first round trip is shared.
    pub(crate) async fn copy_in(
        &self,
        before: &str,
        prepared: &mut Prepared,
        sql: &str,
    ) -> Result<CopyInSink<Bytes>, Error> {
        let before = self.client.batch_execute(before);
        let (done, sink) = match self.link {
            Link::Direct => {
                let statement = prepared.get(self, sql).await?;
                tokio::join!(biased; before, self.client.copy_in(statement))
            }
            Link::Pooled => tokio::join!(biased; before, self.copy_in_once(sql)),
        };
        done?;
        sink
    }

    /// Begins a COPY to us, which is run once and so never prepared for longer.
    pub(crate) async fn copy_out(&self, sql: &str) -> Result<CopyOutStream, Error> {
        self.in_doubt.store(true, Ordering::Relaxed);
        let stream = self.client.copy_out(sql).await;
        self.in_doubt.store(false, Ordering::Relaxed);
        stream
    }

    /// Prepares, begins the COPY, and closes the statement behind it.
    ///
    /// NOTE: whose future is dropped meanwhile never learns of the statement that the server has made, and so never
    /// closes it. The note of that is what is left.
    async fn copy_in_once(&self, sql: &str) -> Result<CopyInSink<Bytes>, Error> {
        self.in_doubt.store(true, Ordering::Relaxed);
        let sink = self.client.copy_in(sql).await;
        self.in_doubt.store(false, Ordering::Relaxed);
        sink
    }
}
