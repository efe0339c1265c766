//! `tailwater doctor`: one look at everything that tailwater needs.
//!
//! A check gathers facts and judges them: what gathers may take time, runs beside the others, and has a deadline; what
//! judges is a pure function from facts to [`Finding`]s. IMPORTANT: nothing is changed. No log is opened or made, no
//! migration is run; the only write is a probe file in a data directory that exists (`sync.rs`), which goes again.

mod clock;
mod database;
mod docker;
mod finding;
mod log;
mod paths;
mod settings;
mod sources;
mod space;
mod subject;
mod sync;
mod tools;

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

pub(crate) use finding::{Finding, Sign};
pub(crate) use subject::Subject;

/// How long a check may take that looks at this machine.
const LIMIT: Duration = Duration::from_secs(10);
/// The same for the database, which has deadlines of its own for each look: this is more than they come to.
const DATABASE_LIMIT: Duration = Duration::from_secs(60);

/// The findings of one check, some time later.
type Check = Pin<Box<dyn Future<Output = Vec<Finding>> + Send>>;

/// Runs every check, each beside the others.
pub(crate) async fn examine(subject: Arc<Subject>) -> Vec<Finding> {
    let log = log::identity(&subject).await;
    let checks: Vec<Check> = vec![
        reading("configuration", &subject, settings::look),
        reading("data_dir", &subject, paths::look),
        within("log", LIMIT, log::look(Arc::clone(&subject), log.clone())),
        within("sync", LIMIT, sync::look(Arc::clone(&subject))),
        reading("space", &subject, space::look),
        reading("source.host", &subject, sources::host),
        reading("source.tmux", &subject, sources::tmux),
        reading("source.docker", &subject, docker::look),
        reading("source.transcripts", &subject, tools::transcripts),
        reading("tool.cleanup", &subject, tools::cleanup),
        within("clock", LIMIT, clock::look(log.clone())),
        within("database", DATABASE_LIMIT, database::look(Arc::clone(&subject), log)),
    ];
    join_all(checks).await.into_iter().flatten().collect()
}

/// A check that blocks, on a thread that may.
fn reading(name: &'static str, subject: &Arc<Subject>, look: fn(&Subject) -> Vec<Finding>) -> Check {
    let subject = Arc::clone(subject);
    within(name, LIMIT, async move { blocking(move || look(&subject)).await })
}

/// A check that ends with a failure when it does not end by itself.
fn within(
    name: &'static str,
    limit: Duration,
    look: impl Future<Output = Vec<Finding>> + Send + 'static,
) -> Check {
    Box::pin(
        async move { tokio::time::timeout(limit, look).await.unwrap_or_else(|_| vec![late(name, limit)]) },
    )
}

fn late(name: &'static str, limit: Duration) -> Finding {
    Finding::failure(
        name,
        format!("the check did not end within {} s", limit.as_secs()),
        "a disk, a file system or a service that it asks hangs: `dmesg` and `mount` tell more",
    )
}

/// Runs what blocks on a thread that may block; a panic stays one.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is ending, and this with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_hangs_fails_and_ends() {
        let findings = within("disk", Duration::from_millis(1), std::future::pending()).await;
        let told: Vec<_> = findings.iter().map(|finding| (finding.sign, finding.check)).collect();
        assert_eq!(told, [(Sign::Failure, "disk")]);
        assert!(late("disk", LIMIT).found.contains("within 10 s"));
    }
}
