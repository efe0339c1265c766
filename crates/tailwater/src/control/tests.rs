//! Both ends of the control socket against each other: lines in order, slow readers, readers that go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::output::{Output, Told};
use super::server::{self, Handler};
use super::{Progress, Task};
use crate::failure::Failure;

/// Tells lines until it is stopped, or as many as it shall.
struct Talker {
    lines_max: usize,
    told: AtomicUsize,
    ended: CancellationToken,
}

impl Handler for Talker {
    async fn handle(
        &self,
        _: Task,
        _: Vec<u8>,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Value, Failure> {
        let _ended = self.ended.clone().drop_guard();
        while self.told.load(Ordering::Relaxed) < self.lines_max && !stop.is_cancelled() {
            let number = self.told.fetch_add(1, Ordering::Relaxed);
            output.lines(&format!("{number:01000}\n")).await?;
            output.progress(Progress { done: number as u64, ..Progress::default() });
        }
        output.notice("that is all".to_owned()).await?;
        Ok(json!({ "stopped": stop.is_cancelled() }))
    }
}

struct Daemon {
    dir: TempDir,
    talker: Arc<Talker>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Daemon {
    fn start(lines_max: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let talker =
            Arc::new(Talker { lines_max, told: AtomicUsize::new(0), ended: CancellationToken::new() });
        let stop = CancellationToken::new();
        let listener = server::bind(dir.path()).unwrap();
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&talker), stop.clone()));
        Self { dir, talker, stop, serving }
    }

    async fn ask(&self, tell: impl FnMut(Told) -> Result<(), Failure>) -> Result<Value, Failure> {
        let client = Client::connect(self.dir.path()).await.unwrap().unwrap();
        client.ask(Task::Status, &[], tell).await
    }

    /// The number of lines told, once it does not grow any more.
    async fn settled(&self) -> usize {
        let mut before = usize::MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.talker.told.load(Ordering::Relaxed);
            if now == before {
                return now;
            }
            before = now;
        }
    }
}

#[tokio::test]
async fn every_line_comes_in_order_before_the_answer() {
    let daemon = Daemon::start(3_000);
    let (mut lines, mut notices) = (String::new(), Vec::new());
    let answer = daemon.ask(|told| {
        match told {
            Told::Lines(text) => lines.push_str(&text),
            Told::Notice(line) => notices.push(line),
            Told::Progress(_) => {}
        }
        Ok(())
    });
    assert_eq!(answer.await.unwrap(), json!({ "stopped": false }));
    let numbers: Vec<usize> = lines.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (0..3_000).collect::<Vec<_>>());
    assert_eq!(notices, ["that is all"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_makes_the_daemon_wait_and_does_not_hold_up_its_end() {
    let daemon = Daemon::start(usize::MAX);
    let path = super::socket_path(daemon.dir.path());
    let mut silent = tokio::net::UnixStream::connect(path).await.unwrap();
    let request = super::Request { protocol: super::PROTOCOL, task: Task::Status };
    let line = serde_json::to_string(&request).unwrap() + "\n";
    tokio::io::AsyncWriteExt::write_all(&mut silent, line.as_bytes()).await.unwrap();
    let told = daemon.settled().await;
    assert!((1..5_000).contains(&told), "{told} lines of a kilobyte wait in the socket and the channel");
    daemon.stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), daemon.serving).await.expect("it ends").unwrap();
    assert!(daemon.talker.ended.is_cancelled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_stops_when_the_client_has_seen_enough() {
    let daemon = Daemon::start(usize::MAX);
    let mut lines = 0;
    let outcome = daemon.ask(|told| {
        lines += usize::from(matches!(told, Told::Lines(_)));
        if lines == 10 { Err(Failure::unread()) } else { Ok(()) }
    });
    let failure = outcome.await.unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (0, ""));
    tokio::time::timeout(Duration::from_secs(3), daemon.talker.ended.cancelled()).await.expect("it stops");
}
