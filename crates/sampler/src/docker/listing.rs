//! The engine's list of containers, `GET /containers/json`.

use event::Text;
use serde_json::Value;

use super::json::{AnswerError, text};
use crate::proc::{Parsed, show};

/// A container as the list tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// The engine's name for its whole life: letters and digits.
    pub id: String,
    /// Its name, without the slash in front; empty where it has none.
    pub name: String,
    /// Its labels that are ours.
    pub labels: Labels,
    /// Whether it runs.
    pub phase: Phase,
}

/// The labels that tell whose a container is; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// `tailwater.agent`: the agent's name.
    pub agent: Text,
    /// `tailwater.role`.
    pub role: Text,
    /// `tailwater.tool`.
    pub tool: Text,
    /// `tailwater.system`: the system's name.
    pub system: Text,
}

/// Whether a container runs, as far as the list tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It runs or is paused; or the engine has a word that is not known here, and must be asked.
    #[default]
    Runs,
    /// It has no process.
    Stopped,
}

/// The engine's words for containers without a process, Podman's among them.
const STOPPED: [&str; 8] =
    ["created", "configured", "initialized", "exited", "stopped", "dead", "removing", "restarting"];

/// Reads the list.
///
/// # Errors
/// When it is no JSON array. A container of which nothing can be told is a problem.
pub fn parse(answer: &[u8]) -> Result<Parsed<Container>, AnswerError> {
    let value: Value = serde_json::from_slice(answer).map_err(AnswerError::Syntax)?;
    let Value::Array(items) = value else { return Err(AnswerError::Shape("a list of containers")) };
    let mut parsed = Parsed::default();
    for (index, item) in items.iter().enumerate() {
        match container(item) {
            Ok(container) => parsed.items.push(container),
            Err(problem) => parsed.problems.push(format!("container {index} of the list {problem}")),
        }
    }
    Ok(parsed)
}

fn container(item: &Value) -> Result<Container, String> {
    let id = text(item, "/Id");
    // IMPORTANT: it becomes part of the path of a request.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("has the id {}", show(id.as_bytes())));
    }
    let state = text(item, "/State");
    let phase = if STOPPED.contains(&state) { Phase::Stopped } else { Phase::Runs };
    Ok(Container { id: id.to_owned(), name: name(item).to_owned(), labels: labels(item), phase })
}

/// The container's own name: those with a second slash are what other containers call it.
fn name(item: &Value) -> &str {
    let names = item.get("Names").and_then(Value::as_array);
    let mut names = names.into_iter().flatten().filter_map(Value::as_str);
    let own = names.find_map(|name| {
        let name = name.strip_prefix('/').unwrap_or(name);
        (!name.contains('/')).then_some(name)
    });
    own.unwrap_or_default()
}

fn labels(item: &Value) -> Labels {
    let labels = item.get("Labels");
    let label = |key| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str).map(Text::new);
    Labels {
        agent: label("tailwater.agent").unwrap_or_default(),
        role: label("tailwater.role").unwrap_or_default(),
        tool: label("tailwater.tool").unwrap_or_default(),
        system: label("tailwater.system").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_container_does_not_spoil_the_others() {
        let answer = br#"[
            {"Id": "a1", "Names": ["/x/alias", "/own"], "Labels": {"tailwater.agent": "zen", "tailwater.role": 7}, "State": "running"},
            {"Id": "../x", "Names": ["/bad"]},
            7,
            {"Id": "b2", "Names": null, "Labels": null, "State": "exited", "Ports": "odd"},
            {"Id": "c3", "Names": ["/c"], "State": "a word of tomorrow"}
        ]"#;
        let parsed = parse(answer).unwrap();
        let zen = Labels { agent: Text::new("zen"), ..Labels::default() };
        let container = |id: &str, name: &str, labels, phase| Container {
            id: id.to_owned(),
            name: name.to_owned(),
            labels,
            phase,
        };
        let expected = [
            container("a1", "own", zen, Phase::Runs),
            container("b2", "", Labels::default(), Phase::Stopped),
            container("c3", "c", Labels::default(), Phase::Runs),
        ];
        assert_eq!(parsed.items, expected);
        assert_eq!(parsed.problems.len(), 2, "{:?}", parsed.problems);
        assert_eq!(parsed.problems[0], "container 1 of the list has the id \"../x\"");
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for answer in ["", "{}", "null", "[", r#"{"message":"sekret"}"#] {
            let error = parse(answer.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the answer is not"), "{error}");
        }
        assert_eq!(parse(b"[]").unwrap(), Parsed::default());
    }
}
