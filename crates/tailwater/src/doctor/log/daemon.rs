//! The running daemon: whether it answers, which version it is, and how it is doing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{lost, replaced_program};
use crate::access::understood;
use crate::control::Task;
use crate::control::client::Client;
use crate::doctor::Finding;
use crate::failure::Failure;
use crate::output::{bytes, count, counted};
use crate::service::{LogStatAnswer, ProjectionObject, StatusAnswer};

/// How long it may take to answer a question; three are asked.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

const RESTART: &str = "restart it: after an upgrade the old program runs on until then";

/// Who is behind the socket.
#[derive(Debug)]
pub(super) enum Daemon {
    /// Nobody.
    Nobody,
    /// The socket is there and may not be used.
    Unusable(String),
    /// It takes the question and does not answer.
    Silent,
    /// Its answer is none of ours: it is of another version.
    Strange(String),
    /// It answers.
    Answers(Box<Told>),
}

/// What it told.
#[derive(Debug)]
pub(super) struct Told {
    version: String,
    status: StatusAnswer,
    log: LogStatAnswer,
}

/// Asks it.
pub(super) async fn ask(data_dir: &Path) -> Daemon {
    let told = async {
        Ok(Told {
            version: answer(data_dir, Task::Version).await?,
            status: answer(data_dir, Task::Status).await?,
            log: answer(data_dir, Task::LogStat).await?,
        })
    };
    told.await.map_or_else(|refused| refused, |told| Daemon::Answers(Box::new(told)))
}

async fn answer<T: DeserializeOwned>(data_dir: &Path, task: Task) -> Result<T, Daemon> {
    let client = match Client::connect(data_dir).await {
        Ok(Some(client)) => client,
        Ok(None) => return Err(Daemon::Nobody),
        Err(failure) => return Err(Daemon::Unusable(failure.message)),
    };
    let asked = tokio::time::timeout(ANSWER_LIMIT, client.ask(task, &[], |_| Ok(())));
    let strange = |failure: Failure| Daemon::Strange(failure.message);
    let value = asked.await.map_err(|_| Daemon::Silent)?.map_err(strange)?;
    understood(value).map_err(strange)
}

/// What it told about itself and its log, or why it told nothing.
pub(super) fn judge(daemon: &Daemon, holder: Option<&str>, max: u64) -> Vec<Finding> {
    const CHECK: &str = "daemon";
    match daemon {
        Daemon::Nobody => Vec::new(),
        Daemon::Unusable(why) => {
            vec![Finding::failure(CHECK, why, "run this as the user that runs the daemon")]
        }
        Daemon::Silent => {
            let found = format!("it is there and did not answer within {} s", ANSWER_LIMIT.as_secs());
            let advice = "see whether it is stopped or stuck (`ps -o pid,stat,wchan,cmd -C tailwater`), and restart it";
            vec![Finding::failure(CHECK, found, advice)]
        }
        Daemon::Strange(why) => vec![Finding::warning(CHECK, why, RESTART)],
        Daemon::Answers(told) => {
            let mut findings = vec![version(&told.version)];
            findings.extend(holder.and_then(replaced));
            findings.extend(doing(&told.status));
            findings.push(log(&told.log, max));
            findings.extend(lost(&told.log.holes));
            findings
        }
    }
}

fn version(theirs: &str) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    if theirs == ours {
        return Finding::ok("daemon", format!("it answers, and is version {theirs} like this command"));
    }
    Finding::warning("daemon", format!("it is version {theirs}, this command {ours}"), RESTART)
}

fn replaced(holder: &str) -> Option<Finding> {
    let old = replaced_program(holder, |pid| fs::read_link(format!("/proc/{pid}/exe")))?;
    Some(Finding::warning("daemon.program", format!("{old} was replaced since it was started"), RESTART))
}

fn doing(status: &StatusAnswer) -> Vec<Finding> {
    let mut findings = vec![recording(&status.recording.state, status.recording.error.as_deref())];
    findings.push(projection(&status.projection));
    findings.extend(status.prices.warning.clone().map(|warning| {
        Finding::warning(
            "daemon.prices",
            warning,
            "mend the file if it needs that, and start the daemon again",
        )
    }));
    findings.extend(status.samplers.iter().filter_map(sampler));
    findings
}

fn recording(state: &str, error: Option<&str>) -> Finding {
    const CHECK: &str = "recording";
    let Some(error) = error else { return Finding::ok(CHECK, "the log takes events") };
    let advice = match state {
        "full" => {
            "raise log.max_bytes, bring the database back, or let go of old events: `tailwater log trim`"
        }
        _ => "mend what the error names (a full disk, a broken one): recording goes on by itself then",
    };
    Finding::failure(CHECK, error, advice)
}

fn projection(it: &ProjectionObject) -> Finding {
    const CHECK: &str = "projection";
    let error = it.error.as_deref().unwrap_or("the database was not reached yet");
    match it.state.as_str() {
        "halted" => Finding::failure(
            CHECK,
            format!("halted: {error}"),
            "mend what it names; docs/operations.md tells what each halt means. Recording goes on",
        ),
        "waiting" => Finding::warning(
            CHECK,
            format!("waiting: {error}"),
            "mend what it names, if it names anything; recording goes on, and projecting by itself when the database does",
        ),
        state => {
            let lag = it.lag_events.map(|lag| format!(", {} behind", counted(lag, "event")));
            Finding::ok(CHECK, format!("{state}{}", lag.unwrap_or_default()))
        }
    }
}

fn sampler(sampler: &Value) -> Option<Finding> {
    let text = |field: &str| sampler.get(field).and_then(Value::as_str).unwrap_or_default();
    let found = format!("{} is failing: {}", text("name"), text("error"));
    let advice = "see the checks of its source; what it cannot measure is null in its events until then";
    (text("state") == "failing").then(|| Finding::warning("sampler", found, advice))
}

fn log(stat: &LogStatAnswer, max: u64) -> Finding {
    let log = &stat.log;
    let found = format!(
        "{} of {}, {}, next position {}, durable to {}, {} of at most {}",
        log.id,
        log.host,
        counted(stat.events, "event"),
        count(log.next_position),
        count(log.durable_position),
        bytes(log.bytes),
        bytes(max)
    );
    Finding::ok("log", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Sign;

    fn signs(daemon: &Daemon) -> Vec<Sign> {
        judge(daemon, None, 1).iter().map(|finding| finding.sign).collect()
    }

    #[test]
    fn a_daemon_that_tells_nothing_is_told() {
        assert_eq!(signs(&Daemon::Nobody), []);
        assert_eq!(signs(&Daemon::Silent), [Sign::Failure]);
        assert_eq!(signs(&Daemon::Unusable("no".to_owned())), [Sign::Failure]);
        assert_eq!(signs(&Daemon::Strange("what".to_owned())), [Sign::Warning]);
        assert_eq!(version("0.0.1").sign, Sign::Warning);
        assert_eq!(version(env!("CARGO_PKG_VERSION")).sign, Sign::Ok);
    }

    #[test]
    fn what_ails_it_is_told() {
        let check = |state: &str, sign: Sign| {
            let it = ProjectionObject { state: state.to_owned(), ..ProjectionObject::default() };
            assert_eq!(projection(&it).sign, sign, "{state}");
        };
        for (state, sign) in [
            ("disabled", Sign::Ok),
            ("live", Sign::Ok),
            ("catching_up", Sign::Ok),
            ("waiting", Sign::Warning),
            ("halted", Sign::Failure),
        ] {
            check(state, sign);
        }
        assert_eq!(recording("ok", None).sign, Sign::Ok);
        assert!(recording("full", Some("x")).advice.unwrap().contains("log.max_bytes"));
        assert!(recording("failed", Some("x")).advice.unwrap().contains("goes on by itself"));
        let failing = serde_json::json!({ "name": "host", "state": "failing", "error": "no /proc" });
        assert_eq!(sampler(&failing).unwrap().found, "host is failing: no /proc");
        assert_eq!(sampler(&serde_json::json!({ "name": "host", "state": "ok" })), None);
    }
}
