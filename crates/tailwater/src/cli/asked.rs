//! What the flags of `tailwater query` ask: a topic, its parameters, and the columns of a table.

use query::Topic;

use super::query::{
    AgentFilterArgs, AgentSeriesArgs, AgentsCommand, Metric, QueryCommand, RangeArgs, TokenArgs,
};
use super::{Format, FormatArgs};
use crate::chart::{CPU, DISK, MEM, Measure, NET};

/// A question and how its answer is printed.
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
    /// How to print it.
    pub format: Format,
}

impl QueryCommand {
    /// What it asks.
    #[must_use]
    pub(crate) fn asked(&self) -> Asked {
        match self {
            Self::Agents(AgentsCommand::Cpu(args)) => args.asked(Metric::Cpu),
            Self::Agents(AgentsCommand::Mem(args)) => args.asked(Metric::Mem),
            Self::Agents(AgentsCommand::Net(args)) => args.asked(Metric::Net),
            Self::Agents(AgentsCommand::Disk(args)) => args.asked(Metric::Disk),
            Self::Agents(AgentsCommand::Latest(args)) => {
                let head = ["agent_name", "host", "time", "role", "tool", "runtime", "state"];
                let columns = [&head[..], &["cpu_percent", "mem_used_bytes", "mem_percent"]].concat();
                asked(Topic::Latest, columns, args.format, [args.range.given(), args.filter.given()].concat())
            }
            Self::Agents(AgentsCommand::Summary(args)) => {
                let agent = ("agent".to_owned(), args.agent.clone());
                let parameters = [args.range.given(), vec![agent]].concat();
                asked(Topic::Summary, Topic::Summary.columns().to_vec(), args.format, parameters)
            }
            Self::Agents(AgentsCommand::States(args)) => {
                let columns = vec!["time", "agent_name", "host", "state", "role", "tool", "runtime"];
                let parameters = [args.range.given(), args.filter.given(), given([("limit", &args.limit)])];
                asked(Topic::States, columns, args.format, parameters.concat())
            }
            Self::System(args) => {
                let own = [("interval", &args.interval), ("system", &args.system), ("host", &args.host)];
                let columns = [&["time", "system_name", "host"][..], shown(args.metric)].concat();
                let parameters = [args.range.given(), given(own), filled(args.fill)].concat();
                asked(Topic::System, columns, args.format, parameters).drawn(drawn(args.metric))
            }
            Self::Channels(args) => {
                let own = [("interval", &args.interval), ("channel", &args.channel), ("host", &args.host)];
                let columns = Topic::Channels.columns().to_vec();
                let parameters = [args.range.given(), given(own), filled(args.fill)].concat();
                asked(Topic::Channels, columns, args.format, parameters)
            }
            Self::Tokens(args) => args.asked(),
            Self::Gaps(args) => {
                let own = [("limit", &args.limit), ("host", &args.host)];
                let columns = Topic::Gaps.columns().to_vec();
                asked(Topic::Gaps, columns, args.format, [args.range.given(), given(own)].concat())
            }
        }
    }
}

impl AgentSeriesArgs {
    fn asked(&self, metric: Metric) -> Asked {
        let columns = [&["time", "agent_name", "host", "state"][..], shown(metric)].concat();
        let interval = given([("interval", &self.interval)]);
        let parameters = [self.range.given(), interval, filled(self.fill), self.filter.given()];
        asked(Topic::Agents, columns, self.format, parameters.concat()).drawn(drawn(metric))
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
        asked(Topic::Tokens, columns, self.format, parameters)
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

fn asked(
    topic: Topic,
    columns: Vec<&'static str>,
    format: FormatArgs,
    parameters: Vec<(String, String)>,
) -> Asked {
    Asked { topic, parameters, columns, measure: Measure::of(topic).first(), format: format.format }
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
