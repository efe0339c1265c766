//! Who records through everything: over the socket, and by commands that are killed; the ledger knows what was sent and
//! what was acknowledged.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::client::{Answer, put};
use super::ledger::{Ledger, Mix};
use super::random::Random;
use super::tailwater;

/// Ends what goes on until it is told to stop, also when its holder panics.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who records, through everything.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    pub data: &'a Path,
    pub ledger: &'a Ledger,
    pub stop: &'a AtomicBool,
    pub name: &'static str,
    /// The longest that it waits between two requests.
    pub pause_millis: u64,
}

impl Writer<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// The next request of this writer: its name, how many events, its lines.
    fn request(&self, mix: &mut Mix, turn: u64) -> (String, u64, String) {
        let request = format!("{}-{turn}", self.name);
        // Now and then one that takes more than a packet, and the relay more than a read.
        let count = if mix.between(0, 19) == 0 { mix.between(500, 2_000) } else { mix.between(1, 40) };
        let lines = mix.lines(&request, count);
        self.ledger.send(&request, count);
        (request, count, lines)
    }

    /// Over the socket. While there is no daemon nobody is asked, and the same request is made later.
    pub fn write(self, mut mix: Mix) {
        for turn in 0.. {
            let (request, count, lines) = self.request(&mut mix, turn);
            // NOTE: an import of so few events is one batch as well.
            let task = if count < 300 && mix.between(0, 3) == 0 { "import" } else { "record" };
            loop {
                if !self.goes_on() {
                    return;
                }
                match put(self.data, task, &lines) {
                    Answer::Done(answer) => self.ledger.acknowledge(&request, count, &answer),
                    Answer::Lost => {}
                    Answer::Failed(message) => panic!("refused: {message}"),
                    Answer::Nobody => {
                        thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                }
                break;
            }
            thread::sleep(Duration::from_millis(mix.between(0, self.pause_millis)));
        }
    }

    /// By `tailwater record`, which is killed half of the time before it may have answered.
    pub fn write_by_clients_that_are_killed(self, mut mix: Mix, mut random: Random) {
        let path = self.data.with_extension("ndjson");
        for turn in 0.. {
            if !self.goes_on() {
                return;
            }
            let (request, count, lines) = self.request(&mut mix, turn);
            std::fs::write(&path, lines).expect("a file");
            let mut command = tailwater(self.data);
            command.arg("record").stdin(std::fs::File::open(&path).expect("a file"));
            let mut client =
                command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
            if random.chance(50) {
                thread::sleep(random.millis(0, 60));
                client.kill().expect("a child");
            }
            // NOTE: what a killed client has printed was acknowledged; what failed may be there or not.
            let output = client.wait_with_output().expect("it ends");
            if let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) {
                self.ledger.acknowledge(&request, count, &answer);
            }
            thread::sleep(random.millis(0, self.pause_millis));
        }
    }
}
