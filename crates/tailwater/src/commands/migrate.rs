//! `tailwater migrate`: the database's tables, and those that the Go package has left in it.

use event::HostName;
use projector::TargetError;
use store::{AdoptProgress, Adoptable, AdoptableTable, AdoptedTable, DatabaseUrl, Extension};

use crate::access::this_host;
use crate::cli::MigrateArgs;
use crate::commands::bar;
use crate::commands::project::no_database;
use crate::config::Config;
use crate::failure::{Failure, chain};
use crate::output;

/// What is said behind the tables when there is nothing of the Go package's.
const NOTHING: &str = "; nothing to adopt";

/// What is said when some of the Go package's rows are not copied yet.
const UNFINISHED: &str =
    "; not all rows of the Go package are copied yet: `tailwater migrate --adopt-bc` goes on";

/// Makes or upgrades the tables and says what was done.
///
/// # Errors
/// When no database is set, it is away, or it has tables that are not ours.
pub(crate) async fn migrate(config: &Config, args: &MigrateArgs) -> Result<(), Failure> {
    let database = config.database.as_ref().ok_or_else(no_database)?;
    if args.adopt_bc {
        return adopt(database, args).await;
    }
    // NOTE: whoever has begun an adoption may have forgotten it; what is wrong with it is not asked for here.
    let is_unfinished = store::adoptable(database).await.is_ok_and(|found| found.host.is_some());
    upgrade(database, if is_unfinished { UNFINISHED } else { "" }).await
}

/// Brings our tables up to date; `more` is said behind it.
async fn upgrade(database: &DatabaseUrl, more: &str) -> Result<(), Failure> {
    let outcome = store::migrate(database, Extension::Create).await.map_err(|error| told(&error))?;
    let prices = crate::prices::embedded_list();
    store::mirror_prices(database, &prices).await.map_err(|error| told(&error))?;
    let applied = match outcome.applied.as_slice() {
        [] => "the tables are up to date".to_owned(),
        applied => {
            let names: Vec<String> = applied.iter().map(ToString::to_string).collect();
            format!("applied {}", names.join(", "))
        }
    };
    let hypertables = match outcome.hypertables_made.as_slice() {
        [] => String::new(),
        made => format!("; made hypertables of {}", made.join(", ")),
    };
    output::line(&format!("{database}: {applied}{hypertables} ({}){more}", outcome.edition))
}

fn told(error: &TargetError) -> Failure {
    Failure::error(chain(error))
}

async fn adopt(database: &DatabaseUrl, args: &MigrateArgs) -> Result<(), Failure> {
    let found = store::adoptable(database).await.map_err(|error| told(&error))?;
    if found.tables.is_empty() {
        return match args.dry_run {
            true => output::line(&format!("{database}{NOTHING}").replacen(';', ":", 1)),
            false => upgrade(database, NOTHING).await,
        };
    }
    let host = host(&found, args)?;
    announce(database, &found, &host)?;
    if args.dry_run {
        let tables = store::preview_adoption(database).await.map_err(|error| told(&error))?;
        tables.iter().try_for_each(|table| output::line(&summary(table, "would be copied")))?;
        return output::line("nothing was changed");
    }
    let tables = copy(database, &host).await?;
    tables.iter().try_for_each(|table| output::line(&summary(table, "copied")))?;
    upgrade(database, "; every row of the Go package is still in its table <name>_bc").await
}

/// The host of the rows: of those that were copied before, or as it was asked for, or this machine.
///
/// # Errors
/// When another one was asked for than the one that was begun with.
fn host(found: &Adoptable, args: &MigrateArgs) -> Result<HostName, Failure> {
    match (&found.host, &args.host) {
        (Some(begun), Some(wanted)) if begun != wanted.as_str() => Err(Failure::error(format!(
            "this adoption was begun with --host {begun}, and some rows are copied so: leave --host {wanted} out"
        ))),
        (Some(begun), _) => {
            HostName::new(begun.as_str()).map_err(|error| Failure::error(format!("its host: {error}")))
        }
        (None, Some(wanted)) => Ok(wanted.clone()),
        (None, None) => this_host(),
    }
}

/// Says what is there and what will be done.
fn announce(database: &DatabaseUrl, found: &Adoptable, host: &HostName) -> Result<(), Failure> {
    output::line(&format!("{database} has tables of the Go package:"))?;
    for AdoptableTable { found_as, rows, span, .. } in &found.tables {
        let span = span.map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
        output::line(&format!("  {found_as}: {}{span}", output::counted(*rows, "row")))?;
    }
    let host = output::harmless(host.as_str());
    output::line(&match found.host {
        None => format!("each is kept as <name>_bc, and its rows are copied as those of host {host}"),
        Some(_) => format!("the copy of their rows, as those of host {host}, goes on"),
    })
}

async fn copy(database: &DatabaseUrl, host: &HostName) -> Result<Vec<AdoptedTable>, Failure> {
    let bar = bar::of_pieces();
    let show = |AdoptProgress { table, done, pieces }: AdoptProgress| {
        bar.set_message(table);
        bar.set_length(pieces);
        bar.set_position(done);
    };
    let adopted = store::adopt(database, host, Extension::Create, show).await;
    bar.finish_and_clear();
    adopted.map_err(|error| {
        let again = "the same command goes on where it stopped";
        Failure::error(format!("{}; {again}", chain(&error)))
    })
}

/// What became of the rows of one table, in one line.
fn summary(table: &AdoptedTable, did: &str) -> String {
    let AdoptedTable { name, rows, copied, present, duplicates, filled, refused } = table;
    let filled = match filled {
        0 => String::new(),
        filled => format!(" ({} with 0 for a count that was null)", output::count(*filled)),
    };
    let mut parts = vec![format!("{} {did}{filled}", output::count(*copied))];
    let mut part = |rows: u64, what: &str| {
        if rows > 0 {
            parts.push(format!("{} {what}", output::count(rows)));
        }
    };
    part(*present, "there already, from a log");
    part(*duplicates, "of a series and time that another row has");
    for (reason, rows) in refused {
        part(*rows, &format!("not, because {reason}"));
    }
    let accounted = copied + present + duplicates + refused.iter().map(|(_, rows)| rows).sum::<u64>();
    part(rows.abs_diff(accounted), "came or went meanwhile, and are in no number");
    format!("{name}: {}: {}", output::counted(*rows, "row"), parts.join(", "))
}
