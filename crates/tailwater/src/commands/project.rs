//! `tailwater project`: the log into the database.

use std::cell::RefCell;

use indicatif::ProgressBar;
use serde_json::Value;

use crate::access::{self, Missing};
use crate::cli::ProjectArgs;
use crate::commands::bar;
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output;
use crate::service::ProjectAnswer;

/// Projects until the head, or until stopped, and prints what was done.
///
/// # Errors
/// When no database is set, or the projection has halted.
pub(crate) async fn project(config: &Config, args: &ProjectArgs) -> Result<(), Failure> {
    let database = config.database.as_ref().ok_or_else(no_database)?;
    let (database_url, backlog) = (database.secret(), config.backlog);
    let retention = config.retention_of(database);
    let task = Task::Project { database_url, until_head: args.until_head, backlog, retention };
    // NOTE: without an end there is nothing to measure against.
    let bar = if args.until_head { bar::of_events() } else { ProgressBar::hidden() };
    let waiting = RefCell::new(None);
    let show = |told: Told| {
        let Told::Progress(progress) = told else { return access::print(told) };
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        let before = waiting.replace(progress.waiting.clone());
        if progress.waiting.is_some() != before.is_some() {
            bar.suspend(|| output::notice(&change(progress.waiting.as_deref())));
        }
        Ok(())
    };
    let answer = access::ask(config, task, Vec::new(), Missing::Refuse, show).await;
    bar.finish_and_clear();
    print(&answer?, args.json)
}

/// What to do when a command needs a database and none is set.
#[must_use]
pub(crate) fn no_database() -> Failure {
    Failure::error(
        "no database is set: use --database-url postgres://user:password@host:5432/database, \
         TAILWATER_DATABASE_URL, or database.url in tailwater.toml",
    )
}

/// Tells the start of an outage and its end.
pub(super) fn change(waiting: Option<&str>) -> String {
    match waiting {
        Some(error) => format!("waiting for the database, for as long as it takes: {error}"),
        None => "the database is there".to_owned(),
    }
}

/// Prints what was done.
pub(super) fn print(answer: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(answer);
    }
    let it: ProjectAnswer = access::understood(answer.clone())?;
    let mut rest = String::new();
    for (events, what) in [
        (it.quarantined, "in quarantine"),
        (it.expired, "older than the database keeps"),
        (it.unavailable, "gone from the log"),
    ] {
        if events > 0 {
            rest.push_str(&format!(", {} {what}", output::count(events)));
        }
    }
    output::line(&format!(
        "{} events read, {} new in the database, {} there already{rest}, in {:.1} s ({:.0} events/s)",
        output::count(it.read),
        output::count(it.inserted),
        output::count(it.present),
        it.seconds,
        it.events_per_second,
    ))
}
