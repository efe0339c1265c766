//! Where the coding tools keep their transcripts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use usage::Tool;

/// A home of a coding tool, such as `~/.claude`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Home {
    /// Whose it is.
    pub tool: Tool,
    /// Where it is.
    pub path: PathBuf,
}

/// A folder of a home that has transcripts in it, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) tool: Tool,
    pub(super) path: Arc<Path>,
    /// The folder whose files are preferred to those of the same name here.
    pub(super) preferred: Option<PathBuf>,
}

impl Home {
    /// The folders of this home that transcripts are in.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.roots().into_iter().map(|root| root.path.to_path_buf()).collect()
    }

    pub(super) fn roots(&self) -> Vec<Root> {
        let root =
            |name: &str, preferred| Root { tool: self.tool, path: self.path.join(name).into(), preferred };
        match self.tool {
            Tool::Claude => vec![root("projects", None)],
            // NOTE: a session that is archived while it is written is there twice for a moment, or for good.
            Tool::Codex => {
                let active = self.path.join("sessions");
                vec![root("sessions", None), root("archived_sessions", Some(active))]
            }
        }
    }
}

/// The homes that the environment tells, whether they are there or not.
#[must_use]
pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Vec<Home> {
    let set = |name: &str| variable(name).filter(|text| !text.is_empty());
    let user = set("HOME").map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| user.as_ref().map(|user| user.join(".config")));
    let claude = set("CLAUDE_CONFIG_DIR").map_or_else(
        || {
            let in_user = user.iter().map(|user| user.join(".claude"));
            in_user.chain(config.map(|config| config.join("claude"))).collect()
        },
        |text| list(&text),
    );
    let codex = set("CODEX_HOME")
        .map_or_else(|| user.iter().map(|user| user.join(".codex")).collect(), |text| list(&text));
    homes(claude, codex)
}

/// The homes in the home of a user, or of an agent that has one of its own.
#[must_use]
pub fn in_user_home(user: &Path) -> Vec<Home> {
    homes(vec![user.join(".claude"), user.join(".config/claude")], vec![user.join(".codex")])
}

fn homes(claude: Vec<PathBuf>, codex: Vec<PathBuf>) -> Vec<Home> {
    let of = |tool: Tool| move |path: PathBuf| Home { tool, path };
    claude.into_iter().map(of(Tool::Claude)).chain(codex.into_iter().map(of(Tool::Codex))).collect()
}

fn list(text: &str) -> Vec<PathBuf> {
    text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_come_from_the_environment() {
        let check = |variables: &[(&str, &str)], expected: &[&str]| {
            let found = of_environment(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            });
            let paths: Vec<String> = found.iter().map(|home| home.path.display().to_string()).collect();
            assert_eq!(paths, expected, "{variables:?}");
        };
        check(&[], &[]);
        check(&[("HOME", "/h")], &["/h/.claude", "/h/.config/claude", "/h/.codex"]);
        check(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")], &["/h/.claude", "/c/claude", "/h/.codex"]);
        check(&[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/a, /b,"), ("CODEX_HOME", "/x")], &["/a", "/b", "/x"]);
    }

    #[test]
    fn an_agents_home_is_as_a_users() {
        let variable = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        assert_eq!(in_user_home(Path::new("/h")), of_environment(variable));
    }
}
