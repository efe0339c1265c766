//! `tailwater log tail`: the last events, and those that come.
//!
//! Following needs a daemon: while this command has the log itself, nobody can append to it. So it tells what is
//! there, lets go of the log, and goes on where it was when a daemon answers, also after a restart of one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{self, Holder, Missing};
use crate::cli::{Format, TailArgs};
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output;
use crate::render;
use crate::selection::Selection;
use crate::service::{Begin, WalkAnswer};

/// How often to look for a daemon.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Prints the last events, and with `--follow` those that come until it is stopped.
///
/// # Errors
/// When what was chosen means nothing or nothing was found, or the log cannot be read.
pub(super) async fn tail(config: &Config, args: &TailArgs) -> Result<(), Failure> {
    let selection =
        Selection::parse(args.from.as_deref(), None, args.kind.as_deref(), crate::commands::now())?;
    let begin = if args.from.is_some() { Begin::Selection } else { Begin::Last(args.lines) };
    let format = args.format.format;
    if args.follow {
        return until_stopped(follow(config, selection, begin, format)).await;
    }
    let mut holder = Holder::find(config, Missing::Refuse).await?;
    print_head(format)?;
    let (told, _) = once(&mut holder, selection, begin, format, false).await;
    holder.close().await?;
    let told = told?;
    if told.events + told.unknown + told.holes == 0 && begin != Begin::Last(0) {
        let is_all = args.from.is_none() && args.kind.is_none();
        return Err(Failure::unhealthy(match is_all {
            true => "the log has no events now; `tailwater log stat` tells whether it had some",
            false => "nothing found in the log: try another --from or --kind",
        }));
    }
    Ok(())
}

/// Follows until a signal comes: that is a good end.
async fn until_stopped(following: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let _signals = AbortOnDropHandle::new(crate::signals::cancel_on_signal(stop.clone()));
    tokio::select! {
        outcome = following => outcome,
        () = stop.cancelled() => Ok(()),
    }
}

async fn follow(
    config: &Config,
    selection: Selection,
    mut begin: Begin,
    format: Format,
) -> Result<(), Failure> {
    let mut holder = Holder::find(config, Missing::Refuse).await?;
    print_head(format)?;
    loop {
        let is_daemon = holder.is_daemon();
        let (told, is_silent) = once(&mut holder, selection.clone(), begin, format, is_daemon).await;
        holder.close().await?;
        begin = match told {
            Ok(told) => Begin::At(told.next_position),
            // NOTE: a daemon that is ending takes connections for a moment, and lets go of them without a word; or it is
            // gone before it is asked.
            Err(failure) if is_silent && (failure.is_lost || is_daemon && has_gone(config).await?) => begin,
            Err(failure) => return Err(failure),
        };
        output::notice(if is_daemon {
            "the daemon has ended; waiting for the next one"
        } else {
            "no daemon is running, so nothing comes; waiting for `tailwater run`"
        });
        holder = next_daemon(config).await?;
    }
}

async fn has_gone(config: &Config) -> Result<bool, Failure> {
    Ok(Holder::find_daemon(config).await?.is_none())
}

/// Waits for a daemon, for as long as it takes.
async fn next_daemon(config: &Config) -> Result<Holder, Failure> {
    loop {
        if let Some(holder) = Holder::find_daemon(config).await? {
            return Ok(holder);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Has a stretch told; gives how it ended, and whether nothing at all was told.
async fn once(
    holder: &mut Holder,
    selection: Selection,
    begin: Begin,
    format: Format,
    follow: bool,
) -> (Result<WalkAnswer, Failure>, bool) {
    let task = Task::LogTail { selection, begin, follow, format };
    let mut is_silent = true;
    let tell = |told| {
        is_silent &= matches!(told, Told::Progress(_));
        access::print(told)
    };
    let answer = holder.ask(task, Vec::new(), tell).await;
    (answer.and_then(access::understood), is_silent)
}

fn print_head(format: Format) -> Result<(), Failure> {
    if format == Format::Csv { output::lines(&(render::csv_head() + "\n")) } else { Ok(()) }
}
