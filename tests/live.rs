//! `/api/live` of a real daemon: through kills each durable event comes once and in its order, while others record.
#![cfg(test)]

mod support;

use std::io::{BufRead, BufReader};
use std::time::Duration;

use support::log::Log;
use support::{agent_lines, json, record};

/// A stream of events and the position that its client has reached.
struct Client {
    lines: Box<dyn BufRead>,
    position: u64,
}

impl Client {
    /// Goes on behind a position.
    fn open(log: &Log, position: u64) -> Self {
        let status = log.daemon.as_ref().expect("a daemon").status();
        let address = status["ingest"]["address"].as_str().expect("it listens");
        let config = ureq::Agent::config_builder().timeout_connect(Some(Duration::from_secs(30)));
        let client: ureq::Agent = config.timeout_recv_response(Some(Duration::from_secs(30))).build().into();
        let request = client.get(format!("http://{address}/api/live?kind=agent_sample"));
        let answer = request.header("last-event-id", position.to_string()).call().expect("a stream");
        let mut client = Self { lines: Box::new(BufReader::new(answer.into_body().into_reader())), position };
        assert_eq!(client.next(), Some(String::new()), "it tells where it begins");
        assert_eq!(client.position, position);
        client
    }

    /// The data of the next message; `None` when the stream has ended.
    fn next(&mut self) -> Option<String> {
        let (mut data, mut id) = (String::new(), None);
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(read) if read > 0 && line.ends_with('\n') => {}
                _ => return None,
            }
            let line = line.trim_end();
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.parse().expect("a position"));
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = text.to_owned();
            } else if let (true, Some(position)) = (line.is_empty(), id) {
                self.position = position;
                return Some(data);
            }
        }
    }
}

#[test]
fn through_kills_each_event_comes_once_and_in_its_order() {
    const ROUNDS: usize = 4;
    const EVENTS: usize = 500;
    let mut log = Log::new(true);
    let mut position = 0;
    let mut told = Vec::new();
    for round in 0..ROUNDS {
        let mut client = Client::open(&log, position);
        json(&record(&log.data(), &agent_lines(&format!("zen{round}"), EVENTS as u64)));
        if round == ROUNDS - 1 {
            while told.len() < ROUNDS * EVENTS {
                told.push(client.next().expect("the stream goes on"));
            }
            break;
        }
        for _ in 0..EVENTS / 3 {
            told.push(client.next().expect("the stream goes on"));
        }
        log.daemon.take().expect("a daemon").kill();
        // What the client had in its hands when the daemon died it has as well.
        told.extend(std::iter::from_fn(|| client.next()).filter(|data| !data.is_empty()));
        position = client.position;
        log.start_daemon();
    }
    let exported = String::from_utf8(log.log(&["export", "--kind", "agent_sample"]).stdout).unwrap();
    let exported: Vec<&str> = exported.lines().collect();
    assert_eq!(exported.len(), ROUNDS * EVENTS);
    assert_eq!(told, exported);
}

#[test]
fn a_daemon_that_stops_ends_its_streams() {
    let mut log = Log::new(true);
    let mut client = Client::open(&log, 0);
    log.stop_daemon();
    assert_eq!(client.next(), None);
}
