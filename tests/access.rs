//! Who may reach the daemon's HTTP server: tokens of a file or a variable, a certificate, and what keeps its door shut.
#![cfg(test)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use support::daemon::Daemon;
use support::log::Log;
use support::{agent_line, eventually, json as answer_of, record, stdout, tailwater};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const READ: &str = "Bearer reads-0123456789";
const WRITE: &str = "Bearer write-0123456789";

/// A daemon with these settings, and no samplers.
fn daemon(log: &Log, settings: &[(&str, &str)]) -> Daemon {
    let mut command = tailwater(&log.data());
    for (key, value) in [("HOST_ENABLED", "false"), ("TMUX_ENABLED", "false")].iter().chain(settings) {
        command.env(format!("TAILWATER_{key}"), value);
    }
    Daemon::start_command(&log.data(), command.arg("run"))
}

fn ingest(daemon: &Daemon) -> Value {
    daemon.status()["ingest"].take()
}

/// The status of a request to the daemon's port.
fn ask(client: &ureq::Agent, daemon: &Daemon, scheme: &str, authorization: &str) -> u16 {
    let address = ingest(daemon)["address"].as_str().expect("an address").to_owned();
    let port = address.rsplit(':').next().expect("a port");
    let request =
        client.get(format!("{scheme}://localhost:{port}/api/agents/stats/latest?from=2026-01-01T00:00:00Z"));
    request.header("authorization", authorization).call().expect("an answer").status().as_u16()
}

fn client(tls: TlsConfig) -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls);
    config.timeout_global(Some(Duration::from_secs(60))).build().into()
}

#[test]
fn other_machines_need_a_token() {
    let log = Log::new(false);
    let mut refused = tailwater(&log.data());
    let refused = refused.env("TAILWATER_SERVER_LISTEN", "0.0.0.0:0").arg("run").output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("server.listen") && told.contains("there is no token"), "{told}");

    answer_of(&record(&log.data(), &agent_line("zen", 1, 2.0)));
    let tokens = "read:reads-0123456789,write:write-0123456789";
    let settings = [("SERVER_LISTEN", "0.0.0.0:0"), ("SERVER_TOKENS", tokens)];
    let daemon = daemon(&log, &settings);
    let client = client(TlsConfig::default());
    assert_eq!(["", WRITE, READ].map(|token| ask(&client, &daemon, "http", token)), [401, 403, 200]);
    let output = daemon.output();
    assert!(output.contains("other machines can reach") && output.contains("wants a token"), "{output}");
    assert!(!output.contains("0123456789"), "{output}");
    let mut shown = tailwater(&log.data());
    let shown = shown.env("TAILWATER_SERVER_TOKENS", tokens).args(["config", "show"]).output().unwrap();
    assert!(stdout(&shown).contains("(set)") && !stdout(&shown).contains("0123456789"));
}

#[test]
fn the_door_is_shut_until_its_files_can_be_read() {
    let log = Log::new(false);
    answer_of(&record(&log.data(), &agent_line("zen", 1, 2.0)));
    let file = |name: &str| log.home.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(file("cert"), made.cert.pem()).unwrap();
    fs::write(file("key"), made.signing_key.serialize_pem()).unwrap();
    let path = |name: &str| file(name).to_str().expect("text").to_owned();
    let (tokens, cert, key) = (path("tokens"), path("cert"), path("key"));
    let settings = [("SERVER_TOKEN_FILE", &*tokens), ("SERVER_TLS_CERT", &cert), ("SERVER_TLS_KEY", &key)];
    let daemon = daemon(&log, &settings);
    let waiting = ingest(&daemon);
    assert_eq!(waiting["state"], "waiting");
    assert!(waiting["error"].as_str().unwrap().contains("server.token_file"), "{waiting}");
    answer_of(&record(&log.data(), &agent_line("zen", 2, 2.0)));

    fs::write(file("tokens"), "# ours\nread:reads-0123456789\n").unwrap();
    fs::set_permissions(file("tokens"), fs::Permissions::from_mode(0o644)).unwrap();
    eventually("it listens", || (ingest(&daemon)["state"] == "listening").then_some(()));
    let own = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = client(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(vec![own]))).build());
    assert_eq!(["", READ].map(|token| ask(&client, &daemon, "https", token)), [401, 200]);
    let mut doctor = tailwater(&log.data());
    let doctor = doctor.env("TAILWATER_SERVER_TOKEN_FILE", &tokens).arg("doctor").output().unwrap();
    assert!(stdout(&doctor).contains("holds tokens, and others may read it"), "{}", stdout(&doctor));
}
