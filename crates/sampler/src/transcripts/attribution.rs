//! Whose a call is: the agent in whose home or directory it was made, else the project's name.

use std::path::{Component, Path};

use event::Text;
use event::limits::NAME_BYTES_MAX;
use usage::Tool;
use usage::transcript::Call;

use crate::Registry;

/// Tells whose the calls of one transcript are.
pub(super) struct Attribution<'a> {
    registry: &'a Registry,
    tool: Tool,
    path: &'a Path,
    /// Whose home the transcript is in.
    home_of: Option<Text>,
    /// Whose it is where nobody knows; empty until it was needed.
    owner: Text,
}

impl<'a> Attribution<'a> {
    pub(super) fn new(registry: &'a Registry, tool: Tool, path: &'a Path, owner: Text) -> Self {
        let home_of = path.to_str().and_then(|path| registry.agent_at(path));
        Self { registry, tool, path, home_of, owner }
    }

    /// The agent that made this call.
    pub(super) fn agent(&mut self, call: &Call) -> Text {
        if let Some(agent) = &self.home_of {
            return agent.clone();
        }
        let known = (!call.directory.is_empty()).then(|| self.registry.agent_at(&call.directory)).flatten();
        known.unwrap_or_else(|| self.owner_by(&call.directory))
    }

    /// What to remember of it for the transcript's next lines.
    pub(super) fn into_owner(self) -> Text {
        self.owner
    }

    /// The name of the project, which is decided once: a session that changes its directory stays its agent's.
    fn owner_by(&mut self, directory: &str) -> Text {
        if self.owner.is_empty() {
            self.owner = project(self.tool, self.path, directory);
        }
        self.owner.clone()
    }
}

/// The name of the directory that a session began in.
fn project(tool: Tool, path: &Path, directory: &str) -> Text {
    let slug = slug(tool, path);
    let name = match slug {
        Some(slug) => began_in(slug, directory).or_else(|| last(directory)).or_else(|| last_of_slug(slug)),
        None => last(directory),
    };
    name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0'))
        .unwrap_or(tool.name())
        .into()
}

/// The folder below `projects/` that Claude Code names after the directory of a session.
fn slug(tool: Tool, path: &Path) -> Option<&str> {
    if tool != Tool::Claude {
        return None;
    }
    let mut parts = path.parent()?.components().rev();
    let mut below = None;
    loop {
        match parts.next()? {
            // NOTE: from the file upwards, so that the tool's own folder counts and not one of its user's.
            Component::Normal(name) if name == "projects" => return below,
            Component::Normal(name) => below = name.to_str(),
            _ => return None,
        }
    }
}

/// The part of this directory that the folder is named after: every sign that is no letter or digit is a dash there.
fn began_in<'a>(slug: &str, directory: &'a str) -> Option<&'a str> {
    let dashed = |path: &str| -> String {
        path.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' }).collect()
    };
    let ancestors = Path::new(directory).ancestors().filter_map(Path::to_str);
    ancestors.filter(|ancestor| ancestor.len() > 1).find(|ancestor| dashed(ancestor) == slug).and_then(last)
}

fn last(directory: &str) -> Option<&str> {
    Path::new(directory).file_name()?.to_str()
}

fn last_of_slug(slug: &str) -> Option<&str> {
    slug.rsplit('-').find(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_name_of_the_directory_that_its_session_began_in() {
        let check = |tool: Tool, path: &str, directory: &str, expected: &str| {
            assert_eq!(project(tool, Path::new(path), directory), expected, "{path} {directory}");
        };
        let claude = "/h/.claude/projects/-w-my-api/s.jsonl";
        check(Tool::Claude, claude, "/w/my-api", "my-api");
        check(Tool::Claude, claude, "/w/my.api/src/deep", "my.api");
        check(Tool::Claude, claude, "/elsewhere/now", "now");
        check(Tool::Claude, claude, "", "api");
        check(Tool::Claude, "/projects/x/.claude/projects/-w-a/s/subagents/agent-1.jsonl", "/w/a/b", "a");
        check(Tool::Claude, "/h/.claude/projects/s.jsonl", "", "claude");
        check(Tool::Claude, "/h/.claude/projects/--/s.jsonl", "/", "claude");
        check(Tool::Codex, "/h/.codex/sessions/2026/rollout-x.jsonl", "/w/my-api", "my-api");
        check(Tool::Codex, "/h/.codex/sessions/2026/rollout-x.jsonl", "", "codex");
    }

    #[test]
    fn a_session_that_moves_stays_its_projects() {
        let registry = Registry::default();
        let path = Path::new("/h/.codex/sessions/rollout-x.jsonl");
        let mut attribution = Attribution::new(&registry, Tool::Codex, path, Text::default());
        let at = |directory: &str| Call { directory: directory.into(), ..Call::default() };
        assert_eq!(attribution.agent(&at("/w/a")), "a");
        assert_eq!(attribution.agent(&at("/w/a/src")), "a");
        let owner = attribution.into_owner();
        assert_eq!(Attribution::new(&registry, Tool::Codex, path, owner).agent(&at("/w/b")), "a");
    }
}
