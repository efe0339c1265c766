//! The configuration as typed: each value with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sampler::ConfiguredAgent;
use thiserror::Error;

use super::agents;
use super::catalogue::{self, CATALOGUE, Setting};
use super::unknown;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A configuration file.
    File(PathBuf),
    /// The catalogue.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    /// Its text; lists are joined by commas.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What the command line sets, by key.
pub type Overrides = BTreeMap<&'static str, RawValue>;

/// The configuration as typed, one value for each setting that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawConfig {
    values: BTreeMap<&'static str, RawValue>,
    /// What the flags have replaced.
    beneath: BTreeMap<&'static str, RawValue>,
    file: Option<PathBuf>,
    /// The agents, each of them sound: no flag and no variable tells of them.
    agents: Vec<ConfiguredAgent>,
}

/// A configuration that means nothing.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration file {path} is not TOML: {problem}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The file has a key that does not exist.
    #[error("the configuration file {path} has an unknown setting {key}; {}", unknown::advice(key))]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: String,
    },
    /// A value is not what it must be.
    #[error("setting {key} ({origin}): {problem}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// Where its value came from.
        origin: Origin,
        /// What is wrong with it, and what it must be.
        problem: String,
    },
    /// An agent is not what it must be.
    #[error("the configuration file {path}, {agent}: {problem}")]
    Agent {
        /// Which file.
        path: PathBuf,
        /// Which agent.
        agent: String,
        /// What is wrong with it, and what it must be.
        problem: String,
    },
    /// There is no home to put the data into.
    #[error("there is no data directory: set data_dir, TAILWATER_DATA_DIR, --data-dir, or HOME")]
    NoDataDir,
}

/// The configuration file that is read unless another is named: it need not exist.
#[must_use]
pub fn default_path(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let base = match variable("XDG_CONFIG_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(variable("HOME").filter(|path| !path.is_empty())?).join(".config"),
    };
    Some(base.join("tailwater/tailwater.toml"))
}

impl RawConfig {
    /// Gathers the layers. `file` must exist when it was named; the default one may be absent.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or has a key that does not exist.
    pub fn gather(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
        flags: Overrides,
    ) -> Result<Self, ConfigError> {
        let (raw, problems) = Self::gather_sound(file, variable, flags);
        problems.into_iter().next().map_or(Ok(raw), Err)
    }

    /// Gathers what can be gathered, and every problem with the rest.
    #[must_use]
    pub fn gather_sound(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
        flags: Overrides,
    ) -> (Self, Vec<ConfigError>) {
        let mut raw = Self::default();
        let mut problems = Vec::new();
        for setting in CATALOGUE {
            if let Some(text) = setting.default {
                raw.set(setting, RawValue { text: text.to_owned(), origin: Origin::Default });
            }
        }
        match file {
            Some(path) => raw.read_file(path, &mut problems),
            None => {
                if let Some(path) = default_path(&variable).filter(|path| path.exists()) {
                    raw.read_file(&path, &mut problems);
                }
            }
        }
        for setting in CATALOGUE {
            // NOTE: an empty variable is an unset one, as shells and unit files leave them.
            let set = |name: &&&str| variable(name).is_some_and(|text| !text.is_empty());
            if let Some(name) = setting.variables.iter().find(set) {
                let text = variable(name).unwrap_or_default();
                raw.set(setting, RawValue { text, origin: Origin::Variable((*name).to_owned()) });
            }
        }
        for (key, value) in flags {
            if let Some(replaced) = raw.values.insert(key, value) {
                raw.beneath.insert(key, replaced);
            }
        }
        (raw, problems)
    }

    /// Takes a value back: from here on it is the default, or unset.
    pub fn reset(&mut self, key: &'static str) {
        match catalogue::find(key).and_then(|setting| setting.default) {
            Some(text) => self.replace(key, RawValue { text: text.to_owned(), origin: Origin::Default }),
            None => _ = self.values.remove(key),
        }
    }

    /// Puts another value in its place.
    pub fn replace(&mut self, key: &'static str, value: RawValue) {
        self.values.insert(key, value);
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.values.get(key)
    }

    /// The value that a setting would have without the command line.
    #[must_use]
    pub fn beneath(&self, key: &str) -> Option<&RawValue> {
        let own = self.values.get(key).filter(|value| !matches!(value.origin, Origin::Flag(_)));
        self.beneath.get(key).or(own)
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The agents that the file tells.
    #[must_use]
    pub fn agents(&self) -> &[ConfiguredAgent] {
        &self.agents
    }

    fn set(&mut self, setting: &'static Setting, value: RawValue) {
        self.values.insert(setting.key, value);
    }

    fn read_file(&mut self, path: &Path, problems: &mut Vec<ConfigError>) {
        self.file = Some(path.to_owned());
        let table = match read_table(path) {
            Ok(table) => table,
            Err(problem) => return problems.push(problem),
        };
        for (name, value) in table {
            match value {
                value if name == agents::ARRAY => {
                    let (sound, mut others) = agents::read(path, &value);
                    self.agents = sound;
                    problems.append(&mut others);
                }
                toml::Value::Table(inner) => {
                    for (inner_name, value) in inner {
                        let key = format!("{name}.{inner_name}");
                        problems.extend(self.set_from_file(path, &key, &value).err());
                    }
                }
                value => problems.extend(self.set_from_file(path, &name, &value).err()),
            }
        }
    }

    fn set_from_file(&mut self, path: &Path, key: &str, value: &toml::Value) -> Result<(), ConfigError> {
        let setting = catalogue::find(key)
            .ok_or_else(|| ConfigError::Unknown { path: path.to_owned(), key: key.to_owned() })?;
        let origin = Origin::File(path.to_owned());
        match typed(value) {
            Some(text) => self.set(setting, RawValue { text, origin }),
            None => {
                // IMPORTANT: the value is not shown, it may hold a password.
                let found = value.type_str();
                let problem =
                    format!("must be text, a number, true or false, or a list of text, not this {found}");
                return Err(ConfigError::Value { key: setting.key, origin, problem });
            }
        }
        Ok(())
    }
}

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let text =
        fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        problem: one_line(&text, &error),
    })
}

/// A TOML value as it would be typed in a variable.
fn typed(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}

fn one_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line}: {}", error.message().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(file: Option<&str>, variables: &[(&str, &str)], flags: Overrides) -> Result<RawConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tailwater.toml");
        if let Some(text) = file {
            fs::write(&path, text).unwrap();
        }
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        RawConfig::gather(file.map(|_| &*path), variable, flags).map_err(|error| error.to_string())
    }

    fn value(raw: &RawConfig, key: &str) -> String {
        let value = raw.get(key).unwrap();
        let origin = match &value.origin {
            Origin::File(_) => "file".to_owned(),
            origin => origin.to_string(),
        };
        format!("{} from {origin}", value.text)
    }

    #[test]
    fn each_layer_wins_over_the_one_below() {
        let file =
            Some("[log]\nsync = \"os\"\n[host]\ninterval = \"1s\"\n[tmux]\nsessions = [\"a\", \"b\"]\n");
        let variables = [("TAILWATER_HOST_INTERVAL", "2s"), ("TAILWATER_LOG_SYNC", "")];
        let flag = RawValue { text: "/x".to_owned(), origin: Origin::Flag("--data-dir".to_owned()) };
        let raw = gather(file, &variables, Overrides::from([("data_dir", flag)])).unwrap();
        assert_eq!(value(&raw, "log.sync"), "os from file");
        assert_eq!(value(&raw, "host.interval"), "2s from variable TAILWATER_HOST_INTERVAL");
        assert_eq!(value(&raw, "tmux.sessions"), "a,b from file");
        assert_eq!(value(&raw, "tmux.interval"), "10s from default");
        assert_eq!(value(&raw, "data_dir"), "/x from flag --data-dir");
        assert_eq!(raw.get("database.url"), None);
        assert_eq!((raw.beneath("data_dir"), raw.beneath("log.sync")), (None, raw.get("log.sync")));
    }

    #[test]
    fn the_go_packages_variable_is_known_and_ours_is_stronger() {
        let go = ("STATS_DATABASE_URL", "postgres://go");
        let raw = gather(None, &[go], Overrides::new()).unwrap();
        assert_eq!(value(&raw, "database.url"), "postgres://go from variable STATS_DATABASE_URL");
        let raw =
            gather(None, &[go, ("TAILWATER_DATABASE_URL", "postgres://ours")], Overrides::new()).unwrap();
        assert_eq!(value(&raw, "database.url"), "postgres://ours from variable TAILWATER_DATABASE_URL");
    }

    #[test]
    fn what_is_sound_is_there_beside_every_problem() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tailwater.toml");
        fs::write(&path, "colour = 1\n[log]\nsnyc = \"os\"\nkeep = \"30d\"\n").unwrap();
        let (mut raw, problems) = RawConfig::gather_sound(Some(&path), |_| None, Overrides::new());
        assert_eq!((value(&raw, "log.keep"), problems.len()), ("30d from file".to_owned(), 2));
        assert_eq!(raw.file(), Some(&*path));
        raw.reset("log.keep");
        raw.reset("database.url");
        assert_eq!((value(&raw, "log.keep"), raw.get("database.url")), ("all from default".to_owned(), None));
        fs::write(&path, "[log").unwrap();
        let (raw, problems) = RawConfig::gather_sound(Some(&path), |_| None, Overrides::new());
        assert_eq!((value(&raw, "log.sync"), problems.len()), ("interval:200ms from default".to_owned(), 1));
    }

    #[test]
    fn a_bad_file_is_told_in_one_line() {
        let check = |text: &str, says: &str| {
            let error = gather(Some(text), &[], Overrides::new()).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        };
        check("[log]\nsnyc = \"os\"", "unknown setting log.snyc");
        check("colour = 1", "unknown setting colour");
        check("[log]\n\nsync = ", "line 3:");
        check("[log]\nsync = 1979-05-27", "must be text");
        check("[[agents]]\nname = \"zen\"\nrole = 5", "agent zen: key role: must be text");
    }
}
