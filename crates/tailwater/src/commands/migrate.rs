//! `tailwater migrate`: the database's tables.

use crate::commands::project::no_database;
use crate::config::Config;
use crate::failure::{Failure, chain};
use crate::output;

/// Makes or upgrades the tables and says what was done.
///
/// # Errors
/// When no database is set, it is away, or it has tables that are not ours.
pub(crate) async fn migrate(config: &Config) -> Result<(), Failure> {
    let database = config.database.as_ref().ok_or_else(no_database)?;
    let outcome = store::migrate(database, store::Extension::Create)
        .await
        .map_err(|error| Failure::error(chain(&error)))?;
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
    output::line(&format!("{database}: {applied}{hypertables} ({})", outcome.edition))
}
