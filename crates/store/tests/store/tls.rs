//! Every `sslmode`, through both clients: what passes, what does not, and what is said about it.

use std::fs;
use std::path::PathBuf;

use event::Time;
use projector::{ErrorKind, Target};
use query::{AgentFilter, AgentLatest, ReadErrorKind, Reader, TimeRange};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use store::read::{ReadOptions, TimescaleReader};
use store::testing::{PrivateServer, connect};
use store::{DatabaseUrl, Extension, Migrate, StoreOptions, TimescaleTarget, Transport, examine, migrate};
use uuid::Uuid;

use crate::support::log;

/// A certificate and its key.
struct Pair {
    certificate: String,
    key: String,
}

/// A private authority.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self(Issuer::new(parameters, key), certificate)
    }

    fn sign(&self, names: &[&str], valid_to: i32) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(valid_to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// The certificate of a server that is its own authority, as `openssl req -x509` makes it.
fn own_authority(names: &[&str], valid_to: i32) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.not_before = date_time_ymd(2001, 1, 1);
    parameters.not_after = date_time_ymd(valid_to, 1, 1);
    let key = KeyPair::generate().unwrap();
    Pair { certificate: parameters.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// A file that goes with its value.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tailwater-ca-{}.pem", Uuid::new_v4().simple()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A server with the schema in its database, and who may connect to it how.
struct World(PrivateServer);

/// How the administrator of the tests comes in: the socket's user needs no entry that a test changes.
const ADMIN_ENTRY: &str = "host all postgres all trust\n";

impl World {
    async fn new() -> Option<Self> {
        let server = PrivateServer::up()?;
        migrate(server.url(), Extension::Create).await.unwrap();
        let client = connect(server.url()).await;
        let sql = "CREATE ROLE guest LOGIN SUPERUSER PASSWORD 'pass-of-guest'";
        client.batch_execute(sql).await.unwrap();
        let world = Self(server);
        world.let_in("host").await;
        Some(world)
    }

    /// Which links the guest may use: `host`, `hostssl`, `hostnossl`.
    async fn let_in(&self, links: &str) {
        let entry = format!("{ADMIN_ENTRY}{links} all guest all scram-sha-256\n");
        self.0.write_file("pg_hba.conf", &entry).await;
        self.0.configure(&[]).await;
        self.until("SELECT count(*) = 2 AND bool_and(error IS NULL) FROM pg_hba_file_rules").await;
    }

    /// Turns TLS on with this certificate.
    async fn serve(&self, pair: &Pair) {
        self.0.write_file("tls.key", &pair.key).await;
        self.0.write_file("tls.crt", &pair.certificate).await;
        // NOTE: a certificate that changed is not told by any view; the file's name is.
        let name = format!("{}.crt", Uuid::new_v4().simple());
        self.0.write_file(&name, &pair.certificate).await;
        self.0.configure(&[("ssl_key_file", "tls.key"), ("ssl_cert_file", &name), ("ssl", "on")]).await;
        self.until(&format!(
            "SELECT current_setting('ssl') = 'on' AND current_setting('ssl_cert_file') = '{name}'"
        ))
        .await;
    }

    /// Waits for the server's own word: it reads its files when it comes to it.
    async fn until(&self, sql: &str) {
        while !connect(self.0.url()).await.query_one(sql, &[]).await.expect(sql).get::<_, bool>(0) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The guest's URL, by name.
    fn url(&self, options: &str) -> DatabaseUrl {
        let url = self.0.url().secret();
        let (_, place) = url.split_once('@').unwrap();
        let place = place.replacen("127.0.0.1", "localhost", 1);
        let place = place.split('?').next().unwrap();
        format!("postgres://guest:pass-of-guest@{place}?{options}").parse().unwrap()
    }

    /// Whether sessions whose name begins so are encrypted.
    async fn is_encrypted(&self, name: &str) -> bool {
        let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE $1";
        connect(self.0.url()).await.query_one(sql, &[&format!("{name}%")]).await.unwrap().get(0)
    }

    /// A lane: tokio-postgres. Whether it is encrypted, or what it says.
    async fn by_lane(&self, url: &DatabaseUrl) -> Result<bool, String> {
        let options = StoreOptions { migrate: Migrate::Never, extension: Extension::Create };
        let log = log("home");
        let connected =
            TimescaleTarget::new(url.clone(), options).connect(&log, projector::LaneName::Live).await;
        match connected {
            Ok(_lane) => {
                let name = format!("tailwater/{}", &log.log_id.to_string()[..8]);
                Ok(self.is_encrypted(&name).await)
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
                Err(error.to_string())
            }
        }
    }

    /// A reader: sqlx. The same.
    async fn by_reader(&self, url: &DatabaseUrl) -> Result<bool, String> {
        let reader = TimescaleReader::new(url, ReadOptions::default());
        let range = TimeRange::new(Time::from_micros(0), Time::from_micros(1)).unwrap();
        let read = reader.agent_latest(&AgentLatest { range, filter: AgentFilter::default() }).await;
        let answer = match read {
            Ok(_) => Ok(self.is_encrypted("tailwater/read").await),
            Err(error) => {
                assert_eq!(error.kind(), ReadErrorKind::Fatal, "{error}");
                Err(error.to_string())
            }
        };
        reader.close().await;
        answer
    }

    /// An examination. What it tells of its link, or what it says.
    async fn by_examination(&self, url: &DatabaseUrl) -> Result<bool, String> {
        match examine(url, None, &[]).await {
            Ok(report) => Ok(report.transport == Transport::Tls),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
                Err(error.to_string())
            }
        }
    }

    /// A migration of another database: both clients, one after the other.
    async fn by_migration(&self, url: &DatabaseUrl) -> Result<(), String> {
        let name = format!("m{}", Uuid::new_v4().simple());
        let admin = connect(self.0.url()).await;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        let migrated = migrate(&url.with_database(&name), Extension::Leave).await;
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        migrated.map(|outcome| assert_eq!(outcome.applied.len(), 1)).map_err(|error| error.to_string())
    }

    /// Checks a mode with both clients: [`PLAIN`], [`TLS`], or a piece of what is said.
    async fn check(&self, options: &str, wanted: &str) {
        let url = self.url(options);
        for (client, got) in [
            ("lane", self.by_lane(&url).await),
            ("reader", self.by_reader(&url).await),
            ("examination", self.by_examination(&url).await),
        ] {
            match got {
                Ok(is_encrypted) => {
                    assert_eq!(wanted, if is_encrypted { TLS } else { PLAIN }, "{client}, {options}");
                }
                Err(told) => {
                    assert!(told.contains(wanted), "{client}, {options}: {told}");
                    assert!(!told.contains("pass-of-guest") && !told.contains('\n'), "{told}");
                }
            }
        }
    }
}

const PLAIN: &str = "plain";
const TLS: &str = "TLS";
const NOT_OFFERED: &str = "the server offers no TLS; turn it on there";
const NOT_SIGNED: &str = "certificate is not signed by an authority of sslrootcert=";
const NOT_NAMED: &str = "certificate is not made for the name localhost; use a name that it is made for";
const NO_ENTRY: &str = "SQLSTATE 28000: no pg_hba.conf entry";

#[tokio::test]
async fn every_mode_means_the_same_to_both_clients() {
    let Some(world) = World::new().await else { return };
    let (authority, other) = (Authority::new(), Authority::new());
    let file = File::new(&authority.1);
    let right = format!("sslrootcert={}", file.0.display());
    let other_file = File::new(&other.1);
    let wrong = format!("sslrootcert={}", other_file.0.display());

    // Without TLS.
    for mode in ["disable", "allow", "prefer"] {
        world.check(&format!("sslmode={mode}"), PLAIN).await;
    }
    world.check("", PLAIN).await;
    world.check("sslmode=require", &format!("sslmode=require: {NOT_OFFERED}")).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        world.check(&format!("sslmode={mode}&{right}"), &format!("sslmode={mode}: {NOT_OFFERED}")).await;
    }

    // The right authority has signed the right name.
    world.serve(&authority.sign(&["localhost"], 2199)).await;
    for mode in ["disable", "allow"] {
        world.check(&format!("sslmode={mode}&{right}"), PLAIN).await;
        world.check(&format!("sslmode={mode}&{wrong}"), PLAIN).await;
    }
    world.check("", TLS).await;
    world.check("sslmode=require", TLS).await;
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        world.check(&format!("sslmode={mode}&{right}"), TLS).await;
        world.by_migration(&world.url(&format!("sslmode={mode}&{right}"))).await.unwrap();
    }

    // Another authority is trusted than the one that has signed.
    world.check(&format!("sslmode=prefer&{wrong}"), TLS).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        world
            .check(&format!("sslmode={mode}&{wrong}"), &format!("sslmode={mode}: the server's {NOT_SIGNED}"))
            .await;
        let told = world.by_migration(&world.url(&format!("sslmode={mode}&{wrong}"))).await.unwrap_err();
        assert!(told.contains(NOT_SIGNED), "{told}");
    }
    world.check("sslmode=verify-full", "not signed by an authority of the platform's store").await;

    // The right authority has signed another name.
    world.serve(&authority.sign(&["db.example"], 2199)).await;
    for mode in ["prefer", "require", "verify-ca"] {
        world.check(&format!("sslmode={mode}&{right}"), TLS).await;
    }
    world.check(&format!("sslmode=verify-full&{right}"), NOT_NAMED).await;

    // It has expired.
    world.serve(&authority.sign(&["localhost"], 2020)).await;
    world.check("sslmode=require", TLS).await;
    world.check(&format!("sslmode=verify-ca&{right}"), "has expired").await;
    world.check(&format!("sslmode=verify-full&{right}"), "has expired").await;
}

#[tokio::test]
async fn a_certificate_may_be_its_own_authority() {
    let Some(world) = World::new().await else { return };
    let check = async |names: &[&str], valid_to, ca: &str, full: &str| {
        let pair = own_authority(names, valid_to);
        let file = File::new(&pair.certificate);
        world.serve(&pair).await;
        world.check(&format!("sslmode=verify-ca&sslrootcert={}", file.0.display()), ca).await;
        world.check(&format!("sslmode=verify-full&sslrootcert={}", file.0.display()), full).await;
    };
    check(&["localhost"], 2199, TLS, TLS).await;
    check(&["db.example"], 2199, TLS, NOT_NAMED).await;
    check(&["localhost"], 2020, "has expired", "has expired").await;

    let file = File::new("");
    let nothing = format!("sslmode=verify-ca&sslrootcert={}", file.0.display());
    world.check(&nothing, "holds no certificate").await;
    drop(file);
    world.check(&nothing, "cannot be used: No such file").await;
}

/// `allow` and `prefer` try the other channel where the server does not let them in over the first.
#[tokio::test]
async fn the_modes_between_find_the_channel_that_the_server_wants() {
    let Some(world) = World::new().await else { return };
    world.serve(&own_authority(&["localhost"], 2199)).await;
    world.let_in("hostssl").await;
    world.check("sslmode=disable", NO_ENTRY).await;
    for mode in ["allow", "prefer", "require"] {
        world.check(&format!("sslmode={mode}"), TLS).await;
    }
    world.let_in("hostnossl").await;
    for mode in ["disable", "allow", "prefer"] {
        world.check(&format!("sslmode={mode}"), PLAIN).await;
    }
    world.check("sslmode=require", NO_ENTRY).await;
}
