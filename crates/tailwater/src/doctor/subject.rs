//! What is examined: the configuration as far as it is sound, and what is wrong with the rest.

use std::path::{Path, PathBuf};

use event::HostName;

use super::blocking;
use crate::access::this_host;
use crate::cli::Cli;
use crate::config::{Config, ConfigError, Origin, RawConfig, RawValue};
use crate::failure::{Failure, chain};

/// What is examined.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The configuration; what means nothing in it is replaced by its default.
    pub config: Config,
    /// The same as typed.
    pub raw: RawConfig,
    /// What is wrong with it, a line each.
    pub problems: Vec<String>,
    /// This machine's name, or why it has none.
    pub host: Result<HostName, String>,
    has_data_dir: bool,
}

impl Subject {
    /// Gathers the configuration of the command line, the environment and the file.
    ///
    /// # Errors
    /// When not even the defaults are a configuration: a bug.
    pub(crate) fn gather(cli: &Cli) -> Result<Self, Failure> {
        let (raw, problems) =
            RawConfig::gather_sound(cli.global.config.as_deref(), crate::variable, cli.overrides());
        let problems = crate::strange_variables().chain(problems.iter().map(|problem| chain(problem)));
        Self::of(raw, problems.collect(), crate::variable)
    }

    fn of(
        mut raw: RawConfig,
        mut problems: Vec<String>,
        variable: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, Failure> {
        let mut has_data_dir = true;
        let host = this_host().map_err(|failure| failure.message);
        loop {
            let problem = match Config::new(&raw, variable) {
                Ok(config) => return Ok(Self { config, raw, problems, host, has_data_dir }),
                Err(problem) => problem,
            };
            problems.push(chain(&problem));
            match problem {
                ConfigError::Value { origin: Origin::Default, .. } => return Err(problem.into()),
                ConfigError::Value { key, .. } => raw.reset(key),
                ConfigError::NoDataDir if has_data_dir => {
                    has_data_dir = false;
                    raw.replace("data_dir", RawValue { text: ".".to_owned(), origin: Origin::Default });
                }
                problem => return Err(problem.into()),
            }
        }
    }

    /// Where the log lives; `None` when nobody knows.
    #[must_use]
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.has_data_dir.then_some(self.config.data_dir.as_path())
    }

    /// The data directory if it is there.
    ///
    /// NOTE: a file system that hangs must hold up a thread that may block, and no other check.
    pub(crate) async fn existing_data_dir(&self) -> Option<PathBuf> {
        let dir = self.data_dir()?.to_owned();
        blocking(move || dir.is_dir().then_some(dir)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn subject(flags: &[(&'static str, &str)], home: Option<&str>) -> Subject {
        let value = |text: &str| RawValue { text: text.to_owned(), origin: Origin::Flag("--x".to_owned()) };
        let flags: Overrides = flags.iter().map(|(key, text)| (*key, value(text))).collect();
        let variable = |name: &str| home.filter(|_| name == "HOME").map(str::to_owned);
        let (raw, _) = RawConfig::gather_sound(None, variable, flags);
        Subject::of(raw, Vec::new(), variable).unwrap()
    }

    #[test]
    fn what_means_nothing_is_told_and_the_rest_is_used() {
        let subject = subject(
            &[("log.sync", "never"), ("log.keep", "30d"), ("database.url", "postgres://u:sekret@:x/")],
            Some("/home/x"),
        );
        assert_eq!(subject.problems.len(), 2, "{:?}", subject.problems);
        assert!(!subject.problems.concat().contains("sekret"), "{:?}", subject.problems);
        assert_eq!(subject.config.sync, eventlog::Sync::default());
        assert!(subject.config.log.bounds.keep.is_some() && subject.config.database.is_none());
        assert_eq!(subject.data_dir(), Some(Path::new("/home/x/.local/share/tailwater")));
    }

    #[test]
    fn without_a_home_there_is_no_data_directory() {
        let subject = subject(&[], None);
        assert_eq!(subject.data_dir(), None);
        assert!(subject.problems.concat().contains("no data directory"), "{:?}", subject.problems);
    }
}
