//! `tailwater log verify`, `repair`, `trim` and `adopt`: keeping the log well.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::{self, Holder, Missing};
use crate::cli::{Format, TrimArgs};
use crate::commands::bar;
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output::{self, Sheet, bytes, count};
use crate::selection::Place;
use crate::service::{AdoptAnswer, Damage, RepairAnswer, TrimAnswer, VerifyAnswer, repair_unopened};

/// Checks every record and prints what is damaged.
///
/// # Errors
/// Exit code 1 when something is damaged.
pub(super) async fn verify(config: &Config, format: Format) -> Result<(), Failure> {
    let (answer, json): (VerifyAnswer, _) = ask(config, Task::LogVerify).await?;
    match format {
        Format::Json => output::json(&json)?,
        Format::Csv => damage_sheet(&answer.damaged).print(format)?,
        Format::Table => {
            if !answer.damaged.is_empty() {
                damage_sheet(&answer.damaged).print(format)?;
            }
            output::line(&verified(&answer))?;
        }
    }
    match lost(&answer.damaged) {
        0 => Ok(()),
        positions => Err(Failure::unhealthy(format!(
            "{} positions are damaged: `tailwater log repair` puts what is there aside and leaves holes",
            count(positions)
        ))),
    }
}

/// Puts aside what cannot be read; without a daemon also of a log that does not open.
///
/// # Errors
/// When it cannot be repaired.
pub(super) async fn repair(config: &Config, format: Format) -> Result<(), Failure> {
    let is_daemon = Holder::find_daemon(config).await?.is_some();
    let answer: RepairAnswer = if is_daemon {
        ask(config, Task::LogRepair).await?.0
    } else {
        repair_unopened(&config.data_dir).await?
    };
    match format {
        Format::Json => output::json(&answer),
        Format::Csv => damage_sheet(&answer.damaged).print(format),
        Format::Table => output::line(&repaired(&answer)),
    }
}

/// Lets go of old events, or tells which ones would go.
///
/// # Errors
/// When the place means nothing, or the log cannot be trimmed.
pub(super) async fn trim(config: &Config, args: &TrimArgs) -> Result<(), Failure> {
    let before = args.before.as_deref();
    let before = before.map(|text| Place::parse("before", text, super::now())).transpose()?;
    let task = Task::LogTrim { before, dry_run: args.dry_run };
    let (answer, json): (TrimAnswer, _) = ask(config, task).await?;
    match args.format.format {
        Format::Json => output::json(&json),
        Format::Csv => fields(&json).print(Format::Csv),
        Format::Table => output::line(&trimmed(&answer)),
    }
}

/// Gives this copy of a log an identity of its own.
///
/// # Errors
/// When that cannot be written.
pub(super) async fn adopt(config: &Config, format: Format) -> Result<(), Failure> {
    let (answer, json): (AdoptAnswer, _) = ask(config, Task::LogAdopt).await?;
    match format {
        Format::Json => output::json(&json),
        Format::Csv => fields(&json).print(Format::Csv),
        Format::Table => output::line(&format!(
            "this log is {} from now on; it was {}. A database takes its events as those of a new log",
            answer.id, answer.previous_id
        )),
    }
}

/// The answer in both forms, with a bar while it is awaited.
async fn ask<T: DeserializeOwned>(config: &Config, task: Task) -> Result<(T, Value), Failure> {
    let bar = bar::of_events();
    let tell = |told: Told| match told {
        Told::Progress(progress) => {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            Ok(())
        }
        told => access::print(told),
    };
    let answer = access::ask(config, task, Vec::new(), Missing::Refuse, tell).await;
    bar.finish_and_clear();
    let answer = answer?;
    Ok((access::understood(answer.clone())?, answer))
}

fn damage_sheet(damaged: &[Damage]) -> Sheet {
    let row =
        |it: &Damage| vec![it.from.to_string(), it.to.to_string(), it.bytes.to_string(), it.reason.clone()];
    Sheet {
        columns: ["from", "to", "bytes", "reason"].map(str::to_owned).to_vec(),
        rows: damaged.iter().map(row).collect(),
    }
}

/// The members of an answer that is one thing.
fn fields(answer: &Value) -> Sheet {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let members = answer.as_object().into_iter().flatten();
    Sheet::of_fields(members.map(|(name, value)| (name.as_str(), text(value))).collect())
}

/// How many positions are damaged.
fn lost(damaged: &[Damage]) -> u64 {
    damaged.iter().map(|it| it.to.saturating_sub(it.from) + 1).sum()
}

fn verified(answer: &VerifyAnswer) -> String {
    let holes = match answer.hole_positions {
        0 => String::new(),
        positions => format!(", {} positions in holes", count(positions)),
    };
    format!("{} events are good{holes}, in {:.1} s", count(answer.events), answer.seconds)
}

fn repaired(answer: &RepairAnswer) -> String {
    let bytes_kept = bytes(answer.damaged.iter().map(|it| it.bytes).sum());
    match &answer.kept_in {
        None => "nothing is damaged; the log was left as it is".to_owned(),
        Some(path) => {
            let positions = count(lost(&answer.damaged));
            format!(
                "{positions} positions are holes now; the {bytes_kept} that were there are kept in {path}"
            )
        }
    }
}

fn trimmed(answer: &TrimAnswer) -> String {
    let (went, begins) = if answer.dry_run { ("would go", "would begin") } else { ("are gone", "begins") };
    let held_back = match answer.held_back_by {
        Some(position) => format!("; no database has what lies from position {position} on, so that stays"),
        None => String::new(),
    };
    format!(
        "{} events in {} segments ({}) {went}; the log {begins} at position {}{held_back}",
        count(answer.events),
        answer.segments,
        bytes(answer.bytes),
        answer.first_position
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(from: u64, to: u64) -> Damage {
        Damage { from, to, bytes: 1_024, reason: "the checksum differs".to_owned() }
    }

    #[test]
    fn a_verification_in_words() {
        let answer = VerifyAnswer { events: 1_200, hole_positions: 0, damaged: Vec::new(), seconds: 0.25 };
        assert_eq!(verified(&answer), "1,200 events are good, in 0.2 s");
        let answer = VerifyAnswer { hole_positions: 7, damaged: vec![damage(3, 5), damage(9, 9)], ..answer };
        assert_eq!(verified(&answer), "1,200 events are good, 7 positions in holes, in 0.2 s");
        assert_eq!(lost(&answer.damaged), 4);
    }

    #[test]
    fn a_repair_in_words() {
        let nothing = RepairAnswer { damaged: Vec::new(), kept_in: None };
        assert_eq!(repaired(&nothing), "nothing is damaged; the log was left as it is");
        let some = RepairAnswer { damaged: vec![damage(3, 5)], kept_in: Some("/data/damaged-1".to_owned()) };
        assert_eq!(
            repaired(&some),
            "3 positions are holes now; the 1.0 KiB that were there are kept in /data/damaged-1"
        );
    }

    #[test]
    fn a_trim_in_words() {
        let answer = TrimAnswer {
            dry_run: true,
            events: 2_000_000,
            bytes: 64 << 20,
            segments: 2,
            first_position: 2_000_001,
            held_back_by: None,
        };
        assert_eq!(
            trimmed(&answer),
            "2,000,000 events in 2 segments (64.0 MiB) would go; the log would begin at position 2000001"
        );
        let held = TrimAnswer { dry_run: false, held_back_by: Some(2_500_000), ..answer };
        assert!(trimmed(&held).contains("are gone;"));
        assert!(
            trimmed(&held).ends_with("no database has what lies from position 2500000 on, so that stays")
        );
    }
}
