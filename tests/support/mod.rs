//! What the end-to-end tests share: the real binary, real servers, and an oracle of what was acknowledged.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod client;
pub mod daemon;
pub mod database;
pub mod dump;
pub mod files;
pub mod havoc;
pub mod host;
pub mod ledger;
pub mod log;
pub mod network;
pub mod oracle;
pub mod random;
pub mod relay;
pub mod scene;
pub mod tmux;
pub mod writer;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use event::Time;
use serde_json::Value;

/// The binary under test, with an environment of its own.
pub fn tailwater(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data_dir.parent().expect("a data directory lies in a folder"))
        .env("TAILWATER_DATA_DIR", data_dir)
        .env("TAILWATER_TMUX_SOCKET", data_dir.join("no-tmux"))
        .env("DOCKER_HOST", format!("unix://{}", data_dir.join("no-docker").display()))
        // NOTE: tests run beside each other, and beside a daemon of the machine's own.
        .env("TAILWATER_SERVER_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null());
    command
}

/// Runs a command with this input.
pub fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // NOTE: a command that refuses early closes its end; what it says is in its output.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the binary ends");
    writer.join().expect("the writer ends");
    output
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The answer of a command that must end well, as JSON.
pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

/// Records lines with a command of its own; gives its output.
pub fn record(data_dir: &Path, lines: &str) -> Output {
    run_with(tailwater(data_dir).arg("record"), lines.as_bytes())
}

/// One agent sample as a line.
pub fn agent_line(agent: &str, second: u64, cpu: f64) -> String {
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    format!(
        r#"{{"kind":"agent_sample","time":"2026-01-02T{hour:02}:{minute:02}:{second:02}.000001Z","agent_name":"{agent}","cpu_percent":{cpu},"mem_used_bytes":1048576}}"#
    ) + "\n"
}

/// The samples of one agent, a second apart.
pub fn agent_lines(agent: &str, count: u64) -> String {
    (0..count).map(|second| agent_line(agent, second, 1.0)).collect()
}

/// One sample for each of these ages, in days; its agent's name tells it.
pub fn aged(ages: &[i64]) -> String {
    let now = Time::from(SystemTime::now());
    let line = |age: &i64| {
        let time = now.plus_micros(-age * 86_400_000_000);
        format!(r#"{{"kind":"agent_sample","time":"{time}","agent_name":"d{age}","cpu_percent":1}}"#) + "\n"
    };
    ages.iter().map(line).collect()
}

/// Looks again and again until `look` gives something; a test that waits too long has failed.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(60), Duration::from_millis(20), what, look)
}

/// The same with this patience, and this pause between two looks.
pub fn within<T>(patience: Duration, pause: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < patience, "{what}: not within {} s", patience.as_secs());
        std::thread::sleep(pause);
    }
}
