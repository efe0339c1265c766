//! The clock of this machine, against what it has said before and against a time server. What the database's clock
//! says is judged in `database/`.

use std::time::{Duration, SystemTime};

use event::Time;
use eventlog::inspect::Marked;
use sampler::machine;

use super::log::Identity;
use super::{Finding, blocking};

/// 2026-01-01T00:00:00Z: this program is not older. A clock before it has not been set.
const NOT_BEFORE: Duration = Duration::from_secs(1_767_225_600);
/// A step back that is worth a word; less is a time server at work.
const STEP: Duration = Duration::from_secs(1);

/// Looks at it.
pub(super) async fn look(log: Identity) -> Vec<Finding> {
    let synchronised = blocking(machine::is_clock_synchronised).await;
    let written = match log.marked {
        Some(Marked::Durable { at, .. }) => Some(at),
        _ => None,
    };
    vec![time(SystemTime::now(), written), server(synchronised)]
}

/// NOTE: when the log was written last counts, and not the time of its newest event, which an import may have set.
fn time(now: SystemTime, written: Option<SystemTime>) -> Finding {
    const CHECK: &str = "clock.time";
    let found = Time::from(now).to_string();
    if now < SystemTime::UNIX_EPOCH + NOT_BEFORE {
        let found = format!("{found}: this program is younger than that");
        return Finding::failure(CHECK, found, "set the clock: every event gets its time from it");
    }
    let back = written.and_then(|written| written.duration_since(now).ok()).filter(|back| *back > STEP);
    match back {
        None => Finding::ok(CHECK, found),
        Some(back) => Finding::warning(
            CHECK,
            format!("{found}: the log was written {} s later than that", back.as_secs()),
            "the clock was set back: see that it is right now; samples of those seconds stand twice in time",
        ),
    }
}

fn server(synchronised: Option<bool>) -> Finding {
    const CHECK: &str = "clock.synchronised";
    match synchronised {
        Some(true) => Finding::ok(CHECK, "by a time server"),
        Some(false) => Finding::warning(
            CHECK,
            "no time server holds it",
            "timedatectl set-ntp true, or run chrony: series of several machines drift apart otherwise",
        ),
        None => Finding::note(
            CHECK,
            "not known: timedatectl does not tell",
            "nothing in a container, whose machine keeps the clock; elsewhere ask chronyc or ntpq",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sign;
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let check = |now: u64, written: Option<u64>, sign: Sign| {
            assert_eq!(time(at(now), written.map(at)).sign, sign, "{now} {written:?}");
        };
        let new_year = NOT_BEFORE.as_secs();
        check(0, None, Sign::Failure);
        check(new_year - 1, None, Sign::Failure);
        check(new_year, None, Sign::Ok);
        check(new_year, Some(new_year - 50), Sign::Ok);
        check(new_year, Some(new_year + 1), Sign::Ok);
        check(new_year, Some(new_year + 2), Sign::Warning);
        let told = time(at(new_year), Some(at(new_year + 90)));
        assert!(
            told.found.contains("2026-01-01T00:00:00.000000Z") && told.found.contains("90 s later"),
            "{told:?}"
        );
    }

    #[test]
    fn who_holds_the_clock() {
        for (synchronised, sign) in [(Some(true), Sign::Ok), (Some(false), Sign::Warning), (None, Sign::Note)]
        {
            assert_eq!(server(synchronised).sign, sign);
        }
    }
}
