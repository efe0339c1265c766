//! The database URL: parsed once, understood alike by both clients, printed without its password.
//!
//! Accepted are `postgres://` and `postgresql://` URLs and `key=value` DSNs, as libpq knows them. What only one
//! of the clients could honour (several hosts, a flag among `options` that is no setting) is refused here, so
//! that one URL never means two things. What it says of TLS (`ssl.rs`) neither client is told: `connect` sees to it.

mod parse;
mod render;
mod ssl;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use ssl::Ssl;
pub use ssl::SslMode;
pub(crate) use ssl::{Channel, RootCert, Verify};

/// How long a connection may take to be made, unless the URL says it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a database is and who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    server: Server,
    /// The host's name, where the server is an address (`hostaddr`).
    host_name: Option<String>,
    port: u16,
    user: String,
    password: Option<String>,
    database: String,
    settings: Vec<(String, String)>,
    ssl: Ssl,
    /// As parsed, for what the fields above do not hold: the timeout, the application's name.
    parsed: Config,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// A name or an address.
    Tcp(String),
    /// The directory of its socket.
    Socket(String),
}

impl Server {
    fn as_str(&self) -> &str {
        match self {
            Self::Tcp(host) => host,
            Self::Socket(directory) => directory,
        }
    }
}

/// A database URL that cannot be used. No variant ever holds a piece of the password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DatabaseUrlError {
    /// Neither a URL nor a DSN.
    #[error("database URL: {problem}; it looks like postgres://user:password@host:5432/database")]
    Malformed {
        /// What is wrong, without the text itself.
        problem: String,
    },
    /// Options for TLS that do not go together.
    #[error("database URL: {problem}")]
    Tls {
        /// What is wrong, and what to do.
        problem: &'static str,
    },
}

impl DatabaseUrl {
    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        let mut other = self.clone();
        database.clone_into(&mut other.database);
        other
    }

    /// Whether both mean the same database, seen by the same user. How the host is spelled counts: a name and
    /// its address are not known to be the same.
    #[must_use]
    pub fn same_database(&self, other: &Self) -> bool {
        let name = |url: &Self| (url.server.clone(), url.port, url.user.clone(), url.database.clone());
        name(self) == name(other)
    }

    /// A name for the database that tells nothing about it: SHA-256 of server, port, user and database, without
    /// the password. It is the same for URLs that [`Self::same_database`] says are.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let port = self.port.to_string();
        let parts = [self.server.as_str(), &port, &self.user, &self.database];
        // NOTE: a NUL stands in none of them, so two that differ are not written alike.
        Sha256::digest(parts.join("\0").as_bytes()).into()
    }

    /// How long a connection may take to be made.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.parsed.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }

    /// The whole URL with its password, for a process that must be told. IMPORTANT: never print it.
    #[must_use]
    pub fn secret(&self) -> String {
        render::url(self, self.password.as_deref())
    }

    /// How much TLS it asks for.
    #[must_use]
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl.mode()
    }

    /// What to look at in the server's certificate.
    pub(crate) fn verify(&self) -> Verify {
        self.ssl.verify()
    }

    /// Who may have signed it.
    pub(crate) const fn root_cert(&self) -> &RootCert {
        self.ssl.root_cert()
    }

    /// What to try, in this order. libpq knows no TLS over a unix socket, whatever the mode.
    pub(crate) fn channels(&self) -> &'static [Channel] {
        if self.is_tcp() { self.ssl.mode().channels() } else { &[Channel::Plain] }
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The name that the server's certificate should have.
    pub(crate) fn server_name(&self) -> &str {
        self.host_name.as_deref().unwrap_or_else(|| self.server.as_str())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    #[cfg(feature = "testing")]
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The settings among `options`.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Whether the link is TCP, where keepalives and TLS mean something.
    pub(crate) const fn is_tcp(&self) -> bool {
        matches!(self.server, Server::Tcp(_))
    }

    /// For tokio-postgres, without how to get there: it is handed a stream.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config.user(&self.user).dbname(&self.database);
        if let Some(password) = &self.password {
            config.password(password);
        }
        if let Some(options) = self.parsed.get_options() {
            config.options(options);
        }
        config
    }

    /// For sqlx, with a way to a server without TLS: [`crate::connect::Relay`] has another.
    ///
    /// NOTE: every field is set, since sqlx takes those that are not from PG* variables, which tokio-postgres does not
    /// read. A pooler refuses `extra_float_digits`, and must not see a named statement.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .host(self.server.as_str())
            .port(self.port)
            .username(&self.user)
            .password(self.password.as_deref().unwrap_or_default())
            .database(&self.database)
            .application_name(self.parsed.get_application_name().unwrap_or("tailwater"))
            .ssl_mode(PgSslMode::Disable)
            .extra_float_digits(None)
            .statement_cache_capacity(0);
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if self.settings.is_empty() { options } else { options.options(settings) }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (parsed, ssl) = parse::config(text.trim())?;
        let user = parsed.get_user().filter(|user| !user.is_empty());
        let user = user.map_or_else(parse::default_user, str::to_owned);
        let database = parsed.get_dbname().filter(|name| !name.is_empty()).unwrap_or(&user).to_owned();
        Ok(Self {
            server: parse::server(&parsed)?,
            host_name: parse::host_name(&parsed),
            port: parse::port(&parsed),
            user,
            password: parse::password(&parsed)?,
            database,
            settings: parse::settings(parsed.get_options().unwrap_or_default())?,
            ssl,
            parsed,
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&render::url(self, self.password.as_ref().map(|_| render::REDACTED)))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl From<&Host> for Server {
    fn from(host: &Host) -> Self {
        match host {
            Host::Tcp(name) => Self::Tcp(name.clone()),
            Host::Unix(directory) => Self::Socket(directory.to_string_lossy().into_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
