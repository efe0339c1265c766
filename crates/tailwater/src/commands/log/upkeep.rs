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
use crate::service::{
    AdoptAnswer, Damage, HoleObject, RepairAnswer, TrimAnswer, VerifyAnswer, repair_unopened,
};

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
    ailment(&answer).map_or(Ok(()), |ailment| Err(Failure::unhealthy(ailment)))
}

/// What is wrong, and what to do.
fn ailment(answer: &VerifyAnswer) -> Option<String> {
    let damaged: u64 = answer.damaged.iter().map(|it| it.to.saturating_sub(it.from) + 1).sum();
    let what = match (damaged, answer.wrong_blocks, &answer.meta_error) {
        (0, 0, None) => return None,
        (0, 0, Some(error)) => format!("what is kept beside the events cannot be read ({error})"),
        (0, blocks, _) => format!("the index by time is wrong in {} blocks", count(blocks)),
        (positions, ..) => format!("{} positions cannot be read", count(positions)),
    };
    Some(format!("{what}: `tailwater log repair` makes a new log of what can be read, and holes of the rest"))
}

/// Makes a new log of what can be read; without a daemon also of one that does not open.
///
/// # Errors
/// When it cannot be repaired.
pub(super) async fn repair(config: &Config, format: Format) -> Result<(), Failure> {
    let is_daemon = Holder::find_daemon(config).await?.is_some();
    let answer: RepairAnswer = if is_daemon {
        ask(config, Task::LogRepair).await?.0
    } else {
        let bar = bar::of_bytes("reading", 0);
        let told = bar.clone();
        let repaired = repair_unopened(&config.data_dir, move |done, total| {
            told.set_length(total);
            told.set_position(done);
        });
        let repaired = repaired.await;
        bar.finish_and_clear();
        repaired?
    };
    match format {
        Format::Json => output::json(&answer),
        Format::Csv => holes_sheet(&answer.holes).print(format),
        Format::Table => {
            if !answer.holes.is_empty() {
                holes_sheet(&answer.holes).print(format)?;
            }
            output::line(&repaired(&answer))
        }
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

fn holes_sheet(holes: &[HoleObject]) -> Sheet {
    let row = |it: &HoleObject| {
        vec![it.from.to_string(), it.to.to_string(), it.events.to_string(), it.cause.clone()]
    };
    Sheet {
        columns: ["from", "to", "events", "cause"].map(str::to_owned).to_vec(),
        rows: holes.iter().map(row).collect(),
    }
}

fn positions(holes: &[HoleObject]) -> u64 {
    holes.iter().map(|hole| hole.events).sum()
}

fn verified(answer: &VerifyAnswer) -> String {
    let holes = match positions(&answer.holes) {
        0 => String::new(),
        positions => format!(", {} positions in holes", count(positions)),
    };
    let unknown = match answer.unknown_events {
        0 => String::new(),
        events => format!(", {} of them written by a newer version", count(events)),
    };
    format!("{} events are good{unknown}{holes}, in {:.1} s", count(answer.events), answer.seconds)
}

fn repaired(answer: &RepairAnswer) -> String {
    let events = count(answer.events);
    let lost = match positions(&answer.holes) {
        0 => "nothing is missing".to_owned(),
        positions => format!("{} positions are holes now", count(positions)),
    };
    let unread = match answer.damaged_bytes {
        0 => String::new(),
        damaged => format!(" ({} could not be read)", bytes(damaged)),
    };
    format!("{events} events were saved, {lost}{unread}; the old files are in {}", answer.kept_in)
}

fn trimmed(answer: &TrimAnswer) -> String {
    if answer.segments == 0 && answer.held_back_at.is_none() {
        return format!(
            "nothing to trim: whole segments go, and the oldest one is wanted; the log begins at position {}",
            answer.first_position
        );
    }
    let (went, begins) = if answer.dry_run { ("would go", "begins") } else { ("are gone", "begins") };
    let dropped = match answer.dropped {
        0 => String::new(),
        events => format!(" ({} of them were in no database)", count(events)),
    };
    let held_back = match answer.held_back_at {
        Some(position) => format!("; the database has nothing from position {position} on, so that stays"),
        None => String::new(),
    };
    format!(
        "{} events in {} segments {went}{dropped}; the log {begins} at position {}{held_back}",
        count(answer.events),
        answer.segments,
        answer.first_position
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(from: u64, to: u64) -> Damage {
        Damage { from, to, bytes: 1_024, reason: "the checksum differs".to_owned() }
    }

    fn hole(from: u64, to: u64) -> HoleObject {
        HoleObject { from, to, events: to + 1 - from, cause: "damaged".to_owned() }
    }

    #[test]
    fn a_verification_in_words() {
        let answer = VerifyAnswer {
            events: 1_200,
            bytes: 9_000,
            unknown_events: 0,
            holes: Vec::new(),
            damaged: Vec::new(),
            wrong_blocks: 0,
            meta_error: None,
            seconds: 0.25,
        };
        assert_eq!(verified(&answer), "1,200 events are good, in 0.2 s");
        assert_eq!(ailment(&answer), None);
        let index = VerifyAnswer { wrong_blocks: 3, ..answer.clone() };
        assert!(
            ailment(&index).unwrap().starts_with("the index by time is wrong in 3 blocks: `tailwater log")
        );
        let answer = VerifyAnswer {
            unknown_events: 2,
            holes: vec![hole(20, 26)],
            damaged: vec![damage(3, 5), damage(9, 9)],
            ..answer
        };
        assert_eq!(
            verified(&answer),
            "1,200 events are good, 2 of them written by a newer version, 7 positions in holes, in 0.2 s"
        );
        assert!(ailment(&answer).unwrap().starts_with("4 positions cannot be read: "));
    }

    #[test]
    fn a_repair_in_words() {
        let answer = RepairAnswer {
            events: 1_000,
            holes: Vec::new(),
            damaged_bytes: 0,
            kept_in: "/data/log.damaged-1".to_owned(),
        };
        assert_eq!(
            repaired(&answer),
            "1,000 events were saved, nothing is missing; the old files are in /data/log.damaged-1"
        );
        let some = RepairAnswer { holes: vec![hole(3, 5)], damaged_bytes: 1_024, ..answer };
        assert!(repaired(&some).contains("3 positions are holes now (1.0 KiB could not be read)"));
    }

    #[test]
    fn a_trim_in_words() {
        let answer = TrimAnswer {
            dry_run: true,
            events: 2_000_000,
            dropped: 0,
            segments: 2,
            first_position: 1,
            held_back_at: None,
        };
        assert_eq!(trimmed(&answer), "2,000,000 events in 2 segments would go; the log begins at position 1");
        let held = TrimAnswer { dry_run: false, dropped: 7, held_back_at: Some(2_500_000), ..answer.clone() };
        assert!(trimmed(&held).contains("are gone (7 of them were in no database);"));
        assert!(trimmed(&held).ends_with("nothing from position 2500000 on, so that stays"));
        let nothing = TrimAnswer { events: 0, segments: 0, ..answer };
        assert!(trimmed(&nothing).starts_with("nothing to trim"));
    }
}
