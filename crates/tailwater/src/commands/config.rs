//! `tailwater config`: making, checking and showing the configuration.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::{Cli, ConfigCommand, Format, FormatArgs};
use crate::config::catalogue::Exposure;
use crate::config::{CATALOGUE, RawConfig, Setting, agents, default_data_dir, default_path};
use crate::doctor::Subject;
use crate::failure::Failure;
use crate::output::{self, Sheet};
use crate::prices::Known;

/// Does what is asked of the configuration.
///
/// # Errors
/// When it means nothing, or a file would be overwritten.
pub(crate) fn config(cli: &Cli, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Init => init(cli),
        ConfigCommand::Check => check(cli),
        ConfigCommand::Show(args) => show(cli, args),
    }
}

fn check(cli: &Cli) -> Result<(), Failure> {
    let Subject { config, raw, mut problems, .. } = Subject::gather(cli)?;
    if let Some(unknown) = crate::unknown_variables() {
        output::notice(&format!("tailwater: {unknown}"));
    }
    if let Some(last) = problems.pop() {
        problems.iter().for_each(|problem| output::notice(&format!("tailwater: {problem}")));
        return Err(Failure::error(last));
    }
    if let Some(problem) = Known::of(&config.data_dir).problem() {
        return Err(Failure::unhealthy(format!("{problem}; until that is mended the embedded prices hold")));
    }
    let file = raw.file().map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    output::line(&format!("the configuration is good ({file}); data_dir is {}", config.data_dir.display()))
}

fn init(cli: &Cli) -> Result<(), Failure> {
    let path = match &cli.global.config {
        Some(path) => path.clone(),
        None => default_path(crate::variable).ok_or_else(|| {
            Failure::error("there is no place for a configuration file: set HOME, or --config")
        })?,
    };
    write_new(&path)?;
    output::line(&format!("wrote {}: every setting with its default, commented out", path.display()))
}

fn write_new(path: &PathBuf) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::error(format!("{} is there already; it was not touched", path.display()))
        }
        _ => Failure::error(format!("cannot write {}: {error}", path.display())),
    };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    // NOTE: it may come to hold a password, so it is for its owner's eyes from the start.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(template().as_bytes()).map_err(failed)
}

/// The catalogue as a file whose every setting is commented out.
fn template() -> String {
    let mut text = String::from("# tailwater. Flags and TAILWATER_* variables win over this file.\n");
    let mut table = "";
    for setting in CATALOGUE {
        let (in_table, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if in_table != table {
            table = in_table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        text.push_str(&format!("\n# {}\n# {name} = {}\n", setting.help, example(setting)));
    }
    text + &agents::template()
}

fn example(setting: &Setting) -> String {
    match setting.default {
        Some(flag @ ("true" | "false")) => flag.to_owned(),
        default => format!("{:?}", default.unwrap_or_default()),
    }
}

fn show(cli: &Cli, args: &FormatArgs) -> Result<(), Failure> {
    let raw = crate::gather(cli)?;
    let settings = CATALOGUE.iter().map(|setting| (setting.key.to_owned(), printable(&raw, setting)));
    let shown: Vec<_> = settings.chain(agents_shown(&raw)).collect();
    if args.format == Format::Json {
        let settings: Vec<_> = shown
            .iter()
            .map(|(key, (value, origin))| json!({ "key": key, "value": value, "origin": origin }))
            .collect();
        return output::json(&settings);
    }
    let rows = shown
        .into_iter()
        .map(|(key, (value, origin))| vec![key, value.unwrap_or_default(), origin])
        .collect();
    Sheet { columns: ["setting", "value", "from"].map(str::to_owned).to_vec(), rows }.print(args.format)
}

/// The values of each agent under its name, and where they came from.
fn agents_shown(raw: &RawConfig) -> impl Iterator<Item = (String, (Option<String>, String))> {
    let file = raw.file().map(|path| path.display().to_string()).unwrap_or_default();
    raw.agents().iter().flat_map(move |agent| {
        let file = file.clone();
        let shown = move |(key, value): (&str, &str)| {
            (format!("agents.{}.{key}", agent.name), (Some(value.to_owned()), file.clone()))
        };
        agents::values(agent).map(shown)
    })
}

/// A setting's value, without secrets, and where it came from.
fn printable(raw: &RawConfig, setting: &Setting) -> (Option<String>, String) {
    let Some(value) = raw.get(setting.key) else {
        let here = match setting.key {
            "data_dir" => default_data_dir(|name| std::env::var(name).ok()),
            _ => None,
        };
        let origin = if here.is_some() { "default" } else { "unset" };
        return (here.map(|path| path.display().to_string()), origin.to_owned());
    };
    let text = match setting.exposure {
        Exposure::Plain => value.text.clone(),
        Exposure::Secret => "(set)".to_owned(),
        Exposure::Url => match value.text.parse::<store::DatabaseUrl>() {
            Ok(url) => url.to_string(),
            // IMPORTANT: what cannot be parsed may hold a password anywhere.
            Err(_) => "(set, but not a database URL)".to_owned(),
        },
    };
    (Some(text), value.origin.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn the_template_uncommented_is_the_default_configuration() {
        let text: String = template()
            .lines()
            .filter_map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") => Some(format!("{setting}\n")),
                Some(_) => None,
                None => Some(format!("{line}\n")),
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tailwater.toml");
        fs::write(&path, text).unwrap();
        let none = |_: &str| None;
        let from_file = RawConfig::gather(Some(&path), none, Overrides::new()).unwrap();
        let defaults = RawConfig::gather(None, none, Overrides::new()).unwrap();
        for setting in CATALOGUE {
            let text =
                |raw: &RawConfig| raw.get(setting.key).map(|value| value.text.clone()).unwrap_or_default();
            assert_eq!(text(&from_file), text(&defaults), "{}", setting.key);
        }
    }
}
