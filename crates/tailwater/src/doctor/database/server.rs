//! The server: whether it takes rows, keeps them, has sessions for us, and tells the same time.

use std::time::Duration;

use store::ServerReport;

use crate::doctor::{Finding, Sign};
use crate::output::count;

/// The oldest server that the statements of the projection work on.
const VERSION_NUMBER_LEAST: u64 = 150_000;
/// What is sent in one transaction may take this long on a busy server.
const STATEMENT_LIMIT_LEAST: Duration = Duration::from_secs(60);
/// Beside the lanes: the commands' sessions, and a migration's.
const SESSIONS_BESIDE: u64 = 3;
/// What TimescaleDB's manual wants beside its own workers and the parallel ones.
const WORKERS_BESIDE: u64 = 3;
/// A clock that differs by more is worth a word, and one that differs by much more is wrong.
const SKEW_NOTED: Duration = Duration::from_secs(1);
const SKEW_WARNED: Duration = Duration::from_secs(60);

const CHECK: &str = "database.server";

/// Judges it for so many backlog lanes.
pub(super) fn judge(server: &ServerReport, backlog_lanes: u32) -> Vec<Finding> {
    let mut findings = vec![role(server)];
    findings.extend(durability(server));
    findings.extend(deadlines(server));
    findings.push(sessions(server, u64::from(backlog_lanes) + 1 + SESSIONS_BESIDE));
    findings.extend(workers(server));
    findings.push(clock(server));
    findings
}

fn text<'a>(server: &'a ServerReport, setting: &str) -> &'a str {
    server.settings.get(setting).map_or("", String::as_str)
}

fn number(server: &ServerReport, setting: &str) -> Option<u64> {
    server.settings.get(setting)?.parse().ok()
}

/// Whether it is one that takes rows.
fn role(server: &ServerReport) -> Finding {
    let version = format!("PostgreSQL {}", text(server, "server_version"));
    if number(server, "server_version_num").is_some_and(|number| number < VERSION_NUMBER_LEAST) {
        return Finding::failure(CHECK, format!("{version} is too old"), "PostgreSQL 15 or newer is needed");
    }
    if server.is_standby {
        let advice = "name the primary in database.url; the projection waits until this one is promoted";
        return Finding::failure(CHECK, format!("{version} is a standby, which takes no rows"), advice);
    }
    if ["default_transaction_read_only", "transaction_read_only"]
        .iter()
        .any(|name| text(server, name) == "on")
    {
        let advice = "ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only";
        return Finding::failure(
            CHECK,
            format!("{version} takes no rows: transactions are read-only"),
            advice,
        );
    }
    Finding::ok(CHECK, format!("{version} takes rows"))
}

/// Settings under which a crash of the server takes more than it should.
fn durability(server: &ServerReport) -> Vec<Finding> {
    const CHECK: &str = "database.durability";
    let is = |setting: &str, value: &str| text(server, setting) == value;
    let mut findings = Vec::new();
    for (setting, value) in [("fsync", "off"), ("full_page_writes", "off"), ("zero_damaged_pages", "on")] {
        if is(setting, value) {
            findings.push(Finding::warning(
                CHECK,
                format!("{setting} is {value}: a crash of the server may leave damaged tables"),
                format!("ALTER SYSTEM RESET {setting}; a damaged database is filled again from the log, if that has all"),
            ));
        }
    }
    if is("synchronous_commit", "off") {
        findings.push(Finding::note(
            CHECK,
            "synchronous_commit is off: a crash of the server takes the last second, rows and progress alike",
            "nothing: it is projected again, and before the log lets go of anything the disk is waited for all the same",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            format!("synchronous_commit is {}", text(server, "synchronous_commit")),
        ));
    }
    findings
}

/// Deadlines of the server's that could end a batch, in milliseconds, 0 for none.
fn deadlines(server: &ServerReport) -> Vec<Finding> {
    const CHECK: &str = "database.deadlines";
    let set = |setting: &str| number(server, setting).filter(|millis| *millis > 0).map(Duration::from_millis);
    let mut findings = Vec::new();
    for setting in ["statement_timeout", "transaction_timeout"] {
        if let Some(limit) = set(setting).filter(|limit| *limit < STATEMENT_LIMIT_LEAST) {
            findings.push(Finding::warning(
                CHECK,
                format!(
                    "{setting} is {}: a batch that takes longer is never applied",
                    event::span::display(limit)
                ),
                format!("ALTER ROLE … SET {setting} = 0 for tailwater's user: it has deadlines of its own"),
            ));
        }
    }
    if let Some(limit) = set("idle_session_timeout") {
        findings.push(Finding::note(
            CHECK,
            format!("idle_session_timeout is {}: sessions that wait are ended", event::span::display(limit)),
            "nothing: they are opened again; ALTER ROLE … SET idle_session_timeout = 0 spares that",
        ));
    }
    if findings.is_empty() { vec![Finding::ok(CHECK, "none that could end a batch")] } else { findings }
}

fn sessions(server: &ServerReport, needed: u64) -> Finding {
    const CHECK: &str = "database.sessions";
    let of = |setting: &str| number(server, setting).unwrap_or_default();
    let reserved = of("superuser_reserved_connections") + of("reserved_connections");
    let max = of("max_connections");
    let free = max.saturating_sub(reserved).saturating_sub(server.sessions);
    let found = format!("{} of {} in use, {needed} needed at most", count(server.sessions), count(max));
    if let Some(bound) = server.sessions_max.filter(|bound| *bound < needed) {
        let advice = "ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT, or fewer database.backlog_lanes";
        return Finding::warning(
            CHECK,
            format!("{found}; the user or the database may have {bound}"),
            advice,
        );
    }
    if free < needed {
        return Finding::warning(CHECK, found, "raise max_connections, or set fewer database.backlog_lanes");
    }
    Finding::ok(CHECK, found)
}

/// TimescaleDB's workers are taken from the server's.
fn workers(server: &ServerReport) -> Option<Finding> {
    const CHECK: &str = "database.workers";
    let own = number(server, "timescaledb.max_background_workers")?;
    let all = number(server, "max_worker_processes")?;
    let parallel = number(server, "max_parallel_workers").unwrap_or_default();
    let found = format!("max_worker_processes is {all}, timescaledb.max_background_workers {own}");
    if all > own {
        return Some(Finding::ok(CHECK, found));
    }
    let wanted = own + parallel + WORKERS_BESIDE;
    let advice =
        format!("max_worker_processes = {wanted}, and restart the server: its jobs find no worker otherwise");
    Some(Finding::with(Sign::Warning, CHECK, found, advice))
}

fn clock(server: &ServerReport) -> Finding {
    const CHECK: &str = "clock.database";
    let skew = Duration::from_micros(server.clock_ahead_micros.unsigned_abs());
    // NOTE: the answer was on its way for a part of the round trip that nobody knows.
    let certain = skew.saturating_sub(server.round_trip / 2);
    let direction = if server.clock_ahead_micros < 0 { "behind" } else { "ahead of" };
    let found = format!("the database's clock is {:.3} s {direction} this machine's", skew.as_secs_f64());
    let advice =
        "have a time server hold both clocks: rows carry this machine's time, their queries the database's";
    match certain {
        _ if certain > SKEW_WARNED => Finding::warning(CHECK, found, advice),
        _ if certain > SKEW_NOTED => Finding::note(CHECK, found, advice),
        _ => Finding::ok(CHECK, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 13] = [
        ("default_transaction_read_only", "off"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("idle_session_timeout", "0"),
        ("max_connections", "100"),
        ("max_parallel_workers", "8"),
        ("max_worker_processes", "27"),
        ("server_version", "17.5"),
        ("server_version_num", "170005"),
        ("statement_timeout", "0"),
        ("superuser_reserved_connections", "3"),
        ("synchronous_commit", "on"),
        ("timescaledb.max_background_workers", "16"),
    ];

    fn server(changes: &[(&str, &str)]) -> ServerReport {
        let settings =
            GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ServerReport {
            settings: settings.collect(),
            is_standby: false,
            sessions: 10,
            sessions_max: None,
            clock_ahead_micros: 5_000,
            round_trip: Duration::from_millis(2),
        }
    }

    fn worst(server: &ServerReport) -> (Sign, String) {
        let findings = judge(server, 2);
        let rank = |finding: &Finding| match finding.sign {
            Sign::Ok => 0,
            Sign::Note => 1,
            Sign::Warning => 2,
            Sign::Failure => 3,
        };
        let worst = findings.iter().max_by_key(|finding| rank(finding)).unwrap();
        (worst.sign, format!("{findings:?}"))
    }

    #[test]
    fn a_good_server_is_all_ok() {
        assert_eq!(worst(&server(&[])).0, Sign::Ok, "{}", worst(&server(&[])).1);
    }

    #[test]
    fn each_setting_that_matters_is_judged() {
        let check = |name: &str, value: &str, sign: Sign| {
            let (found, text) = worst(&server(&[(name, value)]));
            assert_eq!(found, sign, "{name} = {value}: {text}");
        };
        check("fsync", "off", Sign::Warning);
        check("full_page_writes", "off", Sign::Warning);
        check("zero_damaged_pages", "on", Sign::Warning);
        check("synchronous_commit", "off", Sign::Note);
        check("synchronous_commit", "remote_apply", Sign::Ok);
        check("default_transaction_read_only", "on", Sign::Failure);
        check("server_version_num", "140011", Sign::Failure);
        check("statement_timeout", "5000", Sign::Warning);
        check("statement_timeout", "60000", Sign::Ok);
        check("transaction_timeout", "1000", Sign::Warning);
        check("idle_session_timeout", "30000", Sign::Note);
        check("max_connections", "18", Sign::Warning);
        check("max_connections", "19", Sign::Ok);
        check("max_worker_processes", "16", Sign::Warning);
    }

    #[test]
    fn a_standby_and_a_bounded_user_are_told() {
        assert_eq!(worst(&ServerReport { is_standby: true, ..server(&[]) }).0, Sign::Failure);
        for (sessions_max, sign) in [(5, Sign::Warning), (6, Sign::Ok)] {
            let bounded = ServerReport { sessions_max: Some(sessions_max), ..server(&[]) };
            assert_eq!(worst(&bounded).0, sign, "{sessions_max}");
        }
    }

    #[test]
    fn a_clock_may_differ_by_the_time_of_the_answer() {
        let check = |ahead_micros: i64, round_trip_millis: u64, sign: Sign| {
            let round_trip = Duration::from_millis(round_trip_millis);
            let told = clock(&ServerReport { clock_ahead_micros: ahead_micros, round_trip, ..server(&[]) });
            assert_eq!(told.sign, sign, "{told:?}");
        };
        check(0, 0, Sign::Ok);
        check(-1_000_000, 0, Sign::Ok);
        check(1_500_000, 1_000, Sign::Ok);
        check(-1_500_001, 1_000, Sign::Note);
        check(60_000_000, 0, Sign::Note);
        check(-60_000_001, 0, Sign::Warning);
        assert!(
            clock(&ServerReport { clock_ahead_micros: -2_000_000, ..server(&[]) }).found.contains("behind")
        );
    }
}
