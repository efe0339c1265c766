//! tailwater: a flight recorder for hosts that run AI coding agents.
//!
//! This crate puts the others together: command line, configuration, wiring, shutdown. What is recorded lives
//! in `event`, how it is kept in `eventlog`, how it gets into a database in `projector` and `store`.

mod access;
mod adapter;
mod backend;
mod chart;
mod cli;
mod commands;
pub mod config;
mod control;
mod doctor;
mod facade;
mod failure;
mod gate;
mod http;
mod log_reader;
mod metrics;
mod output;
mod plotly_js;
mod prices;
mod projection;
mod readers;
mod recorder;
mod render;
mod retention;
mod selection;
mod service;
mod signals;
mod sources;
mod top;
mod transcript_log;
mod watch;

use std::env::VarError;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::config::{CATALOGUE, Config, RawConfig};
use crate::failure::Failure;

pub use crate::adapter::LogSource;
pub use crate::facade::{Facade, FacadeError, FacadeErrorKind};
pub use crate::log_reader::LogReader;
pub use crate::recorder::{RecordError, RecordErrorKind, Recorded, Recorder};
pub use event::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Resources, State, SystemSample, Text, Time,
    TokenUsage,
};
pub use query::{
    AgentRow, AgentSummary, Answer, ChannelRow, GapRow, StateRow, SystemRow, TokenRow, Topic, WorkspaceStats,
};
pub use server::Source;
pub use store::read::PgPool;

/// Runs the program: reads the command line, does what it says, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    trace_to_stderr(&cli);
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::notice(&format!("tailwater: {failure}"));
            }
            ExitCode::from(failure.exit)
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), Failure> {
    // NOTE: what needs no configuration, or looks at a bad one.
    match &cli.command {
        Command::Config(command) => return commands::config::config(cli, command),
        Command::Doctor(args) => return commands::doctor::doctor(cli, args),
        Command::Completions(args) => return commands::manual::completions(*args),
        Command::Man(args) => return commands::manual::man(args),
        _ => {}
    }
    let config = Config::new(&gather(cli)?, variable)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let _limits = signals::refuse_large_files();
        match &cli.command {
            Command::Run(_) => commands::run::run(&config).await,
            Command::Record(args) => commands::record::record(&config, args).await,
            Command::Project(args) => commands::project::project(&config, args).await,
            Command::Replay(args) => commands::replay::replay(&config, args).await,
            Command::Query(command) => commands::query::query(&config, command).await,
            Command::Plot(command) => commands::plot::plot(&config, command).await,
            Command::Status(args) => commands::status::status(&config, args).await,
            Command::Stats(args) => commands::stats::stats(&config, args).await,
            Command::Top(args) => top::top(&config, args).await,
            Command::Log(command) => commands::log::log(&config, command).await,
            Command::Quarantine(command) => commands::quarantine::quarantine(&config, command).await,
            Command::Verify(args) => commands::verify::verify(&config, args).await,
            Command::Migrate(args) => commands::migrate::migrate(&config, args).await,
            Command::Config(_) | Command::Doctor(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
        }
    });
    // NOTE: a thread that waits for standard input would hold up an exit that a signal has asked for.
    runtime.shutdown_background();
    outcome
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("cannot start the runtime: {error}")))
}

fn gather(cli: &Cli) -> Result<RawConfig, Failure> {
    if let Some(problem) = strange_variables().next() {
        return Err(Failure::error(problem));
    }
    Ok(RawConfig::gather(cli.global.config.as_deref(), variable, cli.overrides())?)
}

/// Variables of ours that would be ignored.
fn strange_variables() -> impl Iterator<Item = String> {
    let names = CATALOGUE.iter().flat_map(|setting| setting.variables);
    let strange = names.filter(|name| matches!(std::env::var(name), Err(VarError::NotUnicode(_))));
    strange.map(|name| format!("the variable {name} is not UTF-8: it would have been ignored"))
}

/// Variables that look like settings and are none, in one line.
fn unknown_variables() -> Option<String> {
    config::unknown_variables(std::env::vars_os().map(|(name, _)| name))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Traces go to standard error. `TAILWATER_TRACE` chooses, as in `info,store=debug`; the daemon says what
/// changes, a command only what is wrong.
fn trace_to_stderr(cli: &Cli) {
    // NOTE: `project` tells of outages itself, with a daemon and without; of events that are gone, and of what cannot be
    // compared, the projector does.
    let own = match cli.command {
        Command::Run(_) => "info",
        Command::Project(_) => "warn,projector=error,projector::step=warn,projector::claim=warn",
        _ => "warn,projector=error",
    };
    // NOTE: what fjall and the database clients have to say reaches the operator through our own errors.
    let default = format!("{own},fjall=off,lsm_tree=off,sqlx=off,tokio_postgres=off");
    let filter = match variable("TAILWATER_TRACE").filter(|text| !text.is_empty()) {
        None => EnvFilter::new(default),
        Some(text) => EnvFilter::try_new(&text).unwrap_or_else(|error| {
            output::notice(&format!(
                "tailwater: TAILWATER_TRACE is not used, {text:?} is no filter: {error}"
            ));
            EnvFilter::new(default)
        }),
    };
    let is_plain = variable("NO_COLOR").is_some_and(|text| !text.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!is_plain && std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // IMPORTANT: a standard error that cannot be written (a full disk behind it) must not panic: it would
        // end whichever task has something to tell.
        .log_internal_errors(false)
        .init();
}
