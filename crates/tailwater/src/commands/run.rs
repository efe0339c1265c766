//! `tailwater run`: samples, records, projects, until it is told to stop.
//!
//! The end is a protocol with deadlines: samplers stop ([`SAMPLERS_DEADLINE`]); clients' work and the
//! transaction under way end ([`WORK_DEADLINE`]); the channel drains, the log syncs and closes; exit. A
//! second signal ends the process at once: the log then recovers at the next start as after a kill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::HostName;
use eventlog::{EventLog, Trims};
use sampler::{Jitter, PaceSettings, PacedSampler, Registry, Sampler, SystemClock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{HELD_PAUSE, OpenFailure, Opened, open_log, this_host};
use crate::backend::Backend;
use crate::config::{Config, TranscriptSampling};
use crate::control::client::Client;
use crate::control::server;
use crate::failure::{Failure, chain};
use crate::http::Http;
use crate::log_reader::LogReader;
use crate::output;
use crate::prices::Known;
use crate::projection;
use crate::readers::Readers;
use crate::service::{Intake, Service, blocking};
use crate::watch;

/// How long a sampler in the middle of a pass is waited for.
const SAMPLERS_DEADLINE: Duration = Duration::from_secs(1);
/// How long to wait for a log that somebody holds who is no daemon: a command that has just mended it after a crash.
/// Whoever looks at a log that is not running must not keep it from running.
const RUN_PATIENCE: Duration = Duration::from_secs(30);
/// How long clients' work and a transaction under way are waited for.
const WORK_DEADLINE: Duration = Duration::from_secs(5);

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// When the log cannot be opened, a sampler cannot start, or the log takes nothing when it is to be closed.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let Opened { log, usage } = open_patiently(config).await?;
    let stop = CancellationToken::new();
    crate::signals::cancel_on_signal(stop.clone());
    let listener = server::bind(&config.data_dir)?;
    let agents = {
        let (config, log) = (config.clone(), log.clone());
        blocking(move || crate::sources::agents(&config, &log)).await?
    };
    let registry = agents.registry.clone();
    let mut samplers = build_samplers(config, &registry)?;
    let (http, door) = match config.http.clone() {
        Some(serving) => {
            let intake = Intake::new(log.clone(), registry.clone());
            let reader = LogReader::new(log.clone(), Arc::new(Known::of(&config.data_dir).prices));
            let backend = Backend::new(intake, Readers::new(reader, config.database.as_ref()));
            Some(Http::bind(serving, backend).await).unzip()
        }
        None => (None, None),
    };
    announce(config, &log, &mut samplers, http.as_deref())?;
    let _health = AbortOnDropHandle::new(tokio::spawn(watch::tell_health(log.clone())));
    let mut running = start_samplers(&log, samplers)?;
    if let Some(transcripts) = &config.transcripts {
        let host = foreign_host(&log)?;
        running.push(crate::sources::transcripts(transcripts, host, &running, &registry, &log)?);
    }
    if let Some(unknown) = crate::unknown_variables() {
        tracing::warn!("{unknown}");
    }
    if let Some(problem) = Known::of(&config.data_dir).problem() {
        tracing::warn!(problem, "the owner's prices are left out, the embedded ones hold");
    }
    let (projecting, projection) = projection::start(config, &log, &stop).await?;
    let statuses: Vec<_> = running.iter().map(PacedSampler::status).collect();
    let _hangs = AbortOnDropHandle::new(tokio::spawn(watch::tell_hangs(statuses.clone())));
    let opened = Opened { log: log.clone(), usage };
    let service = Service::of_daemon(opened, projecting, (statuses, agents), config).with_http(http.clone());
    let service = Arc::new(service);
    if let Some(http) = &http {
        http.is_held_by(&service);
    }
    let clients = tokio::spawn(server::serve(listener, service, stop.clone()));
    let serving = http.map(|http| http.start(door.flatten(), stop.clone()));
    stop.cancelled().await;
    tracing::info!("stopping");
    shut_down(config, log, running, [Some(clients), projection, serving]).await
}

/// Opens the log; waits for a predecessor that is ending and for a command that has it to itself, not for a daemon
/// that is well.
async fn open_patiently(config: &Config) -> Result<Opened, Failure> {
    let patience = Instant::now() + RUN_PATIENCE;
    loop {
        match open_log(config, Trims::Itself).await {
            Ok(opened) => return Ok(opened),
            Err(OpenFailure::Other(failure)) => return Err(failure),
            Err(OpenFailure::Held(failure)) => {
                let is_well = Client::answers(&config.data_dir).await?;
                if is_well || Instant::now() >= patience {
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
    if let Some(docker) = &config.docker {
        samplers.push((crate::sources::docker(docker, registry), docker.interval));
    }
    Ok(samplers)
}

fn start_samplers(log: &EventLog, samplers: Vec<PacedSource>) -> Result<Vec<PacedSampler>, Failure> {
    let host = foreign_host(log)?;
    samplers
        .into_iter()
        .map(|(sampler, interval)| {
            let settings = PaceSettings { interval, jitter: Jitter::random(), host: host.clone() };
            PacedSampler::start(sampler, settings, Arc::new(SystemClock), Arc::new(log.clone()))
                .map_err(|error| Failure::error(chain(&error)))
        })
        .collect()
}

/// This machine's name, when it is not the one that events without a name mean.
fn foreign_host(log: &EventLog) -> Result<Option<HostName>, Failure> {
    let host = this_host()?;
    // NOTE: absent means the name that the log was created with; after a rename events carry the new one.
    Ok((host != log.info().host).then_some(host))
}

/// Says in a few lines what is recorded, where, and what is not set.
fn announce(
    config: &Config,
    log: &EventLog,
    samplers: &mut [PacedSource],
    http: Option<&Http>,
) -> Result<(), Failure> {
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
    if let Some(transcripts) = &config.transcripts {
        output::line(&format!("  source    {}", transcripts_line(transcripts)))?;
    }
    let is_any = config.host.is_some() || config.tmux.is_some() || config.docker.is_some();
    if !is_any && config.transcripts.is_none() {
        output::line(
            "  source    none: host, tmux, docker and transcripts are not enabled; `tailwater record` still works",
        )?;
    }
    output::line(&format!("  database  {}", database_line(config)))?;
    let listen = http.map_or_else(|| "nothing: server.enabled is false".to_owned(), Http::line);
    output::line(&format!("  listen    {listen}"))?;
    output::line("  ask it    tailwater status; stop it with Ctrl-C")
}

fn transcripts_line(sampling: &TranscriptSampling) -> String {
    let homes: Vec<String> = sampling
        .homes
        .iter()
        .filter(|home| home.path.is_dir())
        .map(|home| home.path.display().to_string())
        .collect();
    let homes = if homes.is_empty() { "no home yet".to_owned() } else { homes.join(", ") };
    format!("transcripts of Claude Code and Codex ({homes}), as they grow and every {:?}", sampling.interval)
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
    tasks: [Option<JoinHandle<()>>; 3],
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
