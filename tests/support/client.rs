//! The control socket, spoken by hand: a request costs a connection and not a process, and what is answered can be
//! told from what was not.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

/// The protocol that the daemon speaks.
const PROTOCOL: u32 = 7;

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    Done(Value),
    Failed(String),
    /// The daemon went before it answered: whether it did what was asked is open.
    Lost,
    /// Nobody was there to ask.
    Nobody,
}

/// Has the daemon do a task with this body; `tell` hears the lines that come before the answer.
pub fn ask(data_dir: &Path, mut task: Value, body: &str, mut tell: impl FnMut(&str)) -> Answer {
    let Ok(mut stream) = UnixStream::connect(data_dir.join("tailwater.sock")) else { return Answer::Nobody };
    task["protocol"] = json!(PROTOCOL);
    // NOTE: a daemon that dies while it is asked may have answered already, so a failed write is no end.
    let _ = stream.write_all(format!("{task}\n{body}").as_bytes());
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || !line.ends_with('\n') {
            return Answer::Lost;
        }
        let mut reply: Value = serde_json::from_str(&line).expect("an answer is a line of JSON");
        if let Some(lines) = reply["lines"].as_str() {
            tell(lines);
        } else if let Some(answer) = reply.get_mut("done") {
            return Answer::Done(answer.take());
        } else if !reply["failed"].is_null() {
            return Answer::Failed(reply["failed"]["message"].to_string());
        }
    }
}

/// Records or imports NDJSON: `task` is `record` or `import`.
pub fn put(data_dir: &Path, task: &str, ndjson: &str) -> Answer {
    let task = json!({ "task": task, "skip_invalid": false, "lines_before": 0, "bytes": ndjson.len() });
    ask(data_dir, task, ndjson, |_| {})
}
