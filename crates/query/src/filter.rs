//! What a request chooses: series by name and host, rows by what they show.

use event::limits::NAME_BYTES_MAX;
use event::limits::TEXT_BYTES_MAX;
use event::{State, Text};

use crate::error::RequestError;
use crate::{AgentRow, SystemRow};

/// The most names in one parameter.
const NAMES_MAX: usize = 1_000;

/// Some names, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    chosen: Option<Vec<Text>>,
}

impl Names {
    /// No choice: every name will do.
    pub const ANY: Self = Self { chosen: None };

    /// Just these names; without one, nothing will do.
    #[must_use]
    pub fn only(names: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        Self { chosen: Some(names.into_iter().map(Into::into).collect()) }
    }

    /// Reads names with commas between them; absent or empty text is no choice.
    ///
    /// # Errors
    /// When a name is empty, too long or has a NUL, or there are more than 1,000.
    pub fn parse(parameter: &'static str, text: Option<&str>) -> Result<Self, RequestError> {
        Self::parse_up_to(NAME_BYTES_MAX, parameter, text)
    }

    /// The same for a label, which may be longer.
    ///
    /// # Errors
    /// As [`Self::parse`], but a name may have 4 KiB.
    pub fn parse_label(parameter: &'static str, text: Option<&str>) -> Result<Self, RequestError> {
        Self::parse_up_to(TEXT_BYTES_MAX, parameter, text)
    }

    fn parse_up_to(
        bytes_max: usize,
        parameter: &'static str,
        text: Option<&str>,
    ) -> Result<Self, RequestError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::ANY) };
        let mut names: Vec<Text> = Vec::new();
        for name in text.split(',') {
            check_name(parameter, name, bytes_max)?;
            if names.len() == NAMES_MAX {
                return Err(RequestError::new(parameter, format!("has more than {NAMES_MAX} names")));
            }
            names.push(name.into());
        }
        Ok(Self { chosen: Some(names) })
    }

    /// The names chosen; `None` is all.
    #[must_use]
    pub fn chosen(&self) -> Option<&[Text]> {
        self.chosen.as_deref()
    }

    /// Whether this name will do.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.iter().any(|choice| choice == name))
    }
}

pub(crate) fn check_name(parameter: &'static str, name: &str, bytes_max: usize) -> Result<(), RequestError> {
    let problem = if name.is_empty() {
        "has an empty name: write names with single commas between them, such as a,b".to_owned()
    } else if name.len() > bytes_max {
        format!("has a name of {} bytes, the most is {bytes_max}", name.len())
    } else if name.contains('\0') {
        "has a name with a NUL character".to_owned()
    } else {
        return Ok(());
    };
    Err(RequestError::new(parameter, problem))
}

/// Which agents, and which of their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Chooses series: `agent=a,b`.
    pub agent_name: Names,
    /// Chooses series: `host=`.
    pub host: Names,
    /// Chooses rows: `role=`.
    pub role: Names,
    /// Chooses rows: `tool=`.
    pub tool: Names,
    /// Chooses rows: `runtime=`.
    pub runtime: Names,
    /// Chooses rows: `state=`, each one a word of [`State`].
    pub state: Names,
}

impl AgentFilter {
    /// Reads the parameters agent, host, role, tool, runtime and state; `get` gives the text of one by its name.
    ///
    /// # Errors
    /// When one of them is no list of names, or a state is none.
    pub fn parse<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, RequestError> {
        let label = |name: &'static str| Names::parse_label(name, get(name));
        Ok(Self {
            agent_name: Names::parse("agent", get("agent"))?,
            host: Names::parse("host", get("host"))?,
            role: label("role")?,
            tool: label("tool")?,
            runtime: label("runtime")?,
            state: states(get("state"))?,
        })
    }

    /// Whether this series is chosen.
    #[must_use]
    pub fn has_series(&self, agent_name: &str, host: &str) -> bool {
        self.agent_name.has(agent_name) && self.host.has(host)
    }

    /// Whether this row of a chosen series is.
    #[must_use]
    pub fn has_row(&self, row: &AgentRow) -> bool {
        self.role.has(&row.role)
            && self.tool.has(&row.tool)
            && self.runtime.has(&row.runtime)
            && self.state.has(&row.state)
            && self.has_series(&row.agent_name, &row.host)
    }
}

fn states(text: Option<&str>) -> Result<Names, RequestError> {
    let names = Names::parse("state", text)?;
    let unknown = names.chosen().and_then(|words| words.iter().find(|word| State::from_word(word).is_none()));
    let Some(word) = unknown else { return Ok(names) };
    let words: Vec<_> = State::ALL.map(State::as_str).into_iter().filter(|word| !word.is_empty()).collect();
    Err(RequestError::new("state", format!("{word:?} is not one of: {}", words.join(", "))))
}

/// Which systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemFilter {
    /// `system=a,b`.
    pub system_name: Names,
    /// `host=`.
    pub host: Names,
}

impl SystemFilter {
    /// Reads the parameters system and host; `get` gives the text of one by its name.
    ///
    /// # Errors
    /// When one of them is no list of names.
    pub fn parse<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, RequestError> {
        Ok(Self {
            system_name: Names::parse("system", get("system"))?,
            host: Names::parse("host", get("host"))?,
        })
    }

    /// Whether this series is chosen.
    #[must_use]
    pub fn has_series(&self, system_name: &str, host: &str) -> bool {
        self.system_name.has(system_name) && self.host.has(host)
    }

    /// Whether this row is: rows of systems show nothing else to choose by.
    #[must_use]
    pub fn has_row(&self, row: &SystemRow) -> bool {
        self.has_series(&row.system_name, &row.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &'static str)]) -> Result<AgentFilter, RequestError> {
        AgentFilter::parse(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, text)| *text))
    }

    #[test]
    fn names_are_lists() {
        let filter = parse(&[("agent", "a,b"), ("role", ""), ("state", "idle,stuck")]).unwrap();
        assert_eq!(filter.agent_name, Names::only(["a", "b"]));
        assert!(filter.has_series("a", "h") && !filter.has_series("ab", "h"));
        assert_eq!(filter.role, Names::ANY);
        assert!(filter.state.has("stuck") && !filter.state.has(""));
        assert!(!Names::only([""; 0]).has("a"));
    }

    #[test]
    fn errors_name_the_parameter() {
        let check = |name: &str, text: &'static str, says: &str| {
            let error = parse(&[(name, text)]).unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: {says}"));
        };
        check("agent", "a,,b", "has an empty name: write names with single commas between them, such as a,b");
        check("host", "a\0", "has a name with a NUL character");
        check("state", "idle,bored", "\"bored\" is not one of: idle, working, done, stuck, error, stopped");
        check("agent", "x".repeat(256).leak(), "has a name of 256 bytes, the most is 255");
        check("tool", "x,".repeat(1_001).leak().trim_end_matches(','), "has more than 1000 names");
    }
}
