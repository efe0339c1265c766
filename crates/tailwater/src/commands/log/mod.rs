//! `tailwater log`: looking at the log, copying it, bringing events in.

mod export;
mod import;
mod ndjson;
mod stat;
mod tail;
mod upkeep;

use crate::cli::LogCommand;
use crate::config::Config;
use crate::failure::Failure;

/// Does what is asked of the log.
///
/// # Errors
/// When there is no log, it cannot be read, or what was asked means nothing.
pub(crate) async fn log(config: &Config, command: &LogCommand) -> Result<(), Failure> {
    match command {
        LogCommand::Stat(args) => stat::stat(config, args).await,
        LogCommand::Tail(args) => tail::tail(config, args).await,
        LogCommand::Export(args) => export::export(config, args).await,
        LogCommand::Import(args) => import::import(config, args).await,
        LogCommand::Verify(args) => upkeep::verify(config, args.format).await,
        LogCommand::Repair(args) => upkeep::repair(config, args.format).await,
        LogCommand::Trim(args) => upkeep::trim(config, args).await,
        LogCommand::Adopt(args) => upkeep::adopt(config, args.format).await,
    }
}
