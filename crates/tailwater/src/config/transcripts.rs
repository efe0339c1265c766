//! Following transcripts: the table `transcripts`.

use std::path::PathBuf;
use std::time::Duration;

use sampler::transcripts::{Home, of_environment};
use usage::Tool;

use super::meaning::{flag, interval, names, optional, required};
use super::raw::{ConfigError, RawConfig};

/// How to follow transcripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptSampling {
    /// How often every file is looked at.
    pub interval: Duration,
    /// Where they are looked for, whether that is there or not.
    pub homes: Vec<Home>,
}

impl TranscriptSampling {
    /// Checks what was typed; `None` when transcripts are not wanted.
    pub(super) fn new(
        raw: &RawConfig,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let interval = required(raw, "transcripts.interval", interval)?;
        let mut homes = of_environment(variable);
        for (tool, key) in
            [(Tool::Claude, "transcripts.claude_dirs"), (Tool::Codex, "transcripts.codex_dirs")]
        {
            if let Some(paths) = optional(raw, key, whole_paths)? {
                homes.retain(|home| home.tool != tool);
                homes.extend(paths.into_iter().map(|path| Home { tool, path }));
            }
        }
        Ok(required(raw, "transcripts.enabled", flag)?.then_some(Self { interval, homes }))
    }
}

fn whole_paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths = names(text).into_iter().map(PathBuf::from);
    paths
        .map(|path| match path.is_absolute() {
            true => Ok(path),
            false => Err(format!("{:?} is not a whole path, which begins with /", path.display())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Overrides, RawValue};
    use super::*;

    fn sampling(flags: &[(&'static str, &str)]) -> Result<Option<TranscriptSampling>, String> {
        let value = |text: &str| RawValue { text: text.to_owned(), origin: Origin::Default };
        let flags: Overrides = flags.iter().map(|(key, text)| (*key, value(text))).collect();
        let home = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        let raw = RawConfig::gather(None, home, flags).unwrap();
        TranscriptSampling::new(&raw, home).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_replace_what_the_environment_tells_of_their_tool() {
        let check = |flags: &[(&'static str, &str)], expected: &[&str]| {
            let homes = sampling(flags).unwrap().unwrap().homes;
            let homes: Vec<String> = homes.iter().map(|home| home.path.display().to_string()).collect();
            assert_eq!(homes, expected, "{flags:?}");
        };
        check(&[], &["/h/.claude", "/h/.config/claude", "/h/.codex"]);
        check(&[("transcripts.claude_dirs", "/a, /b")], &["/h/.codex", "/a", "/b"]);
        check(&[("transcripts.codex_dirs", "/a")], &["/h/.claude", "/h/.config/claude", "/a"]);
        assert_eq!(sampling(&[("transcripts.enabled", "false")]), Ok(None));
    }

    #[test]
    fn what_means_nothing_is_named() {
        for (key, text) in [
            ("transcripts.claude_dirs", "/a,~/b"),
            ("transcripts.codex_dirs", "b"),
            ("transcripts.interval", "2h"),
            ("transcripts.enabled", "yes"),
        ] {
            let error = sampling(&[(key, text)]).unwrap_err();
            assert!(error.contains(key) && !error.contains('\n'), "{error}");
        }
    }
}
