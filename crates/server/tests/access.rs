//! Who is let in over real HTTP: with a token by any name, web pages that were set, and what goes through TLS.
#![cfg(test)]

mod support;

use std::sync::Arc;

use server::{Access, Settings, Tls, Tokens};
use support::{Running, lines};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const READ: (&str, &str) = ("authorization", "Bearer reads-0123456789");
const WRITE: (&str, &str) = ("authorization", "Bearer write-0123456789");
const GRAFANA: &str = "https://grafana.example.com";

fn access(cors_origins: &[&str]) -> Access {
    Access {
        tokens: Tokens::parse("read:reads-0123456789,write:write-0123456789").unwrap(),
        cors_origins: cors_origins.iter().map(|&origin| origin.to_owned()).collect(),
    }
}

#[test]
fn who_has_a_token_may_do_what_it_is_good_for() {
    let running = Running::behind(Settings::default(), access(&[]), None);
    let none = running.get("/api/status", &[]);
    none.problem(401, "wants a token");
    let challenges: Vec<&str> = none
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, it)| it.as_str())
        .collect();
    assert!(challenges[0].starts_with("Bearer") && challenges[1].starts_with("Basic"), "{challenges:?}");
    running.get("/api/status", &[("authorization", "Bearer reads-0123456788")]).problem(401, "not one that");
    running.get("/api/status", &[WRITE]).problem(403, "its scope is write");
    assert_eq!(running.get("/api/status", &[READ]).status, 200);
    assert_eq!(
        running.get("/api/status", &[READ, ("host", "recorder.example.com")]).status,
        200,
        "by any name"
    );
    assert_eq!(running.get("/healthz", &[]).status, 200);
    running.get("/nothing", &[]).problem(401, "wants a token");
    let ndjson = ("content-type", "application/x-ndjson");
    running.post("/api/events", &[ndjson], lines(1).as_bytes()).problem(401, "wants a token");
    running.post("/api/events", &[ndjson, READ], lines(1).as_bytes()).problem(403, "its scope is read");
    assert_eq!(running.kept(), 0);
    assert_eq!(running.post("/api/events", &[ndjson, WRITE], lines(1).as_bytes()).status, 202);
    running.end();
}

#[test]
fn a_page_from_elsewhere_may_ask_when_it_was_set() {
    for (set, status) in [(&[][..], 403), (&[GRAFANA][..], 200)] {
        let running = Running::behind(Settings::default(), access(set), None);
        let asked = |origin: &str| running.get("/api/status", &[READ, ("origin", origin)]);
        let answer = asked(GRAFANA);
        assert_eq!(answer.status, status);
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed.as_deref(), (status == 200).then_some(GRAFANA));
        asked("https://grafana.example.com.evil.example").problem(403, "web pages from elsewhere");
        asked("null").problem(403, "web pages from elsewhere");
        assert_eq!(asked(&format!("http://{}", running.address)).status, 200, "our own page");
        let preflight = format!(
            "OPTIONS /api/events HTTP/1.1\r\nHost: {}\r\nOrigin: {GRAFANA}\r\nAccess-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: authorization,content-type\r\nConnection: close\r\n\r\n",
            running.address
        );
        let answer = running.raw(preflight.as_bytes()).to_ascii_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
        assert_eq!(
            answer.contains("access-control-allow-headers: authorization,content-type"),
            status == 200
        );
        running.end();
    }
}

#[test]
fn pages_that_were_set_may_ask_without_tokens_too() {
    let access = Access { cors_origins: vec![GRAFANA.to_owned()], ..Access::default() };
    let running = Running::behind(Settings::default(), access, None);
    assert_eq!(running.get("/api/status", &[("origin", GRAFANA)]).status, 200);
    running.get("/api/status", &[("origin", "https://example.com")]).problem(403, "web pages from elsewhere");
    running.get("/api/status", &[("host", "example.com")]).problem(403, "its own machine alone");
    running.end();
}

#[test]
fn what_goes_through_tls_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::of_files(&cert, &key).unwrap();
    let running = Running::behind(Settings::default(), access(&[]), Some(tls));
    let roots =
        RootCerts::Specific(Arc::new(vec![Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()]));
    let config = ureq::Agent::config_builder().tls_config(TlsConfig::builder().root_certs(roots).build());
    let client: ureq::Agent = config.http_status_as_error(false).build().into();
    let url = format!("https://localhost:{}/api/status", running.address.port());
    let answer = client.get(&url).header(READ.0, READ.1).call().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(client.get(&url).call().unwrap().status(), 401);
    let plain = running.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!plain.contains("HTTP/1.1"), "who does not speak TLS hears nothing: {plain}");
    running.end();
}
