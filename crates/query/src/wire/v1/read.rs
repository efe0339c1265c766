//! Answers read back from JSON, by whoever asked another process.

use event::{Resources, Text, Time};
use serde_json::{Map, Value};

use crate::{
    AgentRow, AgentStat, AgentSummary, Answer, ChannelRow, CpuSummary, GapRow, MemorySummary, ModelSummary,
    Rates, StateRow, SystemRow, TokenRow, TokenSummary, TokensUsed, Topic, Transfer, WorkspaceStats,
};

/// JSON that is no answer of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has no field {field} as it should be")]
pub struct ReadAnswerError {
    field: &'static str,
}

type Read<T> = Result<T, ReadAnswerError>;

/// Reads the answer to a question of this topic.
///
/// # Errors
/// The first field that is missing or of another type.
pub fn read_answer(topic: Topic, answer: &Value) -> Read<Answer> {
    Ok(match topic {
        Topic::System => Answer::System(rows(answer, system)?),
        Topic::Agents | Topic::Latest => Answer::Agents(rows(answer, agent)?),
        Topic::Summary if answer.is_null() => Answer::Summary(None),
        Topic::Summary => Answer::Summary(Some(Box::new(summary(Fields::of(answer, "summary")?)?))),
        Topic::Channels => Answer::Channels(rows(answer, channel)?),
        Topic::Tokens => Answer::Tokens(rows(answer, tokens)?),
        Topic::States => Answer::States(rows(answer, state)?),
        Topic::Gaps => Answer::Gaps(rows(answer, gap)?),
    })
}

/// Reads a workspace.
///
/// # Errors
/// As [`read_answer`].
pub fn read_workspace(answer: &Value) -> Read<WorkspaceStats> {
    let it = Fields::of(answer, "workspace")?;
    let agents = it.object("agents")?;
    Ok(WorkspaceStats {
        collected_at: it.time("collected_at")?,
        workspace_path: it.text("workspace_path")?.to_string(),
        agents: rows(agents.get("agent_stats")?, agent_stat)?,
        total_agents: agents.count("total_agents")?,
        active_agents: agents.count("active_agents")?,
        coordinators: agents.count("coordinators")?,
        workers: agents.count("workers")?,
        idle: agents.count("idle")?,
        working: agents.count("working")?,
        done: agents.count("done")?,
        stuck: agents.count("stuck")?,
        error: agents.count("error")?,
        stopped: agents.count("stopped")?,
        utilization: it.maybe_number("utilization")?,
    })
}

/// The fields of an object.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Map<String, Value>);

fn wrong(field: &'static str) -> ReadAnswerError {
    ReadAnswerError { field }
}

fn rows<T>(answer: &Value, row: fn(Fields<'_>) -> Read<T>) -> Read<Vec<T>> {
    let rows = answer.as_array().ok_or(wrong("rows"))?;
    rows.iter().map(|value| row(Fields::of(value, "row")?)).collect()
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, name: &'static str) -> Read<Self> {
        value.as_object().map(Self).ok_or(wrong(name))
    }

    fn get(self, name: &'static str) -> Read<&'a Value> {
        self.0.get(name).ok_or(wrong(name))
    }

    fn object(self, name: &'static str) -> Read<Self> {
        Self::of(self.get(name)?, name)
    }

    fn maybe_object(self, name: &'static str) -> Read<Option<Self>> {
        let value = self.get(name)?;
        if value.is_null() { Ok(None) } else { Self::of(value, name).map(Some) }
    }

    fn text(self, name: &'static str) -> Read<Text> {
        self.get(name)?.as_str().map(Text::new).ok_or(wrong(name))
    }

    fn time(self, name: &'static str) -> Read<Time> {
        self.get(name)?.as_str().and_then(|text| text.parse().ok()).ok_or(wrong(name))
    }

    fn count(self, name: &'static str) -> Read<u64> {
        self.get(name)?.as_u64().ok_or(wrong(name))
    }

    fn maybe<T>(self, name: &'static str, read: fn(&Value) -> Option<T>) -> Read<Option<T>> {
        let value = self.get(name)?;
        if value.is_null() { Ok(None) } else { read(value).map(Some).ok_or(wrong(name)) }
    }

    fn maybe_count(self, name: &'static str) -> Read<Option<u64>> {
        self.maybe(name, Value::as_u64)
    }

    fn maybe_number(self, name: &'static str) -> Read<Option<f64>> {
        self.maybe(name, Value::as_f64)
    }

    fn resources(self) -> Read<Resources> {
        Ok(Resources {
            cpu_percent: self.maybe_number("cpu_percent")?,
            mem_used_bytes: self.maybe_count("mem_used_bytes")?,
            mem_limit_bytes: self.maybe_count("mem_limit_bytes")?,
            mem_percent: self.maybe_number("mem_percent")?,
            net_rx_bytes: self.maybe_count("net_rx_bytes")?,
            net_tx_bytes: self.maybe_count("net_tx_bytes")?,
            disk_read_bytes: self.maybe_count("disk_read_bytes")?,
            disk_write_bytes: self.maybe_count("disk_write_bytes")?,
        })
    }

    fn rates(self) -> Read<Rates> {
        Ok(Rates {
            net_rx_per_second: self.maybe_number("net_rx_per_second")?,
            net_tx_per_second: self.maybe_number("net_tx_per_second")?,
            disk_read_per_second: self.maybe_number("disk_read_per_second")?,
            disk_write_per_second: self.maybe_number("disk_write_per_second")?,
        })
    }
}

fn system(it: Fields<'_>) -> Read<SystemRow> {
    Ok(SystemRow {
        time: it.time("time")?,
        system_name: it.text("system_name")?,
        host: it.text("host")?,
        resources: it.resources()?,
        rates: it.rates()?,
    })
}

fn agent(it: Fields<'_>) -> Read<AgentRow> {
    Ok(AgentRow {
        time: it.time("time")?,
        agent_name: it.text("agent_name")?,
        role: it.text("role")?,
        tool: it.text("tool")?,
        runtime: it.text("runtime")?,
        state: it.text("state")?,
        host: it.text("host")?,
        resources: it.resources()?,
        rates: it.rates()?,
    })
}

fn channel(it: Fields<'_>) -> Read<ChannelRow> {
    Ok(ChannelRow {
        time: it.time("time")?,
        channel_name: it.text("channel_name")?,
        message_count: it.count("message_count")?,
        member_count: it.maybe_count("member_count")?,
        reaction_count: it.count("reaction_count")?,
        host: it.text("host")?,
    })
}

fn tokens(it: Fields<'_>) -> Read<TokenRow> {
    let used = TokensUsed {
        input_tokens: it.count("input_tokens")?,
        output_tokens: it.count("output_tokens")?,
        cache_read: it.count("cache_read")?,
        cache_create: it.count("cache_create")?,
        cost_usd: it.maybe_number("cost_usd")?,
        reported_cost_usd: it.maybe_number("reported_cost_usd")?,
        unpriced_events: it.count("unpriced_events")?,
    };
    let (agent_name, model) = (it.text("agent_name")?, it.text("model")?);
    Ok(TokenRow { time: it.time("time")?, agent_name, model, used, host: it.text("host")? })
}

fn state(it: Fields<'_>) -> Read<StateRow> {
    Ok(StateRow {
        time: it.time("time")?,
        agent_name: it.text("agent_name")?,
        role: it.text("role")?,
        tool: it.text("tool")?,
        runtime: it.text("runtime")?,
        state: it.text("state")?,
        started_at: it.maybe("started_at", |value| value.as_str()?.parse().ok())?,
        host: it.text("host")?,
    })
}

fn gap(it: Fields<'_>) -> Read<GapRow> {
    Ok(GapRow {
        time: it.time("time")?,
        from: it.time("from")?,
        to: it.time("to")?,
        events: it.count("events")?,
        what: it.text("what")?,
        reason: it.text("reason")?,
        host: it.text("host")?,
    })
}

fn summary(it: Fields<'_>) -> Read<AgentSummary> {
    let (cpu, memory, disk) = (it.object("cpu")?, it.object("memory")?, it.object("disk")?);
    let cost = it.maybe_object("cost")?;
    Ok(AgentSummary {
        agent_name: it.text("agent_name")?,
        role: it.text("role")?,
        tool: it.text("tool")?,
        runtime: it.text("runtime")?,
        state: it.text("state")?,
        cpu: CpuSummary {
            avg_percent: cpu.maybe_number("avg_percent")?,
            max_percent: cpu.maybe_number("max_percent")?,
        },
        memory: MemorySummary {
            avg_bytes: memory.maybe_count("avg_bytes")?,
            max_bytes: memory.maybe_count("max_bytes")?,
            avg_percent: memory.maybe_number("avg_percent")?,
        },
        disk: transfer(disk, "read_bytes", "write_bytes")?,
        network: it.maybe_object("network")?.map(|it| transfer(it, "rx_bytes", "tx_bytes")).transpose()?,
        tokens: it.maybe_object("tokens")?.map(token_summary).transpose()?,
        cost_usd: cost.map(|cost| cost.maybe_number("total_usd")).transpose()?.flatten(),
        models: rows(it.get("models")?, model)?,
    })
}

fn transfer(it: Fields<'_>, received: &'static str, sent: &'static str) -> Read<Transfer> {
    Ok(Transfer { received: it.maybe_count(received)?, sent: it.maybe_count(sent)? })
}

fn token_summary(it: Fields<'_>) -> Read<TokenSummary> {
    Ok(TokenSummary {
        input: it.count("input")?,
        output: it.count("output")?,
        cache_read: it.count("cache_read")?,
        cache_create: it.count("cache_create")?,
    })
}

fn model(it: Fields<'_>) -> Read<ModelSummary> {
    Ok(ModelSummary {
        model: it.text("model")?,
        cost_usd: it.maybe_number("cost_usd")?,
        input_tokens: it.count("input_tokens")?,
        output_tokens: it.count("output_tokens")?,
    })
}

fn agent_stat(it: Fields<'_>) -> Read<AgentStat> {
    let state = it.text("state")?;
    Ok(AgentStat {
        name: it.text("name")?,
        role: it.text("role")?,
        state: event::State::from_word(&state).ok_or(wrong("state"))?,
        uptime_nanos: it.count("uptime")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(topic: Topic, answer: &Answer) {
        let json = serde_json::to_value(answer).unwrap();
        assert_eq!(read_answer(topic, &json).as_ref(), Ok(answer), "{json}");
        let Some(object) = json.get(0).unwrap_or(&json).as_object() else { return };
        for name in object.keys() {
            let mut lacking = object.clone();
            lacking.remove(name);
            let lacking = Value::Object(lacking);
            let lacking = if json.is_array() { Value::Array(vec![lacking]) } else { lacking };
            let error = read_answer(topic, &lacking).unwrap_err();
            assert_eq!(error.field, name);
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (one, other) = (Time::from_micros(1_767_323_045_678_901), Time::from_micros(946_684_800_000_000));
        let resources = Resources { cpu_percent: Some(0.1), mem_used_bytes: Some(7), ..Resources::default() };
        let rates = Rates { net_rx_per_second: Some(1.5), ..Rates::default() };
        let (time, host) = (one, Text::new("h"));
        let system = SystemRow { time, system_name: "s".into(), host: host.clone(), resources, rates };
        check(Topic::System, &Answer::System(vec![system, SystemRow { time, ..SystemRow::default() }]));
        let agent = AgentRow {
            time,
            agent_name: "zen".into(),
            state: "idle".into(),
            resources,
            rates,
            ..AgentRow::default()
        };
        check(Topic::Latest, &Answer::Agents(vec![agent]));
        let channel = ChannelRow { time, member_count: Some(3), message_count: 2, ..ChannelRow::default() };
        check(Topic::Channels, &Answer::Channels(vec![channel]));
        let used = TokensUsed { input_tokens: u64::MAX / 2, cost_usd: Some(0.25), ..TokensUsed::default() };
        check(Topic::Tokens, &Answer::Tokens(vec![TokenRow { time, used, ..TokenRow::default() }]));
        let state = StateRow { time, started_at: Some(other), ..StateRow::default() };
        check(Topic::States, &Answer::States(vec![state]));
        let gap = GapRow { time, from: other, to: one, events: 3, host, ..GapRow::default() };
        check(Topic::Gaps, &Answer::Gaps(vec![gap]));
        check(Topic::Summary, &Answer::Summary(None));
        let model = ModelSummary { model: "m".into(), cost_usd: Some(2.0), ..ModelSummary::default() };
        let summary = AgentSummary {
            network: Some(Transfer { received: Some(1), sent: None }),
            tokens: Some(TokenSummary { input: 5, ..TokenSummary::default() }),
            cost_usd: Some(2.0),
            models: vec![model],
            ..AgentSummary::default()
        };
        check(Topic::Summary, &Answer::Summary(Some(Box::new(summary))));
    }

    #[test]
    fn a_workspace_is_read_back() {
        let stat = AgentStat { name: "zen".into(), uptime_nanos: 5, ..AgentStat::default() };
        let time = Time::from_micros(1_767_323_045_678_901);
        let workspace = WorkspaceStats {
            collected_at: time,
            agents: vec![stat],
            working: 1,
            utilization: Some(0.5),
            ..WorkspaceStats::default()
        };
        let json = serde_json::to_value(&workspace).unwrap();
        assert_eq!(read_workspace(&json), Ok(workspace));
        assert!(read_workspace(&Value::Null).is_err());
    }
}
