//! How far this log is in the database, and other logs there whose host is called the same.
//!
//! The key of a row has the host's name, so two machines of one name mix their series, and of two samples of one instant
//! one is lost. A machine that begins a new log does not clash with its old one, which is projected no more.

use std::time::Duration;

use event::{Position, Time};
use store::{LogReport, Namesake};

use crate::doctor::{Finding, Sign};
use crate::output::{count, counted};

/// A log of which nothing was applied for so long is a predecessor.
const ACTIVE: Duration = Duration::from_secs(7 * 86_400);
/// A predecessor's last batch may come this long after the first look at its successor.
const OVERLAP: Duration = Duration::from_secs(60);

/// How far the log is.
pub(super) fn progress(log: Option<&LogReport>, durable: Option<Position>) -> Vec<Finding> {
    const CHECK: &str = "database.progress";
    let Some(log) = log else {
        let advice = "nothing: `tailwater run` or `tailwater project` fills it";
        return vec![Finding::note(CHECK, "the database has not seen this log yet", advice)];
    };
    let mut findings = vec![reached(log, durable)];
    let kept = counted(log.quarantined, "event");
    findings.push(match log.quarantined {
        0 => Finding::ok("database.quarantine", "no event of this log"),
        _ => Finding::warning(
            "database.quarantine",
            format!("{kept} that the database has refused"),
            "`tailwater quarantine list` tells why; mend that and `tailwater quarantine retry`",
        ),
    });
    findings
}

fn reached(log: &LogReport, durable: Option<Position>) -> Finding {
    const CHECK: &str = "database.progress";
    let applied = log.applied_at.map_or_else(String::new, |at| format!(", last at {at}"));
    let (Some(next), Some(durable)) = (log.live_next, durable) else {
        let advice = "`tailwater status` tells more while the daemon runs";
        return Finding::note(CHECK, format!("how far it is cannot be told{applied}"), advice);
    };
    if next > durable.next() {
        let found = format!("it has events up to position {}, the log only up to {durable}", next.before());
        let advice = "is this an old copy of the log? `tailwater log adopt` gives it an identity of its own; or use a fresh database";
        return Finding::failure(CHECK, found, advice);
    }
    let left = durable.next().since(next).saturating_add(log.backlog);
    if left == 0 {
        return Finding::ok(CHECK, format!("everything up to position {}{applied}", count(durable.0)));
    }
    Finding::note(
        CHECK,
        format!("{} of {} to come{applied}", counted(left, "position"), count(durable.0)),
        "`tailwater run` fills it; while it runs `tailwater status` tells how fast",
    )
}

/// Other logs of the same host.
pub(super) fn namesakes(namesakes: &[Namesake], first_seen: Option<Time>) -> Vec<Finding> {
    const CHECK: &str = "host.clash";
    if namesakes.is_empty() {
        return vec![Finding::ok(CHECK, "no other log of a host of this name")];
    }
    namesakes.iter().map(|namesake| clash(namesake, first_seen)).collect()
}

fn clash(namesake: &Namesake, first_seen: Option<Time>) -> Finding {
    const CHECK: &str = "host.clash";
    let Namesake { log_id, host, applied_at, .. } = namesake;
    let found = format!("log {log_id} is of a host {host} as well, applied last at {applied_at}");
    match danger(namesake, first_seen) {
        Sign::Note => Finding::note(CHECK, found, "nothing, if it was this machine's log before this one"),
        sign => Finding::with(
            sign,
            CHECK,
            format!("{found}: their series mix"),
            "give one of the machines another name (hostnamectl set-hostname NAME) and restart `tailwater run` there; \
             if one is a clone with a copied log, also `tailwater log adopt` on it",
        ),
    }
}

/// Both at work since this one is known: two machines. Only the other one before that: a predecessor. This one not known
/// yet: it may be either.
fn danger(namesake: &Namesake, first_seen: Option<Time>) -> Sign {
    let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    let silent = namesake.now.micros().saturating_sub(namesake.applied_at.micros());
    if silent > micros(ACTIVE) {
        return Sign::Note;
    }
    match first_seen {
        None => Sign::Warning,
        Some(seen) if namesake.applied_at.micros() > seen.micros().saturating_add(micros(OVERLAP)) => {
            Sign::Failure
        }
        Some(_) => Sign::Note,
    }
}

#[cfg(test)]
mod tests {
    use event::LogId;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn report(live_next: Option<u64>, backlog: u64, quarantined: u64) -> LogReport {
        let live_next = live_next.map(Position);
        LogReport { first_seen: at(0), live_next, backlog, applied_at: Some(at(5)), quarantined, now: at(6) }
    }

    #[test]
    fn how_far_it_is() {
        let check = |live_next: Option<u64>, backlog: u64, durable: Option<u64>, sign: Sign, words: &str| {
            let told = reached(&report(live_next, backlog, 0), durable.map(Position));
            assert!(told.sign == sign && told.found.contains(words), "{told:?}");
        };
        check(Some(43), 0, Some(42), Sign::Ok, "everything up to position 42");
        check(Some(1), 0, Some(0), Sign::Ok, "up to position 0");
        check(Some(40), 10, Some(42), Sign::Note, "13 positions of 42 to come");
        check(Some(44), 0, Some(42), Sign::Failure, "up to position 43, the log only up to 42");
        check(None, 0, Some(42), Sign::Note, "cannot be told");
        check(Some(1), 0, None, Sign::Note, "cannot be told");
        assert_eq!(progress(None, None)[0].sign, Sign::Note);
        let signs = |quarantined: u64| progress(Some(&report(Some(1), 0, quarantined)), None)[1].sign;
        assert_eq!((signs(0), signs(3)), (Sign::Ok, Sign::Warning));
    }

    #[test]
    fn two_machines_of_one_name_and_a_predecessor_are_told_apart() {
        let day = 86_400;
        let check = |applied_at: i64, now: i64, first_seen: Option<i64>, sign: Sign| {
            let namesake = Namesake {
                log_id: LogId::random(),
                host: "here".to_owned(),
                first_seen: at(0),
                applied_at: at(applied_at),
                now: at(now),
            };
            let told = clash(&namesake, first_seen.map(at));
            assert_eq!(told.sign, sign, "{applied_at} {now} {first_seen:?}");
            assert_eq!(told.advice.unwrap().contains("hostnamectl"), sign != Sign::Note);
        };
        check(10 * day, 10 * day, Some(9 * day), Sign::Failure);
        check(9 * day, 10 * day, Some(9 * day), Sign::Note);
        check(9 * day + 60, 10 * day, Some(9 * day), Sign::Note);
        check(9 * day + 61, 10 * day, Some(9 * day), Sign::Failure);
        check(2 * day, 10 * day, Some(day), Sign::Note);
        check(10 * day, 10 * day, None, Sign::Warning);
        check(2 * day, 10 * day, None, Sign::Note);
        assert_eq!(namesakes(&[], None)[0].sign, Sign::Ok);
    }
}
