//! From text to a configuration, and the checks that both clients will mean the same by it.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host};

use super::ssl::Ssl;
use super::{DatabaseUrlError, Server};

/// Where Debian's packages put the socket, and with them most servers; libpq's default there.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// Options of libpq that tokio-postgres does not know. Only these and known ones are named in an error: any
/// other word might be a piece of a password that was not quoted.
const UNSUPPORTED: [&str; 10] = [
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
pub(super) fn config(text: &str) -> Result<(Config, Ssl), DatabaseUrlError> {
    if text.is_empty() {
        return Err(malformed("it is empty"));
    }
    let is_url = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
    if !is_url && text.contains("://") {
        return Err(malformed("the scheme is neither postgres:// nor postgresql://"));
    }
    let taken = if is_url { take_from_url(text)? } else { take_from_dsn(text)? };
    let ssl = Ssl::of(taken.mode.as_deref(), taken.root_cert.as_deref())?;
    let config: Config = taken.rest.parse().map_err(|error| malformed(problem(&error)))?;
    if config.get_channel_binding() == ChannelBinding::Require {
        let problem = "sqlx knows no channel binding; leave channel_binding=require out, and use sslmode=verify-full, \
                       which protects as well";
        return Err(DatabaseUrlError::Tls { problem });
    }
    Ok((config, ssl))
}

/// A text without what tokio-postgres does not know, or knows less of: it is for us.
#[derive(Default)]
struct Taken {
    rest: String,
    mode: Option<String>,
    root_cert: Option<String>,
}

impl Taken {
    /// The place of an option that is for us.
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "sslmode" => Some(&mut self.mode),
            "sslrootcert" => Some(&mut self.root_cert),
            _ => None,
        }
    }
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

fn take_from_url(text: &str) -> Result<Taken, DatabaseUrlError> {
    let credentials_end = text.find('@').map_or(0, |at| at + 1);
    let (credentials, rest) = text.split_at(credentials_end);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if place.contains('@') {
        // Else the end of the password would be taken for the host, and shown.
        return Err(malformed("it has two @; write %40 for the one in user or password"));
    }
    let mut taken = Taken { rest: format!("{credentials}{place}"), ..Taken::default() };
    let mut divider = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(slot) = taken.slot(name) {
            *slot = Some(percent_decoded(value)?);
        } else {
            taken.rest.push(divider);
            taken.rest.push_str(pair);
            divider = '&';
        }
    }
    Ok(taken)
}

fn take_from_dsn(text: &str) -> Result<Taken, DatabaseUrlError> {
    let mut taken = Taken::default();
    for word in words(text) {
        let (name, value) =
            word.split_once('=').ok_or_else(|| malformed("it is neither a URL nor a list of key=value"))?;
        if let Some(slot) = taken.slot(name) {
            let quoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
            *slot = Some(unescape(quoted.unwrap_or(value)));
        } else {
            taken.rest.push_str(word);
            taken.rest.push(' ');
        }
    }
    Ok(taken)
}

fn percent_decoded(text: &str) -> Result<String, DatabaseUrlError> {
    let problem = || malformed("the value of an ssl option is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits =
            [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or_default()).to_digit(16));
        let [Some(high), Some(low)] = digits else { return Err(problem()) };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).map_err(|_| problem())
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

/// The name of a host whose address is given as well: its certificate has the name.
pub(super) fn host_name(config: &Config) -> Option<String> {
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([Host::Tcp(name)], [_]) => Some(name.clone()),
        _ => None,
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
