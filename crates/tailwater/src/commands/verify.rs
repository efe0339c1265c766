//! `tailwater verify`: whether the database has what the log has, and the reverse.

use serde_json::Value;
use store::DatabaseUrl;

use crate::access::{self, Missing};
use crate::cli::{Format, VerifyArgs};
use crate::commands::bar;
use crate::config::Config;
use crate::control::Task;
use crate::control::output::Told;
use crate::failure::Failure;
use crate::output::{self, Sheet, count, counted};
use crate::service::{DatabaseVerifyAnswer, ExtraRowObject, HourObject, Mend, Mended};

/// How many hours, and how many extra rows, a table shows.
const SHOWN_MAX: usize = 40;

/// Verifies the database, and mends it where that is wanted.
///
/// # Errors
/// Exit code 1 when something is missing or extra; 2 when the log or the database cannot be read.
pub(crate) async fn verify(config: &Config, args: &VerifyArgs) -> Result<(), Failure> {
    let database_url = config.database.as_ref().map(DatabaseUrl::secret);
    let mend = match (args.mend, args.dry_run) {
        (false, _) => Mend::Never,
        (true, true) => Mend::DryRun,
        (true, false) => Mend::Run,
    };
    // NOTE: without a URL here the daemon may have one of its own, and knows for how long that keeps events.
    let retention = config.database.as_ref().and_then(|database| config.retention_of(database));
    let answer = ask(config, Task::VerifyDatabase { database_url, mend, retention }).await?;
    let it: DatabaseVerifyAnswer = access::understood(answer.clone())?;
    match args.format.format {
        Format::Json => output::json(&answer)?,
        Format::Csv => hours_sheet(&it.hours).print(Format::Csv)?,
        Format::Table => print(&it)?,
    }
    ailment(&it).map_or(Ok(()), |ailment| Err(Failure::unhealthy(ailment)))
}

async fn ask(config: &Config, task: Task) -> Result<Value, Failure> {
    let bar = bar::of_parts();
    let tell = |told: Told| match told {
        Told::Progress(progress) => {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            Ok(())
        }
        told => bar.suspend(|| access::print(told)),
    };
    let answer = access::ask(config, task, Vec::new(), Missing::Refuse, tell).await;
    bar.finish_and_clear();
    answer
}

fn print(it: &DatabaseVerifyAnswer) -> Result<(), Failure> {
    if !it.hours.is_empty() {
        hours_sheet(it.hours.get(..SHOWN_MAX).unwrap_or(&it.hours)).print(Format::Table)?;
        let rest = it.hours.get(SHOWN_MAX..).unwrap_or_default();
        let sum = |what: fn(&HourObject) -> u64| count(rest.iter().map(what).sum());
        if !rest.is_empty() {
            let hours = counted(rest.len() as u64, "line");
            let (missing, extra) = (sum(|hour| hour.missing), sum(|hour| hour.extra));
            output::line(&format!("and {hours} more: {missing} missing, {extra} extra"))?;
        }
    }
    if !it.extra_rows.is_empty() {
        let shown = it.extra_rows.get(..SHOWN_MAX).unwrap_or(&it.extra_rows);
        output::line(&format!("{} of {} extra rows:", count(shown.len() as u64), count(it.extra)))?;
        extra_sheet(shown).print(Format::Table)?;
    }
    output::line(&verdict(it))
}

/// The last line, and the only one where all is well.
fn verdict(it: &DatabaseVerifyAnswer) -> String {
    let unavailable = match it.unavailable {
        0 => String::new(),
        rows => format!("; {} of events that the log no longer has", counted(rows, "row")),
    };
    let parts = format!(
        "({} rows of their own, {} present, {} quarantined, {} pending, {} expired{unavailable})",
        count(it.rows),
        count(it.present),
        count(it.quarantined),
        count(it.pending),
        count(it.expired),
    );
    let events = counted(it.events, "event");
    let (log, database) = (&it.log_id, &it.database);
    let mended = it.mended.as_ref().filter(|mended| !mended.dry_run);
    match mended {
        Some(mended) if mended.replayed > 0 => format!(
            "{}; before that, of {events} of log {log} in {database}: {} missing, {} extra {parts}",
            mended_text(mended),
            count(it.missing),
            count(it.extra),
        ),
        _ if it.missing == 0 && it.extra == 0 => {
            let elsewhere = it.quarantined + it.pending + it.expired;
            match it.events.saturating_sub(elsewhere) {
                there if elsewhere > 0 => format!(
                    "verified: {} of {events} of log {log} are in {database}, and the others are accounted for {parts}",
                    count(there),
                ),
                _ => format!("verified: {events} of log {log} are in {database} {parts}"),
            }
        }
        _ => format!(
            "of {events} of log {log} in {database}: {} missing, {} extra {parts}",
            count(it.missing),
            count(it.extra)
        ),
    }
}

fn mended_text(mended: &Mended) -> String {
    let Mended { replayed, inserted, present, quarantined, .. } = *mended;
    format!(
        "mended: {} replayed ({} new in the database, {} there already, {} in quarantine)",
        counted(replayed, "event"),
        count(inserted),
        count(present),
        count(quarantined),
    )
}

/// What is wrong still, and what to do.
fn ailment(it: &DatabaseVerifyAnswer) -> Option<String> {
    let missing = match &it.mended {
        Some(mended) if !mended.dry_run => mended.still_missing,
        _ => it.missing,
    };
    let missing = match (&it.mended, missing) {
        (_, 0) => None,
        (Some(mended), missing) if !mended.dry_run => Some(format!(
            "{} still missing after they were replayed: something deletes or changes rows; verify again",
            are(missing, "event")
        )),
        (Some(_), missing) => {
            Some(format!("{} missing and would be replayed: leave --dry-run out", are(missing, "event")))
        }
        (None, missing) => {
            Some(format!("{} missing: `tailwater verify --mend` replays them", are(missing, "event")))
        }
    };
    let extra = (it.extra > 0).then(|| extra_text(it));
    let ailments: Vec<String> = missing.into_iter().chain(extra).collect();
    (!ailments.is_empty()).then(|| ailments.join("; "))
}

/// NOTE: with the time, because another row may have the same position and be right.
fn extra_text(it: &DatabaseVerifyAnswer) -> String {
    let example = it.extra_rows.first().map_or_else(String::new, |row| {
        format!(
            ", for example DELETE FROM {} WHERE log_no = {} AND position = {} AND time = '{}'",
            row.table, it.log_no, row.position, row.time
        )
    });
    let before =
        if it.mended.as_ref().is_some_and(|mended| mended.replayed > 0) { " before the mend" } else { "" };
    format!(
        "{} extra{before}: they name this log, and no event of it explains them (written or changed by hand, or by a copy of this log); \
         nothing is deleted here: look at them, delete what is wrong{example}, and verify again",
        are(it.extra, "row")
    )
}

/// "1 event is", "2 events are".
fn are(number: u64, what: &str) -> String {
    format!("{} {}", counted(number, what), if number == 1 { "is" } else { "are" })
}

fn hours_sheet(hours: &[HourObject]) -> Sheet {
    let row = |it: &HourObject| {
        let time = it.time.clone().unwrap_or_default();
        let numbers = [it.log, it.database, it.missing, it.extra].map(|number| number.to_string());
        [time, it.kind.clone()].into_iter().chain(numbers).collect()
    };
    Sheet {
        columns: ["time", "kind", "log", "database", "missing", "extra"].map(str::to_owned).to_vec(),
        rows: hours.iter().map(row).collect(),
    }
}

fn extra_sheet(rows: &[ExtraRowObject]) -> Sheet {
    let row = |it: &ExtraRowObject| vec![it.table.clone(), it.position.to_string(), it.time.clone()];
    Sheet {
        columns: ["table", "position", "time"].map(str::to_owned).to_vec(),
        rows: rows.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> DatabaseVerifyAnswer {
        DatabaseVerifyAnswer {
            log_id: "L".to_owned(),
            database: "D".to_owned(),
            log_no: 3,
            events: 10_000,
            rows: 9_900,
            present: 90,
            quarantined: 10,
            ..DatabaseVerifyAnswer::default()
        }
    }

    #[test]
    fn what_is_clean_is_one_line() {
        let it = clean();
        assert_eq!(
            verdict(&it),
            "verified: 9,990 of 10,000 events of log L are in D, and the others are accounted for (9,900 rows of their own, 90 present, 10 quarantined, 0 pending, \
             0 expired)"
        );
        assert_eq!(ailment(&it), None);
        let all = verdict(&DatabaseVerifyAnswer { quarantined: 0, rows: 9_910, ..it.clone() });
        assert!(all.starts_with("verified: 10,000 events of log L are in D (9,910 rows"), "{all}");
        let trimmed = verdict(&DatabaseVerifyAnswer { unavailable: 1, ..it });
        assert!(trimmed.ends_with("0 expired; 1 row of events that the log no longer has)"), "{trimmed}");
    }

    #[test]
    fn what_is_wrong_says_what_to_do() {
        let missing = DatabaseVerifyAnswer { missing: 2, ..clean() };
        assert_eq!(
            ailment(&missing).unwrap(),
            "2 events are missing: `tailwater verify --mend` replays them"
        );
        let mended = |dry_run, still_missing| {
            Some(Mended { dry_run, replayed: 2, still_missing, ..Mended::default() })
        };
        let dry = DatabaseVerifyAnswer { mended: mended(true, 2), ..missing.clone() };
        assert!(ailment(&dry).unwrap().ends_with("leave --dry-run out"));
        let done = DatabaseVerifyAnswer { mended: mended(false, 0), ..missing.clone() };
        assert_eq!(ailment(&done), None);
        assert!(verdict(&done).starts_with("mended: 2 events replayed"), "{}", verdict(&done));
        let not_done = DatabaseVerifyAnswer { mended: mended(false, 1), ..missing };
        assert!(ailment(&not_done).unwrap().starts_with("1 event is still missing"));
        let row = ExtraRowObject { table: "gaps".to_owned(), position: -1, time: "T".to_owned() };
        let extra = DatabaseVerifyAnswer { extra: 1, extra_rows: vec![row], ..clean() };
        let told = ailment(&extra).unwrap();
        assert!(
            told.contains("DELETE FROM gaps WHERE log_no = 3 AND position = -1 AND time = 'T'"),
            "{told}"
        );
    }
}
