//! What the flags of `tailwater query` and `tailwater plot` ask: a topic, its parameters, the columns of a table, and what is
//! drawn.

use query::Topic;

use super::Format;
use super::plot::{PictureArgs, PlotAgentsCommand, PlotCommand, Plotted};
use super::query::{
    AgentFilterArgs, AgentLatestArgs, AgentSeriesArgs, AgentStatesArgs, AgentSummaryArgs, AgentsCommand,
    ChannelArgs, GapArgs, Metric, Printed, QueryCommand, RangeArgs, SystemArgs, TokenArgs,
};
use crate::chart::{COST, CPU, DISK, MEM, MESSAGES, Measure, NET, TOKENS};

/// A question, and what of its answer is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What about.
    pub topic: Topic,
    /// The flags that were given.
    pub parameters: Vec<(String, String)>,
    /// The columns of a table; JSON and CSV have all.
    pub columns: Vec<&'static str>,
    /// What of it is drawn, where it is about time.
    pub measure: Option<&'static Measure>,
}

impl QueryCommand {
    /// What it asks, and how the answer is printed.
    #[must_use]
    pub(crate) fn asked(&self) -> (Asked, Format) {
        match self {
            Self::Agents(AgentsCommand::Cpu(it)) => it.asked(|it| it.asked(Metric::Cpu)),
            Self::Agents(AgentsCommand::Mem(it)) => it.asked(|it| it.asked(Metric::Mem)),
            Self::Agents(AgentsCommand::Net(it)) => it.asked(|it| it.asked(Metric::Net)),
            Self::Agents(AgentsCommand::Disk(it)) => it.asked(|it| it.asked(Metric::Disk)),
            Self::Agents(AgentsCommand::Latest(it)) => it.asked(AgentLatestArgs::asked),
            Self::Agents(AgentsCommand::Summary(it)) => it.asked(AgentSummaryArgs::asked),
            Self::Agents(AgentsCommand::States(it)) => it.asked(AgentStatesArgs::asked),
            Self::System(it) => it.asked(SystemArgs::asked),
            Self::Channels(it) => it.asked(ChannelArgs::asked),
            Self::Tokens(it) => it.asked(TokenArgs::asked),
            Self::Gaps(it) => it.asked(GapArgs::asked),
        }
    }
}

impl PlotCommand {
    /// What it asks, what is drawn of it, and what it is drawn to.
    #[must_use]
    pub(crate) fn asked(&self) -> (Asked, &'static Measure, &PictureArgs) {
        match self {
            Self::Agents(PlotAgentsCommand::Cpu(it)) => it.asked(&CPU, |it| it.asked(Metric::Cpu)),
            Self::Agents(PlotAgentsCommand::Mem(it)) => it.asked(&MEM, |it| it.asked(Metric::Mem)),
            Self::Agents(PlotAgentsCommand::Net(it)) => it.asked(&NET, |it| it.asked(Metric::Net)),
            Self::Agents(PlotAgentsCommand::Disk(it)) => it.asked(&DISK, |it| it.asked(Metric::Disk)),
            Self::System(it) => it.asked(drawn(it.question.metric), SystemArgs::asked),
            Self::Channels(it) => it.asked(it.question.column.measure(), |it| it.channels.asked()),
            Self::Tokens(it) => it.asked(&TOKENS, TokenArgs::asked),
            Self::Cost(it) => it.asked(&COST, TokenArgs::asked),
        }
    }
}

impl<T: clap::Args> Printed<T> {
    fn asked(&self, asked: impl Fn(&T) -> Asked) -> (Asked, Format) {
        (asked(&self.question), self.format.format)
    }
}

impl<T: clap::Args> Plotted<T> {
    fn asked(
        &self,
        measure: &'static Measure,
        asked: impl Fn(&T) -> Asked,
    ) -> (Asked, &'static Measure, &PictureArgs) {
        (asked(&self.question), measure, &self.picture)
    }
}

impl AgentLatestArgs {
    fn asked(&self) -> Asked {
        let head = ["agent_name", "host", "time", "role", "tool", "runtime", "state"];
        let columns = [&head[..], &["cpu_percent", "mem_used_bytes", "mem_percent"]].concat();
        asked(Topic::Latest, columns, [self.range.given(), self.filter.given()].concat())
    }
}

impl AgentSummaryArgs {
    fn asked(&self) -> Asked {
        let agent = ("agent".to_owned(), self.agent.clone());
        let parameters = [self.range.given(), vec![agent]].concat();
        asked(Topic::Summary, Topic::Summary.columns().to_vec(), parameters)
    }
}

impl AgentStatesArgs {
    fn asked(&self) -> Asked {
        let columns = vec!["time", "agent_name", "host", "state", "role", "tool", "runtime"];
        let parameters = [self.range.given(), self.filter.given(), given([("limit", &self.limit)])];
        asked(Topic::States, columns, parameters.concat())
    }
}

impl SystemArgs {
    fn asked(&self) -> Asked {
        let own = [("interval", &self.interval), ("system", &self.system), ("host", &self.host)];
        let columns = [&["time", "system_name", "host"][..], shown(self.metric)].concat();
        let parameters = [self.range.given(), given(own), filled(self.fill)].concat();
        asked(Topic::System, columns, parameters).drawn(drawn(self.metric))
    }
}

impl ChannelArgs {
    fn asked(&self) -> Asked {
        let own = [("interval", &self.interval), ("channel", &self.channel), ("host", &self.host)];
        let columns = Topic::Channels.columns().to_vec();
        let parameters = [self.range.given(), given(own), filled(self.fill)].concat();
        asked(Topic::Channels, columns, parameters).drawn(&MESSAGES)
    }
}

impl GapArgs {
    fn asked(&self) -> Asked {
        let own = [("limit", &self.limit), ("host", &self.host)];
        asked(Topic::Gaps, Topic::Gaps.columns().to_vec(), [self.range.given(), given(own)].concat())
    }
}

impl AgentSeriesArgs {
    fn asked(&self, metric: Metric) -> Asked {
        let columns = [&["time", "agent_name", "host", "state"][..], shown(metric)].concat();
        let interval = given([("interval", &self.interval)]);
        let parameters = [self.range.given(), interval, filled(self.fill), self.filter.given()];
        asked(Topic::Agents, columns, parameters.concat()).drawn(drawn(metric))
    }
}

impl TokenArgs {
    fn asked(&self) -> Asked {
        let mut parameters = self.range.given();
        parameters.extend(given([
            ("interval", &self.interval),
            ("by", &self.by),
            ("agent", &self.agent),
            ("model", &self.model),
            ("host", &self.host),
            ("tool", &self.tool),
        ]));
        if self.day {
            let zone = self.tz.clone().or_else(query::local_zone).unwrap_or_else(|| "UTC".to_owned());
            parameters.extend([("day".to_owned(), "true".to_owned()), ("tz".to_owned(), zone)]);
        }
        // NOTE: what rows do not tell apart is an empty column.
        let is_shown = |column: &&str| match (*column, self.by.as_deref()) {
            (_, None) => true,
            ("agent_name", Some(by)) => by.split(',').any(|key| key == "agent"),
            ("model" | "host", Some(by)) => by.split(',').any(|key| key == *column),
            _ => true,
        };
        let columns = Topic::Tokens.columns().iter().copied().filter(is_shown).collect();
        asked(Topic::Tokens, columns, parameters).drawn(&TOKENS)
    }
}

impl RangeArgs {
    fn given(&self) -> Vec<(String, String)> {
        given([("from", &self.from), ("to", &self.to)])
    }
}

impl AgentFilterArgs {
    fn given(&self) -> Vec<(String, String)> {
        given([
            ("agent", &self.agent),
            ("role", &self.role),
            ("tool", &self.tool),
            ("runtime", &self.runtime),
            ("state", &self.state),
            ("host", &self.host),
        ])
    }
}

fn asked(topic: Topic, columns: Vec<&'static str>, parameters: Vec<(String, String)>) -> Asked {
    Asked { topic, parameters, columns, measure: None }
}

impl Asked {
    fn drawn(self, measure: &'static Measure) -> Self {
        Self { measure: Some(measure), ..self }
    }
}

const fn drawn(metric: Metric) -> &'static Measure {
    match metric {
        Metric::Cpu => &CPU,
        Metric::Mem => &MEM,
        Metric::Net => &NET,
        Metric::Disk => &DISK,
    }
}

fn given<const N: usize>(flags: [(&str, &Option<String>); N]) -> Vec<(String, String)> {
    let flags = flags.into_iter();
    flags.filter_map(|(name, text)| Some((name.to_owned(), text.clone()?))).collect()
}

fn filled(is_wanted: bool) -> Vec<(String, String)> {
    if is_wanted { vec![("fill".to_owned(), "true".to_owned())] } else { Vec::new() }
}

const fn shown(metric: Metric) -> &'static [&'static str] {
    match metric {
        Metric::Cpu => &["cpu_percent"],
        Metric::Mem => &["mem_used_bytes", "mem_limit_bytes", "mem_percent"],
        Metric::Net => &["net_rx_bytes", "net_tx_bytes", "net_rx_per_second", "net_tx_per_second"],
        Metric::Disk => {
            &["disk_read_bytes", "disk_write_bytes", "disk_read_per_second", "disk_write_per_second"]
        }
    }
}
