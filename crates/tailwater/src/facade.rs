//! The library's reader: answers for a program of yours, from the database or the log.

use std::path::PathBuf;
use std::sync::Arc;

use query::wire::v1::{ReadAnswerError, read_answer, read_workspace};
use query::{
    AgentRow, AgentSummary, Answer, ChannelRow, GapRow, Question, ReadError, ReadErrorKind, StateRow,
    SystemRow, TokenRow, Topic, WorkspaceStats,
};
use server::Source;
use store::read::PgPool;
use tokio::sync::Mutex;

use crate::access::{Holder, Missing, Signals};
use crate::commands::now;
use crate::config::Config;
use crate::control::Task;
use crate::failure::{Failure, chain};
use crate::readers::Database;

/// Answers questions about what was recorded.
///
/// A question is a topic and parameters, the same as of `tailwater query` and of HTTP: `docs/query.md` lists them. The
/// database answers while it is there, else the log: through the socket of `tailwater run`, or, while nobody holds
/// the log, by opening it for the time of one answer. It installs no signal handlers. A clone is the same facade.
///
/// ```
/// use tailwater::{AgentState, Facade, Recorder, State, Topic};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// # let data_dir = home.path().join("data");
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let time = std::time::SystemTime::now().into();
/// let said = AgentState { time, agent_name: "zen".into(), state: State::Working, ..AgentState::default() };
/// Recorder::connect(&data_dir)?.record_state(said).await?;
///
/// let facade = Facade::open(&data_dir)?;
/// let states = facade.states(&[("agent", "zen"), ("from", "-5m")]).await?;
/// assert_eq!(states[0].state, "working");
/// facade.close().await;
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Facade {
    config: Arc<Config>,
    database: Option<Arc<Database>>,
    /// Held while this process itself holds the log: a second opening would find it held.
    alone: Arc<Mutex<()>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FacadeError {
    kind: FacadeErrorKind,
    message: String,
}

/// What the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FacadeErrorKind {
    /// The question means nothing: the message names the parameter.
    Invalid,
    /// Neither the database nor the log can be reached now: try again.
    Unavailable,
    /// The configuration means nothing, or somebody must mend something: the message says what.
    Refused,
}

impl FacadeError {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> FacadeErrorKind {
        self.kind
    }

    fn refused(message: String) -> Self {
        Self { kind: FacadeErrorKind::Refused, message }
    }
}

impl From<Failure> for FacadeError {
    fn from(failure: Failure) -> Self {
        let kind = if failure.is_lost { FacadeErrorKind::Unavailable } else { FacadeErrorKind::Refused };
        Self { kind, message: failure.message }
    }
}

impl From<ReadError> for FacadeError {
    fn from(error: ReadError) -> Self {
        let kind = match error.kind() {
            ReadErrorKind::Invalid => FacadeErrorKind::Invalid,
            ReadErrorKind::Unavailable => FacadeErrorKind::Unavailable,
            ReadErrorKind::Fatal => FacadeErrorKind::Refused,
        };
        Self { kind, message: chain(&error) }
    }
}

impl From<ReadAnswerError> for FacadeError {
    fn from(error: ReadAnswerError) -> Self {
        Self::refused(format!("the daemon's answer makes no sense: {error}; it may be of another version"))
    }
}

/// Parameters of a question: names and texts.
type Parameters<'a> = &'a [(&'a str, &'a str)];

impl Facade {
    /// A facade of the log of this data directory, and of the database that is set. Every other setting is what the
    /// commands would use: from `TAILWATER_*` and `tailwater.toml`. Call it within a tokio runtime. Nothing is connected
    /// yet.
    ///
    /// # Errors
    /// When a setting means nothing.
    pub fn open(data_dir: impl Into<PathBuf>) -> Result<Self, FacadeError> {
        Ok(Self::with_config(Config::of_data_dir(data_dir.into())?))
    }

    /// A facade with settings of the caller's. Call it within a tokio runtime.
    #[must_use]
    pub fn with_config(config: Config) -> Self {
        let database = config.database.as_ref().map(|url| Arc::new(Database::new(url)));
        Self { config: Arc::new(config), database, alone: Arc::default() }
    }

    /// Answers a question, and tells who did.
    ///
    /// # Errors
    /// When the question means nothing, or nobody can answer it.
    pub async fn ask(
        &self,
        topic: Topic,
        parameters: &[(&str, &str)],
    ) -> Result<(Answer, Source), FacadeError> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let parameters: Vec<(String, String)> = parameters.iter().map(own).collect();
        let now = now();
        let question = Question::parse(topic, &parameters, now)
            .map_err(|error| FacadeError { kind: FacadeErrorKind::Invalid, message: error.to_string() })?;
        if let Some(database) = &self.database
            && let Some(answer) = database.ask_if_there(&question).await?
        {
            return Ok((answer, Source::Database));
        }
        let answer = self.ask_log(Task::Query { topic, parameters, now_micros: now.micros() }).await?;
        Ok((read_answer(topic, &answer)?, Source::Log))
    }

    /// The workspace as it is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn workspace(&self) -> Result<WorkspaceStats, FacadeError> {
        Ok(read_workspace(&self.ask_log(Task::Stats).await?)?)
    }

    /// The connections to the database, for statements of the caller's; `None` without one. They work as long as this
    /// facade is there.
    ///
    /// # Errors
    /// When the way to the database cannot be opened.
    pub async fn pool(&self) -> Result<Option<PgPool>, FacadeError> {
        match &self.database {
            Some(database) => Ok(Some(database.pool().await?)),
            None => Ok(None),
        }
    }

    /// Waits for what is under way in the database and closes the connections.
    pub async fn close(self) {
        if let Some(database) = &self.database {
            database.close().await;
        }
    }

    async fn ask_log(&self, task: Task) -> Result<serde_json::Value, FacadeError> {
        if let Some(daemon) = Holder::find_daemon(&self.config).await? {
            return ask(daemon, task).await;
        }
        let _alone = self.alone.lock().await;
        ask(Holder::find_with(&self.config, Missing::Refuse, Signals::LeftAlone).await?, task).await
    }
}

async fn ask(mut holder: Holder, task: Task) -> Result<serde_json::Value, FacadeError> {
    let answer = holder.ask(task, Vec::new(), |_| Ok(())).await;
    let closed = holder.close().await;
    Ok(answer.and_then(|answer| closed.map(|()| answer))?)
}

/// A topic's rows, or that there is something else, which there never is.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident($topic:ident, $answer:ident) -> $rows:ty;)*) => {
        impl Facade {
            $($(#[$doc])*
            ///
            /// # Errors
            /// As [`Self::ask`].
            pub async fn $name(&self, parameters: Parameters<'_>) -> Result<$rows, FacadeError> {
                match self.ask(Topic::$topic, parameters).await?.0 {
                    Answer::$answer(rows) => Ok(rows),
                    _ => Err(FacadeError::refused("the answer is about something else".to_owned())),
                }
            })*
        }
    };
}

rows! {
    /// Systems over time.
    systems(System, System) -> Vec<SystemRow>;
    /// Agents over time.
    agents(Agents, Agents) -> Vec<AgentRow>;
    /// The newest sample of each agent.
    latest(Latest, Agents) -> Vec<AgentRow>;
    /// All that one agent did, which the parameter `agent` names; `None` when there is nothing of it.
    summary(Summary, Summary) -> Option<Box<AgentSummary>>;
    /// Channels over time.
    channels(Channels, Channels) -> Vec<ChannelRow>;
    /// Tokens and their cost over time.
    tokens(Tokens, Tokens) -> Vec<TokenRow>;
    /// What agents said of themselves.
    states(States, States) -> Vec<StateRow>;
    /// What is known to be lost.
    gaps(Gaps, Gaps) -> Vec<GapRow>;
}
