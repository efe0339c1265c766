//! The database: reached how, what it is, what it has of ours, and which other logs it knows.

mod logs;
mod server;

use std::sync::Arc;

use event::Position;
use eventlog::inspect::{self, Marked};
use projector::TargetError;
use store::{
    DatabaseReport, DatabaseUrl, Distance, Link, Migrate, PricesSeen, SchemaReport, SslMode, Tables,
    Transport,
};

use super::log::Identity;
use super::paths::listed;
use super::{Finding, Subject, blocking};
use crate::failure::chain;
use crate::output::bytes;

/// Looks at it, if there is one.
pub(super) async fn look(subject: Arc<Subject>, log: Identity) -> Vec<Finding> {
    let Some(url) = &subject.config.database else { return vec![none_set()] };
    let own = log.info();
    let mut hosts = Vec::from_iter(own.map(|info| info.host.clone()));
    hosts.extend(subject.host.iter().filter(|host| own.is_none_or(|info| info.host != **host)).cloned());
    match store::examine(url, own.map(|info| info.log_id), &hosts).await {
        Ok(report) => {
            let mut findings = judge(&subject, url, &report, durable(&subject).await);
            if matches!(report.schema, Ok(SchemaReport::Current)) {
                findings.push(prices(&store::prices_seen(url, PRICES_DAYS).await));
            }
            findings
        }
        Err(error) => vec![Finding::failure(
            "database",
            chain(&error),
            "see that it runs and lets this user in, and that database.url is right; recording goes on without it",
        )],
    }
}

/// How many days of calls are looked at for models without a price.
const PRICES_DAYS: i32 = 1;

fn prices(seen: &Result<PricesSeen, TargetError>) -> Finding {
    const CHECK: &str = "database.prices";
    match seen {
        Err(error) => unknown(CHECK, error),
        Ok(PricesSeen { rows, unpriced }) if unpriced.is_empty() => {
            Finding::ok(CHECK, format!("{rows} rows; every call of the last day has a cost"))
        }
        Ok(PricesSeen { rows, unpriced }) => {
            let models: Vec<String> =
                unpriced.iter().map(|(model, calls)| format!("{model:?} ({calls} calls)")).collect();
            Finding::note(
                CHECK,
                format!("{rows} rows; no price for {} of the last day", models.join(", ")),
                "add them to prices.toml in the data directory (docs/prices.md), or leave their cost unknown",
            )
        }
    }
}

fn none_set() -> Finding {
    let advice = "nothing, if that is meant; else database.url, TAILWATER_DATABASE_URL or --database-url";
    Finding::note(
        "database",
        "none is set for this command: nothing about one was checked; without any, events stay in the log",
        advice,
    )
}

/// How far the log is durable now: after the database was asked, which therefore cannot have more.
async fn durable(subject: &Subject) -> Option<Position> {
    let dir = subject.existing_data_dir().await?;
    match blocking(move || inspect::marked(&dir).ok()).await {
        Some(Marked::Durable { position, .. }) => Some(position),
        _ => None,
    }
}

fn judge(
    subject: &Subject,
    url: &DatabaseUrl,
    report: &DatabaseReport,
    durable: Option<Position>,
) -> Vec<Finding> {
    let mut findings = vec![reached(url, report)];
    findings.extend(tls(report.transport, report.distance, url.ssl_mode()));
    findings.push(match &report.edition {
        Ok(edition) => Finding::ok("database.edition", edition.to_string()),
        Err(error) => unknown("database.edition", error),
    });
    findings.extend(part("database.server", &report.server, |it| {
        server::judge(it, subject.config.backlog.lanes)
    }));
    findings.extend(part("database.schema", &report.schema, |it| vec![schema(it, subject.config.migrate)]));
    findings.extend(part("database.tables", &report.tables, tables));
    if matches!(report.schema, Ok(SchemaReport::Current | SchemaReport::Behind(_))) {
        findings.extend(part("database.progress", &report.log, |it| logs::progress(it.as_ref(), durable)));
        let first_seen = report.log.as_ref().ok().and_then(Option::as_ref).map(|log| log.first_seen);
        findings.extend(part("host.clash", &report.namesakes, |it| logs::namesakes(it, first_seen)));
    }
    findings
}

/// The findings of a part, or that it is not known.
fn part<T>(
    check: &'static str,
    part: &Result<T, TargetError>,
    judge: impl FnOnce(&T) -> Vec<Finding>,
) -> Vec<Finding> {
    part.as_ref().map_or_else(|error| vec![unknown(check, error)], judge)
}

fn unknown(check: &'static str, error: &TargetError) -> Finding {
    Finding::warning(check, format!("not known: {}", chain(error)), "mend what it names, then run this again")
}

fn reached(url: &DatabaseUrl, report: &DatabaseReport) -> Finding {
    let way = match report.link {
        Link::Direct => "directly",
        Link::Pooled => "through a pooler",
    };
    let millis = report.connected_in.as_secs_f64() * 1e3;
    Finding::ok("database", format!("{url}: reached {way} within {millis:.0} ms"))
}

fn tls(transport: Transport, distance: Distance, mode: SslMode) -> Option<Finding> {
    const CHECK: &str = "database.tls";
    Some(match (transport, distance) {
        (Transport::Socket, _) => Finding::ok(CHECK, "a unix socket needs none"),
        (Transport::Plain, Distance::SameMachine) => {
            Finding::ok(CHECK, "none, and the bytes stay on this machine")
        }
        (Transport::Plain, Distance::Network) => Finding::warning(
            CHECK,
            "none: whoever is on the way can read the password's exchange and every event, and change them",
            "sslmode=verify-full in database.url, where the server has a certificate",
        ),
        (Transport::Tls, Distance::Network) if !checks_server(mode) => Finding::note(
            CHECK,
            format!("TLS, and nobody checks with whom (sslmode={mode})"),
            "sslmode=verify-full, with sslrootcert where the server's authority is a private one",
        ),
        (Transport::Tls, _) => Finding::ok(CHECK, format!("TLS, sslmode={mode}")),
    })
}

const fn checks_server(mode: SslMode) -> bool {
    matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull)
}

fn schema(schema: &SchemaReport, migrate: Migrate) -> Finding {
    const CHECK: &str = "database.schema";
    match (schema, migrate) {
        (SchemaReport::Current, _) => Finding::ok(CHECK, "complete"),
        (SchemaReport::Absent, Migrate::Auto) => Finding::note(
            CHECK,
            "no tables of tailwater's yet",
            "nothing: `tailwater run` and `project` make them",
        ),
        (SchemaReport::Absent, Migrate::Never) => Finding::failure(
            CHECK,
            "no tables of tailwater's yet, and database.migrate is false",
            "`tailwater migrate`, as a user who may make tables",
        ),
        (SchemaReport::Behind(pending), migrate) => {
            let names: Vec<String> = pending.iter().map(ToString::to_string).collect();
            let found = format!("behind by {}", listed(&names));
            match migrate {
                Migrate::Auto => {
                    Finding::note(CHECK, found, "nothing: `tailwater run` and `project` apply them")
                }
                Migrate::Never => {
                    let found = format!("{found}, and database.migrate is false");
                    Finding::failure(CHECK, found, "`tailwater migrate`, as a user who may change tables")
                }
            }
        }
        (SchemaReport::Foreign(error), _) => Finding::failure(
            CHECK,
            chain(error),
            "where they are the Go package's: `tailwater migrate --adopt-bc` keeps their rows; else another database",
        ),
        (SchemaReport::Refused(error), _) => Finding::failure(
            CHECK,
            chain(error),
            "use the version of tailwater that made it, or a newer one; or a fresh database, filled from the log",
        ),
    }
}

fn tables(tables: &Tables) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tables.bytes > 0 {
        let found = format!("{} in the schema {}", bytes(tables.bytes), tables.schema);
        findings.push(Finding::ok("database.tables", found));
    }
    findings.push(match tables.lacking.as_slice() {
        [] => Finding::ok("database.permissions", "everything that projecting needs"),
        lacking => Finding::failure(
            "database.permissions",
            format!("the user lacks {}", listed(lacking)),
            "GRANT it as the owner of the tables; projecting halts without",
        ),
    });
    findings
}

#[cfg(test)]
mod tests {
    use projector::ErrorKind;
    use store::Migration;

    use super::super::Sign;
    use super::*;

    fn refusal() -> TargetError {
        TargetError::new(ErrorKind::Fatal, "there is a table agent_metrics".to_owned())
    }

    #[test]
    fn tls_matters_where_others_can_listen() {
        let check = |transport: Transport, distance: Distance, mode: SslMode, sign: Sign| {
            assert_eq!(
                tls(transport, distance, mode).unwrap().sign,
                sign,
                "{transport:?} {distance:?} {mode}"
            );
        };
        check(Transport::Socket, Distance::SameMachine, SslMode::Prefer, Sign::Ok);
        check(Transport::Plain, Distance::SameMachine, SslMode::Prefer, Sign::Ok);
        check(Transport::Plain, Distance::Network, SslMode::Prefer, Sign::Warning);
        check(Transport::Tls, Distance::Network, SslMode::Prefer, Sign::Note);
        check(Transport::Tls, Distance::Network, SslMode::VerifyFull, Sign::Ok);
        check(Transport::Tls, Distance::SameMachine, SslMode::Require, Sign::Ok);
    }

    #[test]
    fn each_state_of_the_schema_has_its_way_out() {
        let pending = || vec![Migration { version: 1, description: "tables".to_owned() }];
        let check = |report: SchemaReport, migrate: Migrate, sign: Sign, words: &str| {
            let told = schema(&report, migrate);
            assert!(told.sign == sign && format!("{told:?}").contains(words), "{told:?}");
        };
        check(SchemaReport::Current, Migrate::Never, Sign::Ok, "complete");
        check(SchemaReport::Absent, Migrate::Auto, Sign::Note, "make them");
        check(SchemaReport::Absent, Migrate::Never, Sign::Failure, "tailwater migrate");
        check(SchemaReport::Behind(pending()), Migrate::Auto, Sign::Note, "behind by 0001 tables");
        check(SchemaReport::Behind(pending()), Migrate::Never, Sign::Failure, "tailwater migrate");
        check(SchemaReport::Foreign(refusal()), Migrate::Auto, Sign::Failure, "migrate --adopt-bc");
        check(SchemaReport::Refused(refusal()), Migrate::Auto, Sign::Failure, "a newer one");
    }

    #[test]
    fn what_the_user_may_not_do_is_named() {
        let of = |lacking: &[&str]| {
            let lacking = lacking.iter().map(|text| (*text).to_owned()).collect();
            tables(&Tables { schema: "public".to_owned(), bytes: 2_048, lacking })
        };
        assert_eq!(of(&[])[0].found, "2.0 KiB in the schema public");
        assert_eq!(of(&[])[1].sign, Sign::Ok);
        let told = of(&["INSERT on gaps", "TEMPORARY on the database"]).remove(1);
        assert!(
            told.sign == Sign::Failure && told.found.contains("INSERT on gaps, TEMPORARY on"),
            "{told:?}"
        );
    }

    #[test]
    fn a_part_that_failed_is_not_known() {
        let told = part::<Tables>("database.tables", &Err(refusal()), tables);
        assert!(told.len() == 1 && told[0].sign == Sign::Warning && told[0].found.contains("not known"));
        assert_eq!(none_set().sign, Sign::Note);
    }
}
