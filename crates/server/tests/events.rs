//! `POST /api/events` over real HTTP: every encoding, every answer, every bound.
#![cfg(test)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use server::{IntakeError, Settings, Teller};
use support::{Running, agent, array, gzip, line, lines};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

#[test]
fn events_come_in_every_form_and_are_answered_with_their_positions() {
    let running = Running::new();
    let mut next = 1;
    let mut check = |headers: &[(&str, &str)], body: &[u8], events: u64| {
        let answer = running.post("/api/events", headers, body);
        assert_eq!((answer.status, answer.media_type.as_str()), (202, JSON), "{answer:?}");
        let expected =
            json!({"accepted": events, "first_position": next, "last_position": next + events - 1});
        assert_eq!(answer.json(), expected, "{headers:?}");
        next += events;
    };
    let packed = ("content-encoding", "gzip");
    for media_type in [JSON, "application/json; charset=utf-8", "Application/JSON"] {
        check(&[("content-type", media_type)], array(3).as_bytes(), 3);
        check(&[("content-type", media_type)], line(1).as_bytes(), 1);
    }
    for media_type in [NDJSON, "application/ndjson", "application/jsonl"] {
        check(&[("content-type", media_type)], lines(3).as_bytes(), 3);
    }
    check(&[], lines(2).as_bytes(), 2);
    check(&[], array(2).as_bytes(), 2);
    check(&[("content-type", JSON), packed], &gzip(array(100).as_bytes()), 100);
    check(&[("content-type", NDJSON), packed], &gzip(lines(100).as_bytes()), 100);
    let two_files = [gzip(lines(60).as_bytes()), gzip(lines(40).as_bytes())].concat();
    check(&[("content-type", NDJSON), packed], &two_files, 100);
    check(&[("content-type", NDJSON), ("content-encoding", "identity")], lines(1).as_bytes(), 1);
    let nothing = running.events(NDJSON, "\n");
    assert_eq!(nothing.json(), json!({"accepted": 0, "first_position": null, "last_position": null}));
    let kept = running.fake.kept.lock().unwrap();
    assert_eq!(kept.len() as u64, next - 1);
    assert!(kept.iter().all(|(_, teller)| *teller == Teller::Caller));
    assert_eq!((running.tally().events, running.tally().rejected), (next - 1, 0));
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_kept() {
    let running = Running::new();
    let bad = r#"{"kind":"system_sample","time":"yesterday","system_name":"s"}"#;
    let in_array = format!("[{},{bad},{}]", line(0), line(2));
    let problem = running.events(JSON, &in_array).problem(400, "item 1: field time");
    assert_eq!(
        [&problem["item"], &problem["field"], &problem["line"]],
        [&json!(1), &json!("time"), &json!(null)]
    );
    let in_lines = format!("{}\n\n{bad}\n", line(0));
    let problem = running.events(NDJSON, &in_lines).problem(400, "line 3: field time");
    assert_eq!(
        [&problem["item"], &problem["field"], &problem["line"]],
        [&json!(1), &json!("time"), &json!(3)]
    );
    let unknown = line(0).replace("system_name", "colour");
    running.events(JSON, &unknown).problem(400, "system_name");
    running.events(JSON, "[{").problem(400, "item 0: not a JSON array of events");
    running.events(JSON, "").problem(400, "not a JSON object");
    running.post("/api/events", &[("content-encoding", "gzip")], b"no gzip").problem(400, "no good gzip");
    let mut cut = gzip(lines(1_000).as_bytes());
    cut.truncate(cut.len() / 2);
    running.post("/api/events", &[("content-encoding", "gzip")], &cut).problem(400, "broke off");
    running.events("text/html", "x").problem(415, "\"text/html\" is not application/json");
    let junk = [gzip(lines(10).as_bytes()), b"junk behind it".to_vec()].concat();
    running.post("/api/events", &[("content-encoding", "gzip")], &junk).problem(400, "no good gzip");
    running.post("/api/events", &[("content-encoding", "br")], b"x").problem(415, "neither gzip");
    let long = format!("{{\"kind\":\"{}\"}}", "x".repeat(1 << 20));
    running.events(NDJSON, &long).problem(400, "the most is 1048576");
    assert_eq!((running.kept(), running.tally().events, running.tally().rejected), (0, 0, 11));
}

#[test]
fn what_is_wrong_can_be_skipped_and_counted() {
    let running = Running::new();
    let some = format!("{}\n{{}}\n{}\n", line(0), line(1));
    let post = |query: &str| running.post(&format!("/api/events?{query}"), &[], some.as_bytes());
    let expected = json!({"accepted": 2, "first_position": 1, "last_position": 2, "skipped": 1});
    assert_eq!(post("skip_invalid=true").json(), expected);
    post("skip_invalid=false").problem(400, "line 2");
    assert_eq!(post("skip_invalid=yes").problem(400, "neither true nor false")["field"], "skip_invalid");
    assert_eq!(post("skip=true").problem(400, "no parameter \"skip\"")["field"], "skip");
}

#[test]
fn a_log_that_refuses_is_a_503_and_an_event_that_it_refuses_a_400() {
    let running = Running::new();
    let (reason, retry_after) =
        ("the log is full; nothing was recorded".to_owned(), Duration::from_millis(9_001));
    *running.fake.refusal.lock().unwrap() = Some(IntakeError::Unavailable { reason, retry_after });
    let answer = running.events(JSON, &array(2));
    answer.problem(503, "the log is full");
    assert_eq!(answer.retry_after, Some(10), "whole seconds, and not too few");
    let invalid = IntakeError::Invalid { index: 1, field: Some("host"), problem: "is odd".to_owned() };
    *running.fake.refusal.lock().unwrap() = Some(invalid);
    let problem = running.events(JSON, &array(2)).problem(400, "event 1: is odd; nothing was recorded");
    assert_eq!((&problem["item"], &problem["field"]), (&json!(1), &json!("host")));
    *running.fake.refusal.lock().unwrap() = None;
    assert_eq!(running.events(JSON, &array(2)).status, 202);
}

#[test]
fn a_client_that_sends_too_fast_waits() {
    let running = Running::with(Settings { rate: NonZeroU32::new(1), ..Settings::default() });
    assert_eq!(running.events(JSON, &array(10)).status, 202, "ten seconds' worth may come at once");
    let answer = running.events(JSON, &array(5));
    answer.problem(429, "1 events a second (setting server.rate)");
    assert!((1..=5).contains(&answer.retry_after.expect("how long")), "{answer:?}");
    assert_eq!(running.kept(), 10, "nothing of it");
}

#[test]
fn a_request_has_its_bound_as_sent_and_as_unpacked() {
    let settings = Settings { request_bytes_max: 100_000, ..Settings::default() };
    let running = Running::with(Settings { rate: None, ..settings });
    assert_eq!(running.events(NDJSON, &lines(1_000)).status, 202);
    let too_many = lines(2_000);
    assert!(too_many.len() > 100_000);
    running.events(NDJSON, &too_many).problem(413, "more than 100000 bytes");
    let streamed =
        agent().post(running.url("/api/events")).send(ureq::SendBody::from_reader(&mut too_many.as_bytes()));
    support::Answer::of(streamed.unwrap()).problem(413, "more than 100000 bytes");
    let packed = gzip(&vec![b'\n'; 300_000]);
    assert!(packed.len() < 10_000);
    running
        .post("/api/events", &[("content-encoding", "gzip")], &packed)
        .problem(413, "more than 100000 bytes");
    // Of a bomb so little is unpacked that its sender may find the connection ended before it has sent everything.
    let rejected = running.tally().rejected;
    let bomb = gzip(&vec![b'\n'; 50_000_000]);
    let posted =
        agent().post(running.url("/api/events")).header("content-encoding", "gzip").send(bomb.as_slice());
    assert!(posted.map_or(true, |answer| answer.status().as_u16() == 413));
    assert_eq!(running.tally().rejected, rejected + 1);
    assert_eq!(running.kept(), 1_000);
}

#[test]
fn all_bodies_together_have_their_bound() {
    let settings = Settings { rate: None, memory_bytes_max: 200_000, ..Settings::default() };
    let running = Running::with(settings);
    running.fake.permits.forget_permits(1_000);
    let (first, body) = (running.address, lines(1_800));
    let waiting = std::thread::spawn({
        let (url, body) = (format!("http://{first}/api/events"), body.clone());
        move || agent().post(url).send(body.as_bytes()).unwrap().status().as_u16()
    });
    // The first one is parsed and waits for its acknowledgement: its memory is still taken.
    running.runtime.block_on(async { running.fake.begun.acquire().await.unwrap().forget() });
    let answer = running.events(NDJSON, &body);
    answer.problem(503, "all the memory");
    assert_eq!(answer.retry_after, Some(1));
    running.fake.permits.add_permits(10);
    assert_eq!(waiting.join().unwrap(), 202);
    assert_eq!(running.events(NDJSON, &body).status, 202);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let settings = Settings { body_deadline: Duration::from_millis(300), ..Settings::default() };
    let running = Running::with(settings);
    let head = "POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    let answer = running.raw(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 0.3 s"), "{answer}");
    assert_eq!(running.kept(), 0);
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let settings = Settings { head_deadline: Duration::from_millis(300), ..Settings::default() };
    let running = Running::with(settings);
    let answer = running.raw(b"POST /api/events HTTP/1.1\r\nHost: local");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn only_this_machine_is_answered() {
    let running = Running::new();
    let request = |headers: &str| {
        let body = line(0);
        let length = body.len();
        let head = format!(
            "POST /api/events HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        running.raw(format!("{head}{body}").as_bytes())
    };
    for headers in [
        "Host: localhost\r\n",
        "Host: LOCALHOST:9470\r\n",
        "Host: 127.0.0.1:1\r\n",
        "Host: [::1]:9470\r\n",
        "Host: localhost\r\nOrigin: http://localhost:3000\r\n",
        "Host: localhost\r\nOrigin: https://127.0.0.1\r\n",
    ] {
        let answer = request(headers);
        assert!(answer.starts_with("HTTP/1.1 202 "), "{headers}: {answer}");
    }
    let kept = running.kept();
    for headers in [
        "",
        "Host: example.com\r\n",
        "Host: localhost.example.com\r\n",
        "Host: 127.0.0.1.example.com:9470\r\n",
        "Host: 192.168.1.2\r\n",
        "Host: localhost\r\nHost: example.com\r\n",
        "Host: localhost\r\nOrigin: null\r\n",
        "Host: localhost\r\nOrigin: http://example.com\r\n",
        "Host: localhost\r\nOrigin: http://localhost.example.com\r\n",
        "Host: localhost\r\nOrigin: http://localhost@example.com\r\n",
        "Host: localhost\r\nOrigin: http://localhost, http://example.com\r\n",
        "Host: localhost\r\nOrigin: \r\n",
    ] {
        let answer = request(headers);
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("problem+json"),
            "{headers}: {answer}"
        );
    }
    let absolute =
        "POST http://example.com/api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(running.raw(absolute.as_bytes()).starts_with("HTTP/1.1 403 "));
    assert_eq!(running.kept(), kept, "nothing of theirs");
}

#[test]
fn other_paths_and_methods_are_problems() {
    let running = Running::new();
    running.post("/api/event", &[], b"").problem(404, "nothing at this path");
    let answer = agent().get(running.url("/api/events")).call().unwrap();
    support::Answer::of(answer).problem(405, "another method");
    let health = support::Answer::of(agent().get(running.url("/healthz")).call().unwrap());
    assert_eq!((health.status, health.body.as_slice()), (200, b"ok\n".as_slice()));
    assert_eq!((running.tally().requests, running.tally().rejected), (3, 2));
}

#[test]
fn connections_are_bounded_and_a_further_one_waits_its_turn() {
    let running = Running::with(Settings { rate: None, connections_max: 1, ..Settings::default() });
    let first = TcpStream::connect(running.address).unwrap();
    let url = running.url("/api/events");
    let second =
        std::thread::spawn(move || agent().post(url).send(line(0).as_bytes()).unwrap().status().as_u16());
    assert_eq!(running.kept(), 0);
    drop(first);
    assert_eq!(second.join().unwrap(), 202);
}

#[test]
fn the_end_waits_for_what_is_under_way_and_takes_nothing_more() {
    let running = Running::new();
    running.fake.permits.forget_permits(1_000);
    let (url, address, fake) = (running.url("/api/events"), running.address, running.fake.clone());
    let request =
        std::thread::spawn(move || agent().post(url).send(line(0).as_bytes()).unwrap().status().as_u16());
    running.runtime.block_on(async { fake.begun.acquire().await.unwrap().forget() });
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"POST /api/events").unwrap();
    running.stop.cancel();
    // What comes from now on is refused, while the first request still waits for its acknowledgement.
    while TcpStream::connect(address).is_ok() {}
    fake.permits.add_permits(1);
    assert_eq!(request.join().unwrap(), 202);
    drop(idle);
    running.end();
    assert_eq!(fake.kept.lock().unwrap().len(), 1);
}
