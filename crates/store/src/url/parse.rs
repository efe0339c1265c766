//! From text to a configuration, and the checks that both clients will mean the same by it.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use tokio_postgres::Config;

use super::{DatabaseUrlError, Server};

/// Where Debian's packages put the socket, and with them most servers; libpq's default there.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// Options of libpq that tokio-postgres does not know. Only these and known ones are named in an error: any
/// other word might be a piece of a password that was not quoted.
const UNSUPPORTED: [&str; 11] = [
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "sslpassword",
    "passfile",
    "service",
    "gssencmode",
    "keepalives_count",
    "require_auth",
    "client_encoding",
];

fn malformed(problem: impl Into<String>) -> DatabaseUrlError {
    DatabaseUrlError::Malformed { problem: problem.into() }
}

/// Parses a URL or a DSN.
pub(super) fn config(text: &str) -> Result<Config, DatabaseUrlError> {
    if text.is_empty() {
        return Err(malformed("it is empty"));
    }
    let is_url = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
    if !is_url && text.contains("://") {
        return Err(malformed("the scheme is neither postgres:// nor postgresql://"));
    }
    let (rest, mode) = if is_url { take_from_url(text)? } else { take_from_dsn(text)? };
    mode.as_deref().map_or(Ok(()), check_ssl_mode)?;
    rest.parse().map_err(|error| malformed(problem(&error)))
}

/// The part of tokio-postgres's complaint that is safe to show.
fn problem(error: &tokio_postgres::Error) -> String {
    let detail = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if detail.starts_with("invalid value for option") {
        return format!("{detail} (write %40 for @, %3A for :, %2F for / in user or password)");
    }
    match UNSUPPORTED.iter().find(|name| detail == format!("unknown option `{name}`")) {
        Some(name) => format!("the option {name} is not supported"),
        None if detail.starts_with("unknown option") => "it has an option that is not known".to_owned(),
        None => "it is neither a URL nor a list of key=value".to_owned(),
    }
}

/// tokio-postgres refuses the modes that it does not know, so that this option is taken out before.
fn check_ssl_mode(mode: &str) -> Result<(), DatabaseUrlError> {
    let needs_tls = |mode| Err(DatabaseUrlError::TlsMissing { mode });
    match mode {
        "disable" | "allow" | "prefer" => Ok(()),
        "require" => needs_tls("require"),
        "verify-ca" => needs_tls("verify-ca"),
        "verify-full" => needs_tls("verify-full"),
        _ => Err(malformed("sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full")),
    }
}

/// A URL without its `sslmode`, and that.
fn take_from_url(text: &str) -> Result<(String, Option<String>), DatabaseUrlError> {
    let credentials_end = text.find('@').map_or(0, |at| at + 1);
    let (credentials, rest) = text.split_at(credentials_end);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if place.contains('@') {
        // Else the end of the password would be taken for the host, and shown.
        return Err(malformed("it has two @; write %40 for the one in user or password"));
    }
    let (modes, others): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("sslmode="));
    let mode = modes.last().and_then(|pair| pair.strip_prefix("sslmode=")).map(str::to_owned);
    let rest = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    Ok((format!("{credentials}{place}{rest}"), mode))
}

/// A DSN without its `sslmode`, and that.
fn take_from_dsn(text: &str) -> Result<(String, Option<String>), DatabaseUrlError> {
    let mut rest = String::with_capacity(text.len());
    let mut mode = None;
    for word in words(text) {
        match word.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.trim_matches('\'').to_owned()),
            Some(_) => {
                rest.push_str(word);
                rest.push(' ');
            }
            None => return Err(malformed("it is neither a URL nor a list of key=value")),
        }
    }
    Ok((rest, mode))
}

/// Words divided by white space that is neither quoted nor escaped; quotes and escapes stay in them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |letter: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match letter {
            '\\' if !was_escaped => is_escaped = true,
            '\'' if !was_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        letter.is_whitespace() && !is_quoted && !was_escaped
    })
    .filter(|word| !word.is_empty())
}

/// The one server.
pub(super) fn server(config: &Config) -> Result<Server, DatabaseUrlError> {
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([], []) if Path::new(SOCKET_DIRECTORY).is_dir() => Ok(Server::Socket(SOCKET_DIRECTORY.to_owned())),
        ([], []) => Ok(Server::Tcp("localhost".to_owned())),
        ([host], []) => Ok(Server::from(host)),
        ([] | [_], [address]) => Ok(Server::Tcp(address.to_string())),
        (hosts, addresses) => {
            let count = hosts.len().max(addresses.len());
            Err(malformed(format!("it names {count} hosts, and only one is supported")))
        }
    }
}

/// The port: a parameter of that name comes after the one beside the host, and wins, as with libpq.
pub(super) fn port(config: &Config) -> u16 {
    config.get_ports().last().copied().unwrap_or(5432)
}

/// The password as text, which is what sqlx wants.
pub(super) fn password(config: &Config) -> Result<Option<String>, DatabaseUrlError> {
    let Some(bytes) = config.get_password() else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("the password is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

/// `PGUSER`, else the name of the process's owner: one answer for both clients.
pub(super) fn default_user() -> String {
    PgConnectOptions::new_without_pgpass().get_username().to_owned()
}

/// Settings out of `-c name=value`, `-cname=value` and `--name=value`.
pub(super) fn settings(options: &str) -> Result<Vec<(String, String)>, DatabaseUrlError> {
    let problem = || malformed("of `options` only settings are understood, as -c name=value");
    let mut settings = Vec::new();
    let mut rest = words(options);
    while let Some(word) = rest.next() {
        let pair = match word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            Some("") => rest.next().ok_or_else(problem)?,
            Some(pair) => pair,
            None => return Err(problem()),
        };
        let (name, value) = pair.split_once('=').ok_or_else(problem)?;
        settings.push((name.to_owned(), unescape(value)));
    }
    Ok(settings)
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}
