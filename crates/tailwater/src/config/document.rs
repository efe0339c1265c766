//! `docs/config.md`, which is made of the catalogue: `just docs` writes it, and a test holds it against this.

use std::env;
use std::fs;
use std::path::Path;

use super::{CATALOGUE, Setting, agents};

const HEAD: &str = "\
# Configuration

<!-- `just docs` makes this file from the settings themselves. -->

Nothing needs to be configured. Flags win over `TAILWATER_*` variables, these over `tailwater.toml`, that over defaults. The file is
`$XDG_CONFIG_HOME/tailwater/tailwater.toml`, else `~/.config/tailwater/tailwater.toml`, or what `--config` or `TAILWATER_CONFIG` names.

```sh
tailwater config init       # writes it, with every setting commented out
tailwater config check      # says all that means nothing, where, and what would
tailwater config show       # what holds now, and where each value is from; passwords and tokens are never shown
```

A length of time is a whole number and a unit: `200ms`, `30s`, `5m`, `12h`, `90d`. A size is one of `500MB`, `8GiB` and their like. What a
setting cannot mean is an error at the start, which names it, and nothing runs with half of it. A variable
`TAILWATER_…` that is no setting is told of by `config check`, `doctor` and the daemon.
";

/// The document.
fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut section = None;
    for setting in CATALOGUE {
        let (table, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if section != Some(table) {
            section = Some(table);
            let title =
                if table.is_empty() { "Before the first table".to_owned() } else { format!("`[{table}]`") };
            text.push_str(&format!(
                "\n## {title}\n\n| setting | default | what it is | variable |\n| --- | --- | --- | --- |\n"
            ));
        }
        text.push_str(&row(name, setting));
    }
    text.push_str(
        "\n## `[[agents]]`\n\nAgents that are known by name, each in a table of its own. Only `name` is needed.\n\n\
         | key | example | what it is |\n| --- | --- | --- |\n",
    );
    for (key, help, example) in agents::KEYS {
        text.push_str(&format!("| `{key}` | `{example}` | {} |\n", help.replace('|', "\\|")));
    }
    text
}

fn row(name: &str, setting: &Setting) -> String {
    let default = setting.default.filter(|default| !default.is_empty());
    let default = default.map_or_else(String::new, |default| format!("`{}`", default.replace('|', "\\|")));
    let variables: Vec<String> = setting.variables.iter().map(|name| format!("`{name}`")).collect();
    format!("| `{name}` | {default} | {} | {} |\n", setting.help.replace('|', "\\|"), variables.join(", "))
}

#[test]
fn the_document_says_what_the_settings_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    if env::var_os("TAILWATER_WRITE_DOCS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let told = fs::read_to_string(&path).unwrap();
    assert!(told == document(), "docs/config.md is not what the settings are: `just docs` writes it");
    assert!(CATALOGUE.iter().all(|setting| told.contains(setting.variables[0])));
}
