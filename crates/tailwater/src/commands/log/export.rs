//! `tailwater log export`: events as NDJSON on standard output.

use std::io::IsTerminal;

use indicatif::ProgressBar;

use crate::access::{self, Missing};
use crate::cli::ExportArgs;
use crate::commands::bar;
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output;
use crate::selection::Selection;
use crate::service::WalkAnswer;

/// Writes the chosen events.
///
/// # Errors
/// When what was chosen means nothing, the log cannot be read, or an event has no JSON: the exit code is 1 then.
pub(super) async fn export(config: &Config, args: &ExportArgs) -> Result<(), Failure> {
    let (from, to) = (args.from.as_deref(), args.to.as_deref());
    let selection = Selection::parse(from, to, args.kind.as_deref(), crate::commands::now())?;
    // NOTE: a bar between the lines of a terminal would be in their way.
    let bar = if std::io::stdout().is_terminal() { ProgressBar::hidden() } else { bar::of_events() };
    let tell = |told: Told| match told {
        Told::Progress(progress) => {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            Ok(())
        }
        Told::Notice(line) => {
            bar.suspend(|| output::notice(&line));
            Ok(())
        }
        Told::Lines(lines) => output::lines(&lines),
    };
    let answer = access::ask(config, Task::LogExport { selection }, Vec::new(), Missing::Refuse, tell).await;
    bar.finish_and_clear();
    let answer: WalkAnswer = access::understood(answer?)?;
    if answer.unknown > 0 {
        return Err(Failure::unhealthy(format!(
            "{} events were left out: a newer version wrote them; export them with that one",
            answer.unknown
        )));
    }
    Ok(())
}
