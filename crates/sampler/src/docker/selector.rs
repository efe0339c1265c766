//! Which container is whose: by configured names, by its labels, by patterns.

use std::collections::HashSet;

use event::Text;

use super::listing::{Container, Phase};
use crate::names::{AgentPattern, Identity, SystemPattern};

/// An agent whose container is configured by name. While it has none, it is sampled as stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedContainer {
    /// The agent's name.
    pub name: Text,
    /// The container's name.
    pub container: String,
    /// What it is for; may be empty.
    pub role: Text,
    /// The coding tool that it runs; may be empty.
    pub tool: Text,
}

impl NamedContainer {
    fn identity(&self) -> Identity {
        Identity { name: self.name.clone(), role: self.role.clone(), tool: self.tool.clone() }
    }

    fn is(&self, container: &Container) -> bool {
        self.container == container.name && !container.name.is_empty()
    }
}

/// Which containers are agents and systems; the others are nobody's.
#[derive(Clone, Debug, Default)]
pub struct ContainerSelector {
    /// Agents by name; they come first.
    pub named: Vec<NamedContainer>,
    /// Systems by pattern; they come before agents by pattern.
    pub systems: Option<SystemPattern>,
    /// Agents by pattern.
    pub agents: Option<AgentPattern>,
}

/// Whose a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Agent(Identity),
    System(Text),
}

impl Owner {
    /// What makes it one and the same: role and tool do not.
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Agent(identity) => Key::Agent(identity.name.clone()),
            Self::System(name) => Key::System(name.clone()),
        }
    }
}

/// The name of an agent or of a system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Agent(Text),
    System(Text),
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Agents of which a container runs.
    pub agents: usize,
    /// Systems of which one runs.
    pub systems: usize,
}

impl ContainerSelector {
    pub(super) fn owner(&self, container: &Container) -> Option<Owner> {
        let labels = &container.labels;
        if let Some(named) = self.named.iter().find(|named| named.is(container)) {
            let Identity { name, role, tool } = named.identity();
            let first = |ours: Text, label: &Text| if ours.is_empty() { label.clone() } else { ours };
            let (role, tool) = (first(role, &labels.role), first(tool, &labels.tool));
            return Some(Owner::Agent(Identity { name, role, tool }));
        }
        if labels.agent.is_empty() && !labels.system.is_empty() {
            return Some(Owner::System(labels.system.clone()));
        }
        let mut owner = match labels.agent.is_empty() {
            false => Owner::Agent(Identity { name: labels.agent.clone(), ..Identity::default() }),
            true => self.by_pattern(&container.name)?,
        };
        if let Owner::Agent(identity) = &mut owner {
            for (label, field) in [(&labels.role, &mut identity.role), (&labels.tool, &mut identity.tool)] {
                if !label.is_empty() {
                    field.clone_from(label);
                }
            }
        }
        Some(owner)
    }

    fn by_pattern(&self, name: &str) -> Option<Owner> {
        let system = self.systems.as_ref().and_then(|pattern| pattern.system(name)).map(Owner::System);
        system.or_else(|| self.agents.as_ref()?.agent(name).map(Owner::Agent))
    }

    /// The agents that are configured by name.
    pub(super) fn named_owners(&self) -> impl Iterator<Item = Owner> {
        self.named.iter().map(|named| Owner::Agent(named.identity()))
    }

    /// How many agents and systems run in these containers.
    #[must_use]
    pub fn tally(&self, containers: &[Container]) -> Tally {
        let running = containers.iter().filter(|container| container.phase == Phase::Runs);
        let keys: HashSet<Key> = running.filter_map(|container| Some(self.owner(container)?.key())).collect();
        let agents = keys.iter().filter(|key| matches!(key, Key::Agent(_))).count();
        Tally { agents, systems: keys.len() - agents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::listing::Labels;

    fn selector() -> ContainerSelector {
        let named = NamedContainer {
            name: Text::new("boss"),
            container: "the-db".to_owned(),
            role: Text::new("lead"),
            tool: Text::default(),
        };
        ContainerSelector {
            named: vec![named],
            systems: Some(SystemPattern::new(".+-(?:db|daemon)").unwrap()),
            agents: Some(AgentPattern::new("(?:bc|mycel)-[0-9a-f]{4,64}-(?<agent>.+)").unwrap()),
        }
    }

    fn check(name: &str, labels: Labels, expected: &str) {
        let container = Container { name: name.to_owned(), labels, ..Container::default() };
        let told = match selector().owner(&container) {
            None => "nobody".to_owned(),
            Some(Owner::System(name)) => format!("system {name}"),
            Some(Owner::Agent(Identity { name, role, tool })) => format!("agent {name} {role} {tool}"),
        };
        assert_eq!(told.trim_end(), expected, "{name}");
    }

    #[test]
    fn names_are_matched_whole_and_systems_come_first() {
        let none = Labels::default;
        check("bc-1234abcd-zen", none(), "agent zen");
        check("mycel-0a1b2c-a10", none(), "agent a10");
        check("bc-1234abcd-db", none(), "system bc-1234abcd-db");
        check("bc-1234abcd-bcd-daemon", none(), "system bc-1234abcd-bcd-daemon");
        check("xbc-1234abcd-zen", none(), "nobody");
        check("bc-1234abcd-", none(), "nobody");
        check("bc-zen", none(), "nobody");
        check("postgres-db-1", none(), "nobody");
        check("the-db", none(), "agent boss lead");
        check("the-db2", none(), "nobody");
        check("", none(), "nobody");
    }

    #[test]
    fn labels_come_before_patterns_and_the_configuration_before_both() {
        let labels = |agent: &str, role: &str, system: &str| Labels {
            agent: Text::new(agent),
            role: Text::new(role),
            tool: Text::new("codex"),
            system: Text::new(system),
        };
        check("bc-1234abcd-db", labels("crawler", "worker", "x"), "agent crawler worker codex");
        check("bc-1234abcd-zen", labels("", "worker", "queue"), "system queue");
        check("bc-1234abcd-zen", labels("", "worker", ""), "agent zen worker codex");
        check("the-db", labels("", "", ""), "agent boss lead codex");
        check("the-db", labels("crawler", "worker", "x"), "agent boss lead codex");
        check("other", labels("", "worker", ""), "nobody");
    }
}
