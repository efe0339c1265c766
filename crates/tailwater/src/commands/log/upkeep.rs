//! `tailwater log verify`, `repair`, `trim` and `adopt`: keeping the log well.

use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{self, HELD_PATIENCE, HELD_PAUSE, Holder, Missing, OpenFailure};
use crate::cli::{Format, TrimArgs};
use crate::commands::bar;
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output::{self, Sheet, bytes, count, counted};
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
        (0, 0, Some(why)) => format!("what the log keeps beside its events cannot be read ({why})"),
        (0, blocks, _) => format!("the index by time is wrong in {}", counted(blocks, "block")),
        (positions, _, _) => format!("{} cannot be read", counted(positions, "position")),
    };
    Some(format!("{what}: `tailwater log repair` makes a new log of what can be read, and holes of the rest"))
}

/// Makes a new log of what can be read; without a daemon also of one that does not open.
///
/// # Errors
/// When it cannot be repaired.
pub(super) async fn repair(config: &Config, format: Format) -> Result<(), Failure> {
    access::refuse_missing(config)?;
    let answer = repair_by_holder(config).await?;
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

/// Has the daemon repair, or repairs; waits a little for a log that is held while no daemon answers.
async fn repair_by_holder(config: &Config) -> Result<RepairAnswer, Failure> {
    let patience = Instant::now() + HELD_PATIENCE;
    loop {
        if Holder::find_daemon(config).await?.is_some() {
            return ask(config, Task::LogRepair).await.map(|(answer, _)| answer);
        }
        match repair_alone(config).await {
            Err(OpenFailure::Held(_)) if Instant::now() < patience => tokio::time::sleep(HELD_PAUSE).await,
            repaired => return repaired.map_err(Failure::from),
        }
    }
}

/// A signal breaks it off: the log is as it was then.
async fn repair_alone(config: &Config) -> Result<RepairAnswer, OpenFailure> {
    let stop = CancellationToken::new();
    let _signals = AbortOnDropHandle::new(crate::signals::cancel_on_signal(stop.clone()));
    let bar = bar::of_parts();
    let told = bar.clone();
    let repaired = repair_unopened(&config.data_dir, move |done, total| {
        told.set_length(total);
        told.set_position(done);
        !stop.is_cancelled()
    });
    let repaired = repaired.await;
    bar.finish_and_clear();
    repaired
}

/// Lets go of old events, or tells which ones would go.
///
/// # Errors
/// When the place means nothing, or the log cannot be trimmed.
pub(super) async fn trim(config: &Config, args: &TrimArgs) -> Result<(), Failure> {
    let before = args.before.as_deref();
    let before = before.map(|text| Place::parse("before", text, crate::commands::now())).transpose()?;
    let task = Task::LogTrim { before, dry_run: args.dry_run };
    let (answer, json): (TrimAnswer, _) = ask(config, task).await?;
    match args.format.format {
        Format::Json => output::json(&json),
        Format::Csv => fields(&json).print(Format::Csv),
        Format::Table => output::line(&trimmed(&answer, before.is_some())),
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
        positions => format!(", {} in holes", counted(positions, "position")),
    };
    let unknown = match answer.unknown_events {
        0 => String::new(),
        events => format!(", {} of them written by a newer version", count(events)),
    };
    format!("{} good{unknown}{holes}, in {:.1} s", are(answer.events, "event"), answer.seconds)
}

fn repaired(answer: &RepairAnswer) -> String {
    let new = positions(&answer.holes);
    let Some(kept_in) = &answer.kept_in else {
        let lost = match new {
            0 => String::new(),
            new => format!("; its end, {}, was lost before and is a hole now", counted(new, "position")),
        };
        let good = are(answer.events, "event");
        return format!("nothing to repair: {good} good, and the log was left as it is{lost}");
    };
    let unread = bytes(answer.damaged_bytes);
    let holes = format!("{} {} now", are(new, "position"), if new == 1 { "a hole" } else { "holes" });
    let what = match (new, answer.damaged_bytes) {
        (0, 0) => "nothing is missing".to_owned(),
        (0, _) => format!("nothing is missing, though {unread} of the old files could not be read"),
        (_, 0) => holes,
        (_, _) => format!("{holes} ({unread} of the old files could not be read)"),
    };
    format!(
        "{} saved, {what}; the old files are in {kept_in}: remove them when you are content",
        counted(answer.events, "event")
    )
}

fn trimmed(answer: &TrimAnswer, is_before: bool) -> String {
    let begins = format!("the log begins at position {}", answer.first_position);
    let held_back = answer.held_back_at.map(|position| {
        format!(
            "the database of the last `tailwater run` has nothing from position {position} on, so that stays"
        )
    });
    let went = match (answer.segments, is_before) {
        (0, _) if held_back.is_some() => "nothing goes".to_owned(),
        (0, true) => {
            "nothing to trim: events go by whole segments, and the oldest one has events that stay".to_owned()
        }
        (0, false) => "nothing to trim: the log is within log.keep and log.max_bytes".to_owned(),
        (segments, _) => {
            let (events, segments) = (counted(answer.events, "event"), counted(segments, "segment"));
            let verb = match (answer.dry_run, answer.events) {
                (true, _) => "would go",
                (false, 1) => "is gone",
                (false, _) => "are gone",
            };
            let dropped = match answer.dropped {
                0 => String::new(),
                dropped => format!(" ({} of them in no database)", count(dropped)),
            };
            format!("{events} in {segments} {verb}{dropped}")
        }
    };
    [Some(went), Some(begins), held_back].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// "1 event is", "2 events are".
fn are(number: u64, what: &str) -> String {
    format!("{} {}", counted(number, what), if number == 1 { "is" } else { "are" })
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
        let beside = VerifyAnswer { meta_error: Some("no".to_owned()), ..answer.clone() };
        assert!(
            ailment(&beside)
                .unwrap()
                .starts_with("what the log keeps beside its events cannot be read (no): ")
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
        let check = |holes: Vec<HoleObject>, damaged_bytes: u64, kept_in: Option<&str>, says: &str| {
            let kept_in = kept_in.map(str::to_owned);
            let answer = RepairAnswer { events: 1_000, holes, damaged_bytes, kept_in };
            assert_eq!(repaired(&answer), says);
        };
        let old = "the old files are in /d/old: remove them when you are content";
        let saved = |what: &str| format!("1,000 events saved, {what}; {old}");
        check(vec![], 0, None, "nothing to repair: 1,000 events are good, and the log was left as it is");
        check(
            vec![hole(3, 5)],
            0,
            None,
            "nothing to repair: 1,000 events are good, and the log was left as it is; its end, 3 positions, was \
             lost before and is a hole now",
        );
        check(vec![], 0, Some("/d/old"), &saved("nothing is missing"));
        check(
            vec![],
            1_024,
            Some("/d/old"),
            &saved("nothing is missing, though 1.0 KiB of the old files could not be read"),
        );
        check(vec![hole(3, 3)], 0, Some("/d/old"), &saved("1 position is a hole now"));
        check(
            vec![hole(3, 5)],
            1_024,
            Some("/d/old"),
            &saved("3 positions are holes now (1.0 KiB of the old files could not be read)"),
        );
    }

    #[test]
    fn a_trim_in_words() {
        let nothing = TrimAnswer {
            dry_run: false,
            events: 0,
            dropped: 0,
            segments: 0,
            first_position: 1,
            held_back_at: None,
        };
        let held = "the database of the last `tailwater run` has nothing from position 7 on, so that stays";
        let check = |answer: TrimAnswer, is_before: bool, says: &str| {
            assert_eq!(trimmed(&answer, is_before), says);
        };
        check(
            nothing.clone(),
            false,
            "nothing to trim: the log is within log.keep and log.max_bytes; the log begins at position 1",
        );
        check(
            nothing.clone(),
            true,
            "nothing to trim: events go by whole segments, and the oldest one has events that stay; the log \
             begins at position 1",
        );
        let behind = TrimAnswer { held_back_at: Some(7), ..nothing.clone() };
        check(behind, true, &format!("nothing goes; the log begins at position 1; {held}"));
        let two = TrimAnswer { events: 2_000, segments: 2, ..nothing };
        let dry = TrimAnswer { dry_run: true, ..two.clone() };
        check(dry, false, "2,000 events in 2 segments would go; the log begins at position 1");
        let one = TrimAnswer { segments: 1, events: 1, dropped: 1, held_back_at: Some(7), ..two };
        check(
            one,
            false,
            &format!(
                "1 event in 1 segment is gone (1 of them in no database); the log begins at position 1; {held}"
            ),
        );
    }
}
