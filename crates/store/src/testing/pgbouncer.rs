//! A real PgBouncer in transaction mode before the test server.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use super::skip;
use crate::url::{DatabaseUrl, Server};

/// Where Debian puts it, which is not on everybody's PATH.
const SBIN: &str = "/usr/sbin/pgbouncer";
/// Below the ports that the kernel gives to clients, which may take one between our look and the pooler's.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A pooler that runs as long as its value.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    dir: PathBuf,
    url: DatabaseUrl,
    socket_url: DatabaseUrl,
}

impl PgBouncer {
    /// A pooler in transaction mode before the server and the database of `behind`, which shares that many of the
    /// server's sessions among all clients; `None`, after saying so, where PgBouncer is not installed.
    ///
    /// # Panics
    /// When it is there and does not start.
    pub fn up(behind: &DatabaseUrl, sessions: u32) -> Option<Self> {
        let Some(program) = program() else {
            skip("PgBouncer is not installed: run the tests by scripts/test");
            return None;
        };
        let dir = env::temp_dir().join(format!("tailwater-bouncer-{}", Uuid::new_v4().simple()));
        fs::create_dir(&dir).expect("a folder");
        // It gives up being root, and then makes its socket here.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("a folder for everybody");
        for _ in 0..50 {
            let port = choose_port();
            let config = dir.join("pgbouncer.ini");
            fs::write(&config, configuration(behind, &dir, port, sessions)).expect("a configuration");
            let log = fs::File::create(dir.join("stderr")).expect("a file");
            let mut command = Command::new(&program);
            if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
                command.args(["-u", "nobody"]);
            }
            let child = command.arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
            let pooler = Self {
                child: child.expect("PgBouncer starts"),
                url: at(behind, "127.0.0.1", port),
                socket_url: at(behind, &dir.to_string_lossy(), port),
                dir: dir.clone(),
            };
            if let Some(pooler) = pooler.once_ready(port) {
                return Some(pooler);
            }
        }
        let said = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        panic!("PgBouncer does not start: {said}");
    }

    /// `None` when it has ended: another process may have been quicker with the port.
    fn once_ready(mut self, port: u16) -> Option<Self> {
        let socket = self.dir.join(format!(".s.PGSQL.{port}"));
        while self.child.try_wait().expect("a child").is_none() {
            // It listens on TCP before it makes the socket.
            if socket.exists() {
                return Some(self);
            }
            thread::sleep(LOOK_AGAIN);
        }
        None
    }

    /// The database, through the pooler.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The same by its unix socket.
    #[must_use]
    pub const fn socket_url(&self) -> &DatabaseUrl {
        &self.socket_url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|dir| dir.join("pgbouncer")).chain([PathBuf::from(SBIN)]);
    places.find(|place| place.is_file())
}

/// Any, so that tests beside this one choose others.
fn choose_port() -> u16 {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    PORTS.start + u16::try_from(random % u64::from(PORTS.end - PORTS.start)).expect("a small number")
}

/// The same database at another place.
fn at(behind: &DatabaseUrl, host: &str, port: u16) -> DatabaseUrl {
    let text = format!("host='{host}' port={port} user={} dbname='{}'", behind.user(), behind.database());
    text.parse().expect("a DSN")
}

fn configuration(behind: &DatabaseUrl, dir: &Path, port: u16, sessions: u32) -> String {
    let host = match behind.server() {
        Server::Tcp(host) => host,
        Server::Socket(directory) => directory,
    };
    let password = behind.password().map(|password| format!(" password='{password}'")).unwrap_or_default();
    format!(
        "[databases]\n\
         * = host={host} port={server_port} user={user}{password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir = {dir}\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = {sessions}\n",
        server_port = behind.port(),
        user = behind.user(),
        dir = dir.display(),
    )
}
