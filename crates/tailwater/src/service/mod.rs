//! What whoever holds the log does for the commands: the daemon for its clients, a lone command for itself.

mod import;
mod intake;
mod project;
mod quarantine;
mod query;
mod record;
mod replay;
mod stats;
mod status;
mod upkeep;
mod verify;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use eventlog::EventLog;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use usage::ledger::Counters;

use crate::access::Opened;
use crate::config::{Config, Retention};
use crate::control::Task;
use crate::control::output::Output;
use crate::control::server::Handler;
use crate::failure::{Failure, chain};
use crate::http::Http;
use crate::prices::Known;
use crate::render::Style;

pub(crate) use import::ImportAnswer;
pub(crate) use intake::{Intake, accepted};
pub(crate) use project::{Live, LogProjector, ProjectAnswer, projector};
pub(crate) use quarantine::{
    DropAnswer, QuarantineAction, QuarantineRow, RetryAnswer, ShowAnswer, Which, retry_what_is_known_now,
};
pub(crate) use record::record;
pub(crate) use replay::{Extent, JobObject, ReplayPlan, ReplayTask, Replays};
pub(crate) use stats::{Agents, day_before, recall_states};
pub(crate) use status::HoleObject;
pub(crate) use status::{LogStatAnswer, MetricsAnswer, ProjectionObject, RangeObject, StatusAnswer};
pub(crate) use upkeep::{AdoptAnswer, Damage, RepairAnswer, TrimAnswer, VerifyAnswer, repair_unopened};
pub(crate) use verify::{DatabaseVerifyAnswer, ExtraRowObject, HourObject, Mend, Mended};
pub(crate) use walk::{Begin, WalkAnswer};

/// The holder of the log, at the service of commands.
pub(crate) struct Service {
    log: EventLog,
    /// What became of token usage.
    usage: Counters,
    /// Whether this process projects by itself, and into what.
    projecting: Projecting,
    samplers: Vec<sampler::StatusHandle>,
    agents: Agents,
    migrate: store::Migrate,
    retention: Retention,
    replays: Replays,
    /// What calls cost, as it was known when the log was opened.
    prices: Known,
    data_dir: PathBuf,
    /// The daemon's HTTP server.
    http: Option<Arc<Http>>,
}

/// Whether the holder of the log projects by itself.
#[derive(Clone)]
pub(crate) enum Projecting {
    /// No database is set.
    Disabled,
    /// A database is set, and no daemon runs: nobody projects.
    Idle,
    /// The daemon projects.
    Live(Arc<Live>),
}

impl Service {
    /// The daemon's.
    #[must_use]
    pub(crate) fn of_daemon(
        opened: Opened,
        projecting: Projecting,
        samplers: (Vec<sampler::StatusHandle>, Agents),
        config: &Config,
    ) -> Self {
        let (Opened { log, usage }, (samplers, agents)) = (opened, samplers);
        let (migrate, retention) = (config.migrate, config.retention.clone());
        let prices = Known::of(&config.data_dir);
        let replays = Replays::default();
        let data_dir = config.data_dir.clone();
        Self {
            log,
            usage,
            projecting,
            samplers,
            agents,
            migrate,
            retention,
            replays,
            prices,
            data_dir,
            http: None,
        }
    }

    /// The same with its HTTP server, if it has one.
    #[must_use]
    pub(crate) fn with_http(self, http: Option<Arc<Http>>) -> Self {
        Self { http, ..self }
    }

    /// Tells the client what is wrong with the owner's prices.
    async fn warn_of_prices(&self, output: &Output) -> Result<(), Failure> {
        match self.prices.warning(&self.data_dir) {
            Some(warning) => output.notice(warning).await,
            None => Ok(()),
        }
    }

    /// The prices for a database, after telling the client what is wrong with the owner's.
    async fn tell_prices(&self, output: &Output) -> Result<Arc<store::PriceList>, Failure> {
        self.warn_of_prices(output).await?;
        Ok(self.prices.list(&self.log.info().host))
    }

    /// A lone command's.
    #[must_use]
    pub(crate) fn of_command(opened: Opened, config: &Config) -> Self {
        let projecting = if config.database.is_some() { Projecting::Idle } else { Projecting::Disabled };
        let agents = crate::sources::agents_of_log(config, &opened.log);
        Self::of_daemon(opened, projecting, (Vec::new(), agents), config)
    }
}

impl Service {
    /// Where events of callers go.
    #[must_use]
    pub(crate) fn intake(&self) -> Intake {
        Intake::new(self.log.clone(), self.agents.registry.clone())
    }
}

impl Handler for Service {
    async fn handle(
        &self,
        task: Task,
        body: Vec<u8>,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Value, Failure> {
        match task {
            Task::Record { skip_invalid, .. } => {
                let intake = self.intake();
                blocking(move || record(&intake, body, skip_invalid)).await.and_then(answer)
            }
            Task::Version => answer(env!("CARGO_PKG_VERSION")),
            Task::Status => answer(self.status().await?),
            Task::Metrics => answer(self.metrics().await?),
            Task::Stats => answer(self.stats().await?),
            Task::Query { topic, parameters, now_micros } => {
                let now = event::Time::from_micros(now_micros);
                if topic.has_costs() {
                    self.warn_of_prices(output).await?;
                }
                self.query(topic, &parameters, now).await
            }
            Task::LogStat => answer(self.log_stat().await?),
            Task::Project { database_url, until_head, backlog, retention } => {
                answer(self.project(&database_url, until_head, (backlog, retention), output, stop).await?)
            }
            Task::Replay(task) => self.replay(&task, output, stop).await,
            Task::Quarantine { database_url, action } => {
                self.quarantine(database_url.as_deref(), action, output, stop).await
            }
            Task::LogTail { selection, begin, follow, format } => {
                let style = Style::Tail(format);
                answer(self.tail(selection, begin, follow, style, output, stop).await?)
            }
            Task::LogExport { selection } => answer(self.export(selection, output, stop).await?),
            Task::Import { lines_before, skip_invalid, .. } => {
                let intake = self.intake();
                let work = move || import::import(&intake, &body, lines_before, skip_invalid);
                blocking(work).await.and_then(answer)
            }
            Task::VerifyDatabase { database_url, mend, retention } => {
                let database_url = database_url.as_deref();
                answer(self.verify_database(database_url, mend, retention, output, stop).await?)
            }
            Task::LogVerify => answer(self.verify(output, stop).await?),
            Task::LogRepair => answer(self.repair(output, stop).await?),
            Task::LogAdopt => answer(self.adopt().await?),
            Task::LogTrim { before, dry_run } => answer(self.trim(before, dry_run).await?),
        }
    }
}

/// Runs what blocks on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Failure::error(format!("the work was not finished: {}", chain(&error)))),
    }
}

fn answer(it: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(it).map_err(|error| Failure::error(format!("cannot encode the answer: {error}")))
}
