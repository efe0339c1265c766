//! The program itself, and its configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Finding, Subject};
use crate::config::{Origin, RawConfig};
use crate::prices::{Known, OwnFile};

/// What those may read who are not the owner.
const OTHERS_MAY_READ: u32 = 0o044;

/// Looks at both.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let program = std::env::current_exe();
    let program = program.map_or_else(|_| String::new(), |path| format!(", {}", path.display()));
    let version = Finding::ok("version", format!("tailwater {}{program}", env!("CARGO_PKG_VERSION")));
    let mut findings = vec![version];
    findings.extend(configuration(subject));
    findings.extend(crate::unknown_variables().map(|told| {
        Finding::warning(
            "configuration.variables",
            told,
            "mend the name; leave it if it is meant for something else",
        )
    }));
    findings.extend(secret_in_the_open(&subject.raw, subject.config.database.as_ref(), mode));
    findings
        .extend(server_secrets(&subject.raw).iter().filter_map(|(what, path)| in_the_open(what, path, mode)));
    findings.push(prices(&Known::of(&subject.config.data_dir)));
    findings.extend(host(subject));
    findings
}

fn configuration(subject: &Subject) -> Vec<Finding> {
    let file = subject.raw.file().map(Path::display);
    if subject.problems.is_empty() {
        let file = file.map_or_else(|| "no file".to_owned(), |file| file.to_string());
        return vec![Finding::ok(
            "configuration",
            format!("{file}; `tailwater config show` lists every setting"),
        )];
    }
    let advice = "mend it: no other command works until then; the other checks took the default in its place";
    let told = |problem: &String| Finding::failure("configuration", problem.clone(), advice);
    subject.problems.iter().map(told).collect()
}

/// A password in a file that others may read.
fn secret_in_the_open(
    raw: &RawConfig,
    database: Option<&store::DatabaseUrl>,
    mode: impl Fn(&Path) -> Option<u32>,
) -> Option<Finding> {
    let Some(Origin::File(path)) = raw.get("database.url").map(|value| &value.origin) else { return None };
    let has_password = database.is_some_and(|url| url.secret() != url.to_string());
    if has_password { in_the_open("the database's password", path, mode) } else { None }
}

/// The files that hold secrets of the HTTP server, and which.
fn server_secrets(raw: &RawConfig) -> Vec<(&'static str, PathBuf)> {
    let named = |key: &str| raw.get(key).filter(|value| !value.text.is_empty());
    let tokens = named("server.tokens").and_then(|value| match &value.origin {
        Origin::File(path) => Some(("tokens", path.clone())),
        _ => None,
    });
    let file = |what, key| Some((what, PathBuf::from(&named(key)?.text)));
    let (token_file, key) = (file("tokens", "server.token_file"), file("a private key", "server.tls_key"));
    [tokens, token_file, key].into_iter().flatten().collect()
}

fn in_the_open(what: &str, path: &Path, mode: impl Fn(&Path) -> Option<u32>) -> Option<Finding> {
    let mode = mode(path).filter(|mode| mode & OTHERS_MAY_READ != 0)?;
    Some(Finding::warning(
        "configuration.secret",
        format!("{} holds {what}, and others may read it (mode {mode:04o})", path.display()),
        format!("chmod 600 {}", path.display()),
    ))
}

fn prices(known: &Known) -> Finding {
    let rows = known.prices.rows().len();
    match &known.own {
        OwnFile::Absent => Finding::ok("prices", format!("{rows} rows, embedded")),
        OwnFile::Read(own) => Finding::ok("prices", format!("{rows} rows, {own} of them from prices.toml")),
        OwnFile::Refused(problem) => Finding::warning(
            "prices",
            problem.clone(),
            "mend it and start tailwater again: until then the embedded prices hold (docs/prices.md)",
        ),
    }
}

fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
}

fn host(subject: &Subject) -> Option<Finding> {
    let problem = subject.host.as_ref().err()?;
    Some(Finding::failure("host", problem.clone(), "give this machine a name: hostnamectl set-hostname NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, RawValue};

    #[test]
    fn a_password_that_others_may_read_is_told_without_it() {
        let check = |url: &str, origin: Origin, mode: u32, is_told: bool| {
            let value = RawValue { text: url.to_owned(), origin };
            let flags = Overrides::from([("database.url", value)]);
            let (raw, _) = RawConfig::gather_sound(None, |_| None, flags);
            let url = url.parse().unwrap();
            let finding = secret_in_the_open(&raw, Some(&url), |_| Some(mode));
            assert_eq!(finding.is_some(), is_told, "{url} {mode:o}: {finding:?}");
            assert!(!format!("{finding:?}").contains("sekret"), "{finding:?}");
        };
        let file = || Origin::File("/etc/tailwater.toml".into());
        check("postgres://me:sekret@db/x", file(), 0o644, true);
        check("postgres://me:sekret@db/x", file(), 0o600, false);
        check("postgres://me@db/x", file(), 0o644, false);
        check("postgres://me:sekret@db/x", Origin::Variable("X".to_owned()), 0o644, false);
    }

    #[test]
    fn files_with_secrets_of_the_server_are_looked_at() {
        let value = |text: &str, origin: Origin| RawValue { text: text.to_owned(), origin };
        let file = || Origin::File("/etc/tailwater.toml".into());
        let flags = Overrides::from([
            ("server.tokens", value("read:sekret-0123456789", file())),
            ("server.token_file", value("/etc/tokens", file())),
            ("server.tls_key", value("/etc/key.pem", Origin::Default)),
        ]);
        let (raw, _) = RawConfig::gather_sound(None, |_| None, flags);
        let looked: Vec<PathBuf> = server_secrets(&raw).into_iter().map(|(_, path)| path).collect();
        assert_eq!(looked, ["/etc/tailwater.toml", "/etc/tokens", "/etc/key.pem"].map(PathBuf::from));
        assert!(in_the_open("tokens", &looked[1], |_| Some(0o640)).is_some());
        assert!(in_the_open("tokens", &looked[1], |_| Some(0o600)).is_none());
    }
}
