//! Many readers while much is recorded and projected, and an outage in the middle: nobody is refused, and the log
//! answers while the database does not. `TAILWATER_LOAD_SECONDS` makes it long; what it measures it prints.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::daemon::Daemon;
use support::database::Database;
use support::log::Log;
use support::relay::Relay;
use support::{eventually, tailwater};

const READERS: usize = 200;
const AGENTS: u64 = 50;
/// Events of one request of the writer, and requests a second.
const BATCH: u64 = 250;
const BATCHES_PER_SECOND: u32 = 20;
/// By how much the daemon may have grown after the outage, MiB.
const MEMORY_GROWTH_MAX: f64 = 64.0;
/// What readers ask, each in turn.
const QUESTIONS: [&str; 8] = [
    "/api/agents/stats/latest",
    "/api/agents/stats/cpu?agent=agent1&from=-1h&interval=1m",
    "/api/agents/stats/mem?agent=agent2,agent3&from=-15m&interval=1m",
    "/api/agents/stats/net?from=-5m&interval=1m",
    "/api/agents/stats/tokens?from=-1h&by=model&interval=all",
    "/api/agents/stats/summary/agent4?from=-1h",
    "/api/status",
    "/api/gaps?from=-1d",
];

/// What happens to the database meanwhile, each for a third of the time.
const PHASES: [&str; 3] = ["before the outage", "in the outage", "after it"];

/// An answer: its status, who gave it, when it was asked for, and how long it took.
struct Answer {
    status: u16,
    source: String,
    began: Instant,
    took: Duration,
}

/// A connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a deadline");
        stream.set_nodelay(true).expect("an option");
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, head: &str, body: &[u8]) -> Answer {
        let began = Instant::now();
        let request = format!("{head}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        let stream = self.stream.get_mut();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.write_all(body))
            .expect("it takes requests");
        let mut answer = Answer { status: 0, source: String::new(), began, took: Duration::ZERO };
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).expect("an answer in time"), 0, "it hung up");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(status) = line.strip_prefix("http/1.1 ") {
                answer.status = status[..3].parse().expect("a status");
            } else if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().expect("a length");
            } else if let Some(source) = line.strip_prefix("tailwater-source: ") {
                source.clone_into(&mut answer.source);
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        answer.took = began.elapsed();
        let told = String::from_utf8_lossy(&body);
        assert!([200, 202, 404].contains(&answer.status), "{head}: {} {told}", answer.status);
        answer
    }
}

/// Events of now: samples of every agent, and a call now and then.
fn batch(number: u64) -> String {
    let now = tailwater::Time::from(std::time::SystemTime::now());
    let event = |index: u64| {
        let (time, agent) = (now.plus_micros(i64::try_from(index).unwrap()), index % AGENTS);
        if index % 25 == 24 {
            return format!(
                "{{\"kind\":\"token_usage\",\"time\":\"{time}\",\"agent_name\":\"agent{agent}\",\"model\":\"claude-opus-4-5\",\
                 \"message_id\":\"msg_{number}_{index}\",\"input_tokens\":10,\"output_tokens\":20,\"final\":true}}\n"
            );
        }
        let bytes = number * BATCH + index;
        format!(
            "{{\"kind\":\"agent_sample\",\"time\":\"{time}\",\"agent_name\":\"agent{agent}\",\"cpu_percent\":12.5,\
             \"mem_used_bytes\":{bytes},\"net_rx_bytes\":{bytes},\"net_tx_bytes\":{bytes}}}\n"
        )
    };
    (0..BATCH).map(event).collect()
}

/// Records at a steady pace until told to stop; gives how many events were acknowledged.
fn write(address: &str, stop: &AtomicBool) -> u64 {
    let (mut client, began, mut number) = (Client::connect(address), Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let head = "POST /api/events HTTP/1.1\r\nContent-Type: application/x-ndjson";
        assert_eq!(client.send(head, batch(number).as_bytes()).status, 202);
        number += 1;
        let due = Duration::from_secs(1) * u32::try_from(number).unwrap() / BATCHES_PER_SECOND;
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    number * BATCH
}

/// Asks one question after another until told to stop.
fn read(address: &str, first: usize, stop: &AtomicBool, asked: &AtomicU64) -> Vec<Answer> {
    let mut client = Client::connect(address);
    let mut answers = Vec::new();
    for question in QUESTIONS.iter().cycle().skip(first % QUESTIONS.len()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = client.send(&format!("GET {question} HTTP/1.1"), b"");
        asked.fetch_add(1, Ordering::Relaxed);
        answers.push(answer);
    }
    answers
}

/// The memory that a process has now, MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Tells how long answers took, by when they were asked for and who gave them.
fn report(answers: &[Answer], boundaries: [Instant; 2]) {
    let mut parts: BTreeMap<(usize, &str), Vec<Duration>> = BTreeMap::new();
    for answer in answers {
        let phase = boundaries.iter().filter(|boundary| answer.began >= **boundary).count();
        let source = if answer.source.is_empty() { "the daemon itself" } else { &answer.source };
        for source in [source, "all"] {
            parts.entry((phase, source)).or_default().push(answer.took);
        }
    }
    for ((phase, source), mut took) in parts {
        took.sort_unstable();
        let [median, tail] = [50, 99].map(|percent| percentile(&took, percent));
        println!("{}, {source}: {} answers, p50 {median:.1?}, p99 {tail:.1?}", PHASES[phase], took.len());
    }
}

#[test]
fn readers_are_answered_while_much_is_recorded_and_through_an_outage() {
    let Some(database) = Database::create() else { return };
    let seconds =
        std::env::var("TAILWATER_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6_u64);
    let relay = Relay::to(&database.url());
    let log = Log::new(false);
    let mut command = tailwater(&log.data());
    command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false");
    command.env("TAILWATER_SERVER_RATE", "none");
    let daemon = Daemon::start_command(&log.data(), command.args(["run", "--database-url", relay.url()]));
    let address = daemon.status()["ingest"]["address"].as_str().expect("it listens").to_owned();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (address, stop) = (address.clone(), Arc::clone(&stop));
        thread::spawn(move || write(&address, &stop))
    };
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (address, stop, asked) = (address.clone(), Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || read(&address, number, &stop, &asked))
        })
        .collect();
    let part = Duration::from_secs(seconds) / 3;
    let changes = [Relay::silence, Relay::thaw].map(|change| {
        thread::sleep(part);
        let memory = resident(daemon.pid());
        change(&relay);
        (Instant::now(), memory)
    });
    thread::sleep(part);
    let ended = resident(daemon.pid());
    // Through the outage and out of it again, whatever that takes.
    eventually("everybody was asked again", || {
        (asked.load(Ordering::Relaxed) > 3 * READERS as u64).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().expect("the writer");
    let answers: Vec<Answer> =
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader")).collect();
    report(&answers, changes.map(|(at, _)| at));
    let [before, during] = changes.map(|(_, memory)| memory);
    println!(
        "{written} events in {seconds} s; {before:.1} MiB before the outage, {during:.1} in it, {ended:.1} at the end"
    );
    assert!(ended < before.max(during) + MEMORY_GROWTH_MAX, "memory grows: {before} {during} {ended}");
    for source in ["database", "log"] {
        assert!(answers.iter().any(|answer| answer.source == source), "nothing was answered by the {source}");
    }
    eventually("all is in the database", || (daemon.status()["projection"]["lag_events"] == 0).then_some(()));
    let rows = "SELECT (SELECT count(*) FROM agent_metrics) + (SELECT count(*) FROM token_metrics)";
    assert_eq!(database.value::<i64>(rows), i64::try_from(written).unwrap());
}
