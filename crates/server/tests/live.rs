//! Streams of live events over real HTTP: what comes, where a client goes on, and when there is no place.
#![cfg(test)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use event::{Hole, HoleCause, Position};
use server::Settings;
use support::{Running, lines};

/// A stream of messages.
struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Asks for a stream and reads the head of the answer.
    fn open(running: &Running, path: &str, headers: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut stream = Self(BufReader::new(stream));
        let head = stream.paragraph();
        (stream, head)
    }

    /// Lines up to an empty one, without what chunks add.
    fn paragraph(&mut self) -> String {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("a line in time");
            let line = line.trim_end();
            let is_chunk_size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_chunk_size || (line.is_empty() && text.is_empty() && read > 0) {
                continue;
            }
            if line.is_empty() {
                return text;
            }
            text.push_str(line);
            text.push('\n');
        }
    }

    fn messages(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.paragraph()).collect()
    }
}

/// The message of the sample of a system `s0`, `s1`, …
fn message(position: usize, number: usize) -> String {
    let event = format!(
        r#"{{"kind":"system_sample","time":"2026-01-02T03:04:05.000000Z","host":"here","system_name":"s{number}"}}"#
    );
    format!("id: {position}\nevent: system_sample\ndata: {event}\n")
}

#[test]
fn what_is_new_comes_and_a_client_goes_on_where_it_was() {
    let running = Running::new();
    assert_eq!(running.events("application/x-ndjson", &lines(2)).status, 202);
    let (mut stream, head) = Stream::open(&running, "/api/live", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    assert_eq!(stream.paragraph(), "id: 2\nretry: 2000\n", "from now on");
    running.events("application/x-ndjson", &lines(3));
    let new = [message(3, 0), message(4, 1), message(5, 2)];
    assert_eq!(stream.messages(3), new);
    for (path, headers) in [
        ("/api/live", "Last-Event-ID: 3\r\n"),
        ("/api/live?after=3", ""),
        ("/api/live?after=1", "Last-Event-ID: 3\r\n"),
    ] {
        let (mut again, _) = Stream::open(&running, path, headers);
        assert_eq!(again.paragraph(), "id: 3\nretry: 2000\n");
        assert_eq!(again.messages(2), new[1..]);
    }
    running.end();
}

#[test]
fn a_choice_leaves_out_and_a_hole_is_told() {
    let running = Running::new();
    running.events("application/x-ndjson", &lines(4));
    let (mut stream, _) = Stream::open(&running, "/api/live?after=0&system=s1,s3", "");
    assert_eq!(stream.messages(3)[1..], [message(2, 1), message(4, 3)]);
    let (lo, hi) = (Position(1), Position(2));
    *running.fake.hole.lock().unwrap() = Some(Hole { lo, hi, cause: HoleCause::Trimmed, checksum: None });
    let (mut stream, _) = Stream::open(&running, "/api/live?after=1", "");
    let hole = "id: 2\nevent: hole\ndata: {\"from\":2,\"to\":2,\"events\":1,\"cause\":\"trimmed\"}\n";
    assert_eq!(stream.messages(3)[1..], [hole.to_owned(), message(3, 2)]);
    running.end();
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let running = Running::new();
    let check = |path: &str, field: &str, says: &str| {
        let problem = running.get(path, &[]).problem(400, says);
        assert_eq!(problem["field"], field);
    };
    check("/api/live?after=x", "after", "is no position");
    check("/api/live?after=1", "after", "is not there yet: the last one is 0");
    check("/api/live?kind=samples", "kind", "is not one of agent_sample");
    check("/api/live?agents=zen", "agents", "is not one of after, kind");
    running.get("/api/live", &[("last-event-id", "-1")]).problem(400, "is no position");
}

#[test]
fn streams_have_places_of_their_own_and_end_with_the_server() {
    let running = Running::with(Settings { live_max: 2, ..Settings::default() });
    let (mut one, _) = Stream::open(&running, "/api/live", "");
    let (other, _) = Stream::open(&running, "/api/live", "");
    assert_eq!(one.paragraph(), "id: 0\nretry: 2000\n");
    let full = running.get("/api/live", &[]);
    full.problem(503, "as many streams are open");
    assert_eq!(full.retry_after, Some(10));
    drop(other);
    let reopened = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Stream::open(&running, "/api/live", "").1.starts_with("HTTP/1.1 200")
    });
    assert!(reopened, "a place is free again when its client has gone");
    running.end();
    assert_eq!(one.paragraph(), "", "the stream ends");
}
