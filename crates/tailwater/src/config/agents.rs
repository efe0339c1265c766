//! The agents of the configuration: the array of tables `[[agents]]` in `tailwater.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use event::Text;
use event::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use sampler::ConfiguredAgent;

use super::raw::ConfigError;

/// The name of the array.
pub(super) const ARRAY: &str = "agents";

/// The keys of an agent, with what they mean and an example.
pub(super) const KEYS: [(&str, &str, &str); 7] = [
    ("name", "what the agent is called; every agent needs a name of its own", "zen"),
    ("role", "what it is for; coordinator and worker are counted by `tailwater stats`", "worker"),
    ("tool", "the coding tool that it runs", "claude"),
    ("session", "the exact name of its tmux session", "zen"),
    ("container", "the exact name of its container", "bc-1a2b3c-zen"),
    ("home", "its own home folder, if it has one: its transcripts are in there", "/srv/agents/zen"),
    ("directory", "where it works, if that is its place alone", "/work/zen"),
];

/// The values of an agent, by key, in the order of the documentation; none for those that are not set.
pub fn values(agent: &ConfiguredAgent) -> impl Iterator<Item = (&'static str, &str)> {
    let values = [
        Some(&agent.name),
        Some(&agent.role),
        Some(&agent.tool),
        agent.session.as_ref(),
        agent.container.as_ref(),
        agent.home.as_ref(),
        agent.directory.as_ref(),
    ];
    let keyed = KEYS.iter().zip(values).filter_map(|((key, ..), value)| Some((*key, value?.as_str())));
    keyed.filter(|(_, value)| !value.is_empty())
}

/// What a new configuration file says of agents: all of it a comment.
pub fn template() -> String {
    let mut text = String::from(
        "\n## Agents that are known by name, each in a table of its own; only `name` is needed.\n##\n## [[agents]]\n",
    );
    for (key, help, example) in KEYS {
        text.push_str(&format!("## {:<28} # {help}\n", format!("{key} = {example:?}")));
    }
    text
}

/// Reads the array: the agents that are sound, and every problem with the others.
pub(super) fn read(path: &Path, value: &toml::Value) -> (Vec<ConfiguredAgent>, Vec<ConfigError>) {
    let mut agents: Vec<ConfiguredAgent> = Vec::new();
    let mut problems = Vec::new();
    let tables = value.as_array().map(Vec::as_slice);
    if tables.is_none() {
        problems.push(problem(path, "agents", "must be tables that begin with [[agents]]"));
    }
    let mut taken = BTreeSet::new();
    for (number, table) in (1..).zip(tables.unwrap_or_default()) {
        match agent(number, table).and_then(|agent| unlike_others(agent, &mut taken)) {
            Ok(agent) => agents.push(agent),
            Err((who, what)) => problems.push(problem(path, &who, &what)),
        }
    }
    (agents, problems)
}

fn problem(path: &Path, agent: &str, problem: &str) -> ConfigError {
    ConfigError::Agent { path: path.to_owned(), agent: agent.to_owned(), problem: problem.to_owned() }
}

/// Who it is, and what is wrong.
type Problem = (String, String);

fn agent(number: usize, table: &toml::Value) -> Result<ConfiguredAgent, Problem> {
    let unnamed = format!("agent number {number}");
    let table =
        table.as_table().ok_or_else(|| (unnamed.clone(), "must be a table, [[agents]]".to_owned()))?;
    let name = table.get("name").and_then(toml::Value::as_str).unwrap_or_default();
    let who = if name.is_empty() { unnamed } else { format!("agent {name}") };
    let told = |what: String| (who.clone(), what);
    if let Some(key) = table.keys().find(|key| KEYS.iter().all(|(known, ..)| known != key)) {
        let keys = KEYS.map(|(key, ..)| key).join(", ");
        return Err(told(format!("unknown key {key}; there are {keys}")));
    }
    let text = |key: &str, most: usize| match table.get(key) {
        None => Ok(None),
        Some(value) => checked(key, value, most).map_err(told).map(Some),
    };
    let path = |key: &str| match text(key, TEXT_BYTES_MAX)? {
        Some(path) if !Path::new(path.as_str()).is_absolute() => {
            Err(told(format!("key {key}: must be a whole path, from / on")))
        }
        path => Ok(path),
    };
    Ok(ConfiguredAgent {
        name: text("name", NAME_BYTES_MAX)?.ok_or_else(|| told("key name: is missing".to_owned()))?,
        role: text("role", TEXT_BYTES_MAX)?.unwrap_or_default(),
        tool: text("tool", TEXT_BYTES_MAX)?.unwrap_or_default(),
        session: text("session", TEXT_BYTES_MAX)?,
        container: text("container", TEXT_BYTES_MAX)?,
        home: path("home")?,
        directory: path("directory")?,
    })
}

fn checked(key: &str, value: &toml::Value, most: usize) -> Result<Text, String> {
    let text =
        value.as_str().ok_or_else(|| format!("key {key}: must be text, not this {}", value.type_str()))?;
    if text.is_empty() || text.len() > most || text.contains('\0') {
        return Err(format!("key {key}: must have 1 to {most} bytes, and no NUL"));
    }
    Ok(Text::new(text))
}

/// The agent, if nobody before it has its name, its session or its container.
fn unlike_others(
    agent: ConfiguredAgent,
    taken: &mut BTreeSet<(&'static str, Text)>,
) -> Result<ConfiguredAgent, Problem> {
    let own = [
        ("name", Some(&agent.name)),
        ("session", agent.session.as_ref()),
        ("container", agent.container.as_ref()),
    ];
    let own: Vec<(&'static str, Text)> =
        own.into_iter().filter_map(|(key, value)| Some((key, value?.clone()))).collect();
    if let Some((key, value)) = own.iter().find(|own| taken.contains(*own)) {
        let what = format!("key {key}: {value} is another agent's already");
        return Err((format!("agent {}", agent.name), what));
    }
    taken.extend(own);
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<ConfiguredAgent>, Vec<String>) {
        let table: toml::Table = text.parse().unwrap();
        let (agents, problems) = read(Path::new("/t.toml"), table.get(ARRAY).unwrap());
        (agents, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_template_uncommented_is_an_agent_with_every_key() {
        let text = template();
        let text: String =
            text.lines().skip(2).map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
        let (agents, problems) = read_text(&text);
        assert_eq!(problems, [] as [&str; 0], "{text}");
        let values: Vec<_> = values(&agents[0]).collect();
        assert_eq!(values, KEYS.map(|(key, _, example)| (key, example)));
        let (agents, _) = read_text("[[agents]]\nname = \"a\"");
        assert_eq!(super::values(&agents[0]).collect::<Vec<_>>(), [("name", "a")]);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_agent_and_the_key_and_the_others_are_there() {
        let check = |tables: &str, says: &str| {
            let (agents, problems) = read_text(&format!("{tables}\n[[agents]]\nname = \"good\""));
            assert_eq!(agents.last().unwrap().name, "good");
            assert_eq!(problems, [format!("the configuration file /t.toml, {says}")]);
        };
        let a = "[[agents]]\nname = \"a\"\n";
        check("[[agents]]\nrole = \"x\"", "agent number 1: key name: is missing");
        check("[[agents]]\nname = \"\"", "agent number 1: key name: must have 1 to 255 bytes, and no NUL");
        check("[[agents]]\nname = 5", "agent number 1: key name: must be text, not this integer");
        check(&format!("{a}role = true"), "agent a: key role: must be text, not this boolean");
        check(&format!("{a}home = \"~/x\""), "agent a: key home: must be a whole path, from / on");
        let keys = "there are name, role, tool, session, container, home, directory";
        check(&format!("{a}sesion = \"x\""), &format!("agent a: unknown key sesion; {keys}"));
        check(&format!("{a}{a}"), "agent a: key name: a is another agent's already");
        let two = format!("{a}session = \"s\"\n[[agents]]\nname = \"b\"\nsession = \"s\"");
        check(&two, "agent b: key session: s is another agent's already");
        let table: toml::Table = "agents = \"zen\"".parse().unwrap();
        let (_, problems) = read(Path::new("/t.toml"), table.get(ARRAY).unwrap());
        assert!(problems[0].to_string().ends_with("agents: must be tables that begin with [[agents]]"));
    }
}
