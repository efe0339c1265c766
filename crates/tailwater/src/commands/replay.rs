//! `tailwater replay`: any part of the log, again, into any database.

use std::cell::RefCell;

use indicatif::ProgressBar;
use projector::ReplayBegin;
use serde_json::Value;
use store::DatabaseUrl;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{self, Holder, Missing};
use crate::cli::ReplayArgs;
use crate::commands::bar;
use crate::commands::project::{change, no_database, print};
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output;
use crate::selection::Selection;
use crate::service::{Extent, ReplayPlan, ReplayTask};

/// Tells the count, replays, and prints what was done.
///
/// # Errors
/// Exit code 1 when nothing was chosen, or the replay has halted; 2 when it was stopped, or no database is set.
pub(crate) async fn replay(config: &Config, args: &ReplayArgs) -> Result<(), Failure> {
    let database = config.database.as_ref();
    if database.is_none() && !args.dry_run {
        return Err(no_database());
    }
    let (from, to) = (args.from.as_deref(), args.to.as_deref());
    let selection = Selection::parse(from, to, args.kind.as_deref(), crate::commands::now())?;
    let task = ReplayTask {
        database_url: database.map(DatabaseUrl::secret),
        retention: database.and_then(|database| config.retention_of(database)),
        selection: selection.clone(),
        lanes: args.lanes,
        rate: args.rate,
        begin: if args.restart { ReplayBegin::Anew } else { ReplayBegin::Resume },
        extent: if args.dry_run { Extent::DryRun } else { Extent::Whole },
    };
    let bar = bar::of_events();
    let answer = ask(config, task, &selection, &bar).await;
    bar.finish_and_clear();
    let answer = answer?;
    if !args.dry_run {
        return print(&answer, args.json);
    }
    if args.json {
        return output::json(&answer);
    }
    let plan: ReplayPlan = access::understood(answer)?;
    output::line(&plan.line("would replay"))
}

/// Asks whoever holds the log; the first signal ends the replay in order.
async fn ask(
    config: &Config,
    task: ReplayTask,
    selection: &Selection,
    bar: &ProgressBar,
) -> Result<Value, Failure> {
    let waiting = RefCell::new(None);
    let show = |told: Told| match told {
        Told::Progress(progress) => {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            let before = waiting.replace(progress.waiting.clone());
            if progress.waiting.is_some() != before.is_some() {
                bar.suspend(|| output::notice(&change(progress.waiting.as_deref())));
            }
            Ok(())
        }
        Told::Notice(line) => {
            bar.suspend(|| output::notice(&line));
            bar.reset();
            Ok(())
        }
        Told::Lines(lines) => output::lines(&lines),
    };
    let mut holder = Holder::find(config, Missing::Refuse).await?;
    let is_daemon = holder.is_daemon();
    let extent = task.extent;
    let asking = holder.ask(Task::Replay(task), Vec::new(), show);
    let answer = if is_daemon { unless_signalled(asking, selection, extent).await } else { asking.await };
    let closed = holder.close().await;
    answer.and_then(|answer| closed.map(|()| answer))
}

/// The daemon hears that its client has gone, ends the batch under way, and stops.
async fn unless_signalled(
    asking: impl Future<Output = Result<Value, Failure>>,
    selection: &Selection,
    extent: Extent,
) -> Result<Value, Failure> {
    let stop = CancellationToken::new();
    let _signals = AbortOnDropHandle::new(crate::signals::cancel_on_signal(stop.clone()));
    tokio::select! {
        answer = asking => answer,
        () = stop.cancelled() => {
            Err(Failure::error(match extent {
                Extent::DryRun => "stopped before everything was counted".to_owned(),
                Extent::Whole => format!("stopped: what was sent stays; {}", selection.goes_on()),
            }))
        }
    }
}
