//! A whole server of one test, which may stop it, and change its settings, as it likes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use uuid::Uuid;

use super::{connect, skip};
use crate::url::DatabaseUrl;

/// The script that makes servers: `scripts/timescaledb`.
const SCRIPT_VARIABLE: &str = "TAILWATER_TEST_TIMESCALEDB";
/// The script's word for: no installation here to make a server from.
const EXIT_NO_INSTALLATION: i32 = 3;

/// A running server. It is stopped and deleted with the value.
#[derive(Debug)]
pub struct PrivateServer {
    script: PathBuf,
    dir: PathBuf,
    url: DatabaseUrl,
}

impl PrivateServer {
    /// Makes and starts it; `None`, after saying so, where none can be made.
    ///
    /// # Panics
    /// When one could be made and was not.
    pub fn up() -> Option<Self> {
        let Some(script) = env::var_os(SCRIPT_VARIABLE).map(PathBuf::from) else {
            skip("TAILWATER_TEST_TIMESCALEDB is not set: run the tests by scripts/test");
            return None;
        };
        let dir = env::temp_dir().join(format!("tailwater-pg-{}", Uuid::new_v4().simple()));
        let mut command = Command::new(&script);
        command.args(["private", "up"]).arg(&dir).arg("0").stderr(Stdio::inherit());
        let made = command.output().expect("scripts/timescaledb runs");
        if made.status.code() == Some(EXIT_NO_INSTALLATION) {
            skip("the tests use somebody else's server, which they may neither stop nor change");
            return None;
        }
        assert!(made.status.success(), "scripts/timescaledb private up: {}", made.status);
        let url = String::from_utf8_lossy(&made.stdout).trim().parse().expect("the script prints a URL");
        Some(Self { script, dir, url })
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Its data directory, where it runs on this machine's files.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.dir
    }

    /// Stops it as the script knows to: `fast` (sessions are told), `immediate` (as a crash), `kill` (SIGKILL).
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&self, how: &str) {
        self.script("stop", &[how]);
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        self.script("start", &[]);
    }

    fn script(&self, verb: &str, more: &[&str]) {
        let mut command = Command::new(&self.script);
        command.args(["private", verb]).arg(&self.dir).args(more).stdout(Stdio::null());
        let status = command.status().expect("scripts/timescaledb runs");
        assert!(status.success(), "scripts/timescaledb private {verb}: {status}");
    }

    /// The same by its unix socket, where that can be reached from here.
    ///
    /// # Panics
    /// When the folder's name is not text.
    #[must_use]
    pub fn socket_url(&self) -> Option<DatabaseUrl> {
        let port = self.url.port();
        let dir = self.dir.to_str().expect("a name of ASCII");
        let text = format!("host='{dir}' port={port} user=postgres dbname={}", self.url.database());
        let is_there = self.dir.join(format!(".s.PGSQL.{port}")).exists();
        is_there.then(|| text.parse().expect("a DSN"))
    }

    /// Writes a file beside its data, as the server's own user, wherever that is.
    ///
    /// # Panics
    /// When the server does not.
    pub async fn write_file(&self, name: &str, text: &str) {
        let lines = text.trim_end().replace('\'', "''");
        let sql = format!(
            "COPY (SELECT unnest(string_to_array('{lines}', E'\\n')))
             TO PROGRAM 'umask 077; cat > {name}' WITH (FORMAT csv, QUOTE E'\\x01')"
        );
        connect(&self.url).await.batch_execute(&sql).await.expect("the server writes a file");
    }

    /// Makes settings that need no restart, as `name = value` lines.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn configure(&self, settings: &[(&str, &str)]) {
        let client = connect(&self.url).await;
        for (name, value) in settings {
            let sql = format!("ALTER SYSTEM SET {name} = '{value}'");
            client.batch_execute(&sql).await.expect(&sql);
        }
        client.batch_execute("SELECT pg_reload_conf()").await.expect("the server reads its settings");
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let mut command = Command::new(&self.script);
        let _ = command.args(["private", "down"]).arg(&self.dir).stdout(Stdio::null()).status();
    }
}
