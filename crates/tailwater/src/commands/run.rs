//! `tailwater run`: samples, records, projects, until it is told to stop.
//!
//! The end is a protocol with deadlines: samplers stop ([`SAMPLERS_DEADLINE`]); clients' work and the
//! transaction under way end ([`WORK_DEADLINE`]); the channel drains, the log syncs and closes; exit. A
//! second signal ends the process at once: the log then recovers at the next start as after a kill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::{EventLog, Trims};
use sampler::{Jitter, PaceSettings, PacedSampler, Registry, Sampler, SystemClock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{HELD_PATIENCE, HELD_PAUSE, OpenFailure, open_log, this_host};
use crate::config::Config;
use crate::control::client::Client;
use crate::control::server;
use crate::failure::{Failure, chain};
use crate::output;
use crate::projection;
use crate::service::{Service, blocking};
use crate::watch;

/// How long a sampler in the middle of a pass is waited for.
const SAMPLERS_DEADLINE: Duration = Duration::from_secs(1);
/// How long clients' work and a transaction under way are waited for.
const WORK_DEADLINE: Duration = Duration::from_secs(5);

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// When the log cannot be opened, a sampler cannot start, or the log takes nothing when it is to be closed.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let log = open_patiently(config).await?;
    let stop = CancellationToken::new();
    crate::signals::cancel_on_signal(stop.clone());
    let listener = server::bind(&config.data_dir)?;
    let agents = {
        let (config, log) = (config.clone(), log.clone());
        blocking(move || crate::sources::agents(&config, &log)).await?
    };
    let mut samplers = build_samplers(config, &agents.registry)?;
    announce(config, &log, &mut samplers)?;
    let _health = AbortOnDropHandle::new(tokio::spawn(watch::tell_health(log.clone())));
    let running = start_samplers(&log, samplers)?;
    let (projecting, projection) = projection::start(config, &log, &stop).await?;
    let statuses: Vec<_> = running.iter().map(PacedSampler::status).collect();
    let _hangs = AbortOnDropHandle::new(tokio::spawn(watch::tell_hangs(statuses.clone())));
    let sampling = (statuses, agents);
    let service =
        Service::of_daemon(log.clone(), projecting, sampling, config.migrate, config.retention.clone());
    let clients = tokio::spawn(server::serve(listener, Arc::new(service), stop.clone()));
    stop.cancelled().await;
    tracing::info!("stopping");
    shut_down(config, log, running, [Some(clients), projection]).await
}

/// Opens the log; waits a little for a predecessor that is ending, not for a daemon that is well.
async fn open_patiently(config: &Config) -> Result<EventLog, Failure> {
    let patience = Instant::now() + HELD_PATIENCE;
    loop {
        match open_log(config, Trims::Itself).await {
            Ok(log) => return Ok(log),
            Err(OpenFailure::Other(failure)) => return Err(failure),
            Err(OpenFailure::Held(failure)) => {
                let daemon_answers = Client::connect(&config.data_dir).await?.is_some();
                if daemon_answers || Instant::now() >= patience {
                    return Err(failure);
                }
                tokio::time::sleep(HELD_PAUSE).await;
            }
        }
    }
}

/// A sampler that is wanted, and how often it runs.
type PacedSource = (Box<dyn Sampler>, Duration);

/// The samplers that are wanted.
fn build_samplers(config: &Config, registry: &Registry) -> Result<Vec<PacedSource>, Failure> {
    let mut samplers: Vec<PacedSource> = Vec::new();
    if let Some(host) = config.host {
        samplers.push((crate::sources::host(&this_host()?)?, host.interval));
    }
    if let Some(tmux) = &config.tmux {
        samplers.push((crate::sources::tmux(tmux, registry)?, tmux.interval));
    }
    Ok(samplers)
}

fn start_samplers(log: &EventLog, samplers: Vec<PacedSource>) -> Result<Vec<PacedSampler>, Failure> {
    let host = this_host()?;
    // NOTE: absent means the name that the log was created with; after a rename events carry the new one.
    let host = (host != log.info().host).then_some(host);
    samplers
        .into_iter()
        .map(|(sampler, interval)| {
            let settings = PaceSettings { interval, jitter: Jitter::random(), host: host.clone() };
            PacedSampler::start(sampler, settings, Arc::new(SystemClock), Arc::new(log.clone()))
                .map_err(|error| Failure::error(chain(&error)))
        })
        .collect()
}

/// Says in a few lines what is recorded, where, and what is not set.
fn announce(config: &Config, log: &EventLog, samplers: &mut [PacedSource]) -> Result<(), Failure> {
    let ends = log.ends();
    output::line(&format!("tailwater {} records {}", env!("CARGO_PKG_VERSION"), this_host()?))?;
    output::line(&format!(
        "  log       {} ({} events, sync {})",
        config.data_dir.join("log").display(),
        output::count(ends.next.since(ends.first)),
        config.sync,
    ))?;
    for (sampler, interval) in samplers {
        output::line(&format!("  source    {}, every {interval:?}", sampler.describe()))?;
    }
    if config.host.is_none() && config.tmux.is_none() {
        output::line(
            "  source    none: host.enabled and tmux.enabled are false; `tailwater record` still works",
        )?;
    }
    output::line(&format!("  database  {}", database_line(config)))?;
    output::line(&format!("  listen    {}: checked, nothing listens in this version", config.listen))?;
    output::line("  ask it    tailwater status; stop it with Ctrl-C")
}

fn database_line(config: &Config) -> String {
    match &config.database {
        Some(url) => url.to_string(),
        None => {
            "none set; events stay in the log until you give one by --database-url, TAILWATER_DATABASE_URL \
                 or database.url"
                .to_owned()
        }
    }
}

async fn shut_down(
    config: &Config,
    log: EventLog,
    samplers: Vec<PacedSampler>,
    tasks: [Option<JoinHandle<()>>; 2],
) -> Result<(), Failure> {
    samplers.iter().for_each(PacedSampler::signal_stop);
    blocking(move || {
        for sampler in samplers {
            sampler.stop(SAMPLERS_DEADLINE);
        }
        Ok(())
    })
    .await?;
    let work = futures_util::future::join_all(tasks.into_iter().flatten().map(end_task));
    work.await;
    // NOTE: before the log goes, so that a command that comes now waits for the log and not for an answer.
    let _ = std::fs::remove_file(crate::control::socket_path(&config.data_dir));
    let failed = blocking(move || log.close().map_err(|error| Failure::error(chain(&error)))).await;
    if failed.is_ok() {
        output::notice("tailwater has stopped; everything recorded is on the disk");
    }
    failed
}

/// Waits for a task until the deadline, then drops it: what it had not committed, the database rolls back.
async fn end_task(mut task: JoinHandle<()>) {
    if tokio::time::timeout(WORK_DEADLINE, &mut task).await.is_err() {
        tracing::warn!("work was still under way at the deadline and was dropped");
        task.abort();
    }
}
