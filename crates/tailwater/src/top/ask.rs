//! What is shown, asked of the daemon again and again.

use std::time::{Duration, Instant};

use event::{Text, Time};
use query::wire::v1::read_answer;
use query::{AgentRow, Answer, StateRow, TokenRow, Topic};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::access::{self, Holder};
use crate::commands::now;
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::service::{LogStatAnswer, StatusAnswer};

/// Between two looks at what a whole fleet has done: it costs more than the newest samples.
const SLOWER: u32 = 5;

/// What somebody looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everybody.
    #[default]
    Fleet,
    /// One agent.
    Agent {
        /// Its name.
        name: Text,
        /// Where.
        host: Text,
    },
    /// How recording and projecting are doing.
    Pipeline,
}

/// What the daemon has told.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// When it was asked.
    pub at: Time,
    /// How it is doing.
    pub status: StatusAnswer,
    /// The newest sample of each agent.
    pub latest: Vec<AgentRow>,
    /// What the last half hour was like, a bucket a minute.
    pub cpu: Vec<AgentRow>,
    /// What the last five minutes used, a row for each agent and host.
    pub tokens: Vec<TokenRow>,
    /// What the last 24 hours used, likewise.
    pub day: Vec<TokenRow>,
    /// What only some pages show.
    pub more: More,
}

/// What only some pages show.
#[derive(Clone, Debug, Default)]
pub(super) enum More {
    /// Nothing.
    #[default]
    Nothing,
    /// Of one agent.
    Agent(Box<AgentFacts>),
    /// Of the log.
    Log(Box<LogStatAnswer>),
}

/// The last hour of an agent, a bucket a minute, and what it has said in 24 hours.
#[derive(Clone, Debug, Default)]
pub(super) struct AgentFacts {
    /// Whose.
    pub name: Text,
    /// Where.
    pub host: Text,
    /// Its samples.
    pub samples: Vec<AgentRow>,
    /// Its calls in 24 hours, a row for each model.
    pub models: Vec<TokenRow>,
    /// What it said, the oldest first.
    pub states: Vec<StateRow>,
}

/// Facts, or why there are none.
pub(super) enum News {
    /// What there is.
    Facts(Box<Facts>),
    /// The daemon did not answer; it is asked again.
    Trouble(String),
}

/// Asks the daemon.
pub(super) struct Asker {
    config: Config,
    interval: Duration,
    slow: Option<Slow>,
}

/// What is asked less often.
#[derive(Clone)]
struct Slow {
    at: Instant,
    cpu: Vec<AgentRow>,
    tokens: Vec<TokenRow>,
    day: Vec<TokenRow>,
}

impl Asker {
    /// Asks this often.
    pub(super) fn new(config: &Config, interval: Duration) -> Self {
        Self { config: config.clone(), interval, slow: None }
    }

    /// The first facts.
    ///
    /// # Errors
    /// When no daemon answers.
    pub(super) async fn first(&mut self) -> Result<Facts, Failure> {
        self.ask(&Wanted::Fleet).await
    }

    /// Asks until nobody listens: each interval, and at once when something else is wanted.
    pub(super) async fn run(mut self, mut wants: watch::Receiver<Wanted>, tell: mpsc::Sender<News>) {
        loop {
            let pause = tokio::time::sleep(self.interval);
            tokio::select! {
                () = pause => {}
                changed = wants.changed() => if changed.is_err() { return },
            }
            let wanted = wants.borrow_and_update().clone();
            let news = match self.ask(&wanted).await {
                Ok(facts) => News::Facts(Box::new(facts)),
                Err(failure) => News::Trouble(failure.to_string()),
            };
            if tell.send(news).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&mut self, wanted: &Wanted) -> Result<Facts, Failure> {
        let at = now();
        let status = self.told(Task::Status).await?;
        let latest = self.agents(at, Topic::Latest, &[]).await?;
        let is_old = |it: &Slow| it.at.elapsed() >= self.interval * SLOWER;
        let slow = match self.slow.take().filter(|it| !is_old(it)) {
            Some(slow) => slow,
            None => self.ask_slow(at).await?,
        };
        self.slow = Some(slow.clone());
        let more = match wanted {
            Wanted::Fleet => More::Nothing,
            Wanted::Agent { name, host } => More::Agent(Box::new(self.agent(at, name, host).await?)),
            Wanted::Pipeline => More::Log(Box::new(self.told(Task::LogStat).await?)),
        };
        Ok(Facts { at, status, latest, cpu: slow.cpu, tokens: slow.tokens, day: slow.day, more })
    }

    async fn ask_slow(&self, at: Time) -> Result<Slow, Failure> {
        let by = [("by", "agent,host"), ("interval", "all")];
        Ok(Slow {
            at: Instant::now(),
            cpu: self.agents(at, Topic::Agents, &[("from", "-30m"), ("interval", "1m")]).await?,
            tokens: self.tokens(at, &[&by[..], &[("from", "-5m")]].concat()).await?,
            day: self.tokens(at, &[&by[..], &[("from", "-24h")]].concat()).await?,
        })
    }

    async fn agent(&self, at: Time, name: &Text, host: &Text) -> Result<AgentFacts, Failure> {
        let whose = [("agent", name.as_str()), ("host", host.as_str())];
        let and = |more: &[(&'static str, &'static str)]| [&whose[..], more].concat();
        let samples = self.agents(at, Topic::Agents, &and(&[("from", "-1h"), ("interval", "1m")])).await?;
        let models = and(&[("from", "-24h"), ("interval", "all"), ("by", "model")]);
        let states = match self.answer(at, Topic::States, &and(&[("from", "-24h"), ("limit", "100")])).await?
        {
            Answer::States(rows) => rows,
            _ => Vec::new(),
        };
        let models = self.tokens(at, &models).await?;
        Ok(AgentFacts { name: name.clone(), host: host.clone(), samples, models, states })
    }

    async fn agents(&self, at: Time, topic: Topic, more: &[(&str, &str)]) -> Result<Vec<AgentRow>, Failure> {
        Ok(match self.answer(at, topic, more).await? {
            Answer::Agents(rows) => rows,
            _ => Vec::new(),
        })
    }

    async fn tokens(&self, at: Time, more: &[(&str, &str)]) -> Result<Vec<TokenRow>, Failure> {
        Ok(match self.answer(at, Topic::Tokens, more).await? {
            Answer::Tokens(rows) => rows,
            _ => Vec::new(),
        })
    }

    async fn answer(&self, at: Time, topic: Topic, parameters: &[(&str, &str)]) -> Result<Answer, Failure> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let parameters = parameters.iter().map(own).collect();
        let answer = self.put(Task::Query { topic, parameters, now_micros: at.micros() }).await?;
        read_answer(topic, &answer).map_err(|error| Failure::error(error.to_string()))
    }

    async fn told<T: DeserializeOwned>(&self, task: Task) -> Result<T, Failure> {
        access::understood(self.put(task).await?)
    }

    async fn put(&self, task: Task) -> Result<Value, Failure> {
        let daemon = Holder::find_daemon(&self.config).await?;
        let mut daemon = daemon.ok_or_else(|| {
            let place = self.config.data_dir.display();
            Failure::error(format!(
                "no daemon records into {place}: `tailwater run` is one; --data-dir names another"
            ))
        })?;
        daemon.ask(task, Vec::new(), |_| Ok(())).await
    }
}
