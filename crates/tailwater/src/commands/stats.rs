//! `tailwater stats`: the agents of this workspace, and how many of them do what.

use std::time::Duration;

use serde_json::Value;

use crate::access::{self, Missing};
use crate::cli::{Format, StatsArgs};
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::output::{self, FIELDS, Screen, Sheet};

/// Prints the statistics.
///
/// # Errors
/// Exit code 1 when there are no agents.
pub(crate) async fn stats(config: &Config, args: &StatsArgs) -> Result<(), Failure> {
    let answer = access::ask(config, Task::Stats, Vec::new(), Missing::Refuse, access::print).await?;
    match args.format.format {
        Format::Json => output::json(&answer)?,
        Format::Csv => sheet(&answer, exact).print(Format::Csv)?,
        Format::Table => sheet(&answer, for_people).show(&Screen::of_stdout(), &FIELDS)?,
    }
    match answer.pointer("/agents/total_agents").and_then(Value::as_u64) {
        Some(0) => Err(Failure::unhealthy(
            "no agents: none is configured, and none was seen or heard in the last 24 hours",
        )),
        _ => Ok(()),
    }
}

/// Every number by its name, and each agent in a line of its own.
fn sheet(answer: &Value, agent: fn(&Value) -> String) -> Sheet {
    let plain = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let numbers = |object: &Value| -> Vec<(String, String)> {
        let fields = object.as_object().into_iter().flatten();
        let single = fields.filter(|(_, value)| !value.is_object() && !value.is_array());
        single.map(|(name, value)| (name.clone(), plain(value))).collect()
    };
    let mut fields = numbers(answer);
    fields.extend(answer.get("agents").map(numbers).unwrap_or_default());
    let agents = answer.pointer("/agents/agent_stats").and_then(Value::as_array).into_iter().flatten();
    fields.extend(agents.map(|it| (format!("agent.{}", text(it, "name")), agent(it))));
    Sheet::of_fields(fields)
}

fn text<'a>(agent: &'a Value, field: &str) -> &'a str {
    agent[field].as_str().unwrap_or_default()
}

/// `working;worker;5400000000000`.
fn exact(agent: &Value) -> String {
    let uptime = agent["uptime"].as_u64().unwrap_or_default();
    format!("{};{};{uptime}", text(agent, "state"), text(agent, "role"))
}

/// `working; worker; up 1h 30m`.
fn for_people(agent: &Value) -> String {
    let state = Some(text(agent, "state")).filter(|state| !state.is_empty()).unwrap_or("unknown");
    let mut line = state.to_owned();
    if !text(agent, "role").is_empty() {
        line.push_str(&format!("; {}", text(agent, "role")));
    }
    match agent["uptime"].as_u64() {
        None | Some(0) => line,
        Some(nanos) => line + "; up " + &uptime(Duration::from_nanos(nanos)),
    }
}

/// The two greatest units.
fn uptime(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sheet_has_every_number_and_each_agent() {
        let agents = json!([
            { "name": "zen", "role": "worker", "state": "working", "uptime": 5_400_000_000_000_u64 },
            { "name": "a1", "role": "", "state": "", "uptime": 0 },
        ]);
        let answer = json!({
            "collected_at": "now", "agents": { "agent_stats": agents, "total_agents": 2 }, "utilization": null,
        });
        let rows =
            |agent| sheet(&answer, agent).rows.into_iter().map(|row| row.join("=")).collect::<Vec<_>>();
        let head = ["collected_at=now", "utilization=", "total_agents=2"];
        let told = rows(for_people);
        assert_eq!(told[..3], head);
        assert_eq!(told[3..], ["agent.zen=working; worker; up 1h 30m", "agent.a1=unknown"]);
        assert_eq!(rows(exact)[3..], ["agent.zen=working;worker;5400000000000", "agent.a1=;;0"]);
    }

    #[test]
    fn uptimes_have_two_units() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (90_061, "1d 1h"), (864_000, "10d 0h")]
        {
            assert_eq!(uptime(Duration::from_secs(seconds)), expected);
        }
    }
}
