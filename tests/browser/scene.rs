//! A daemon with something to look at.
#![allow(unreachable_pub, reason = "the tests are one crate")]

use std::time::SystemTime;

use serde_json::{Value, json};
use tailwater::Time;

use crate::support::log::Log;
use crate::support::{eventually, json as answer_of, record};

const MINUTE_MICROS: i64 = 60_000_000;
const STATES: [&str; 6] = ["working", "idle", "stuck", "done", "error", "stopped"];

/// A daemon, and where it listens.
pub struct Scene {
    pub log: Log,
    pub url: String,
}

impl Scene {
    /// A daemon that has these events.
    pub fn new(events: &[Value], arguments: &[&str]) -> Self {
        let mut log = Log::new(false);
        if !events.is_empty() {
            answer_of(&record(&log.data(), &lines(events)));
        }
        log.start_daemon_with(arguments);
        let status = log.daemon.as_ref().expect("a daemon").status();
        let url = format!("http://{}", status["ingest"]["address"].as_str().expect("it listens"));
        Self { log, url }
    }

    /// More events, as they come.
    pub fn add(&self, events: &[Value]) {
        answer_of(&record(&self.log.data(), &lines(events)));
    }

    /// The address of a page.
    pub fn page(&self, page: &str) -> String {
        format!("{}/#/{page}", self.url)
    }

    /// Waits until the database has all of it.
    pub fn projected(&self) {
        eventually("all is in the database", || {
            let status = self.log.daemon.as_ref().expect("a daemon").status();
            (status["projection"]["lag_events"] == 0).then_some(())
        });
    }
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// So many minutes ago.
pub fn ago(minutes: i64) -> String {
    Time::from(SystemTime::now()).plus_micros(-minutes * MINUTE_MICROS).to_string()
}

/// A sample of an agent.
pub fn sample(minutes: i64, name: &str, state: &str, cpu: f64) -> Value {
    json!({"kind": "agent_sample", "time": ago(minutes), "agent_name": name, "state": state, "role": "worker",
        "tool": "claude", "runtime": "tmux", "cpu_percent": cpu, "mem_used_bytes": 400_000_000, "disk_read_bytes": 1_000})
}

/// A pseudo-random number from 0 to 1, the same each time.
fn noise(seed: u64) -> f64 {
    let mixed = (seed ^ (seed >> 3))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(23)
        .wrapping_mul(0xD1B5_4A32_D192_ED03);
    f64::from(u32::try_from(mixed >> 40).expect("24 bits")) / f64::from(1_u32 << 24)
}

/// Three hours of a small fleet: agents in tmux and in containers, calls with and without a price, channels, a system, what
/// agents said, a gap, and an agent that was away for a while.
pub fn fleet() -> Vec<Value> {
    let names = [
        "zen",
        "ada",
        "grace",
        "linus",
        "ken",
        "barbara",
        "edsger",
        "an-agent-with-a-very-long-name-that-goes-on",
    ];
    let models = ["claude-opus-4-5", "claude-sonnet-4-5", "gpt-5-codex", "nobody-knows-this"];
    let mut events = Vec::new();
    for minute in (0..180_i64).rev() {
        let step = 180 - minute.unsigned_abs();
        for (number, name) in (0_u64..).zip(names) {
            let wave = noise(number * 1_000 + step / 15);
            let cpu = wave * 90.0 + noise(number * 7_919 + step) * 30.0;
            let is_away = name == "ada" && (60..80).contains(&minute);
            let in_docker = number % 3 == 0;
            let state = STATES[usize::try_from((number + step / 40) % 6).expect("a state")];
            if !is_away {
                let mut event = sample(minute, name, state, cpu.round());
                event["mem_used_bytes"] = json!(300_000_000 + (number + step / 15) % 7 * 60_000_000);
                event["disk_read_bytes"] = json!(step * 40_000 * (number + 1));
                event["disk_write_bytes"] = json!(step * 90_000 * (number + 1));
                if in_docker {
                    event["runtime"] = json!("docker");
                    event["net_rx_bytes"] = json!(step * step * 3_000);
                    event["net_tx_bytes"] = json!(step * 10_000);
                    event["mem_limit_bytes"] = json!(2_u64 << 30);
                }
                events.push(event);
            }
            if noise(number * 31 + step * 17) > 0.75 {
                events.push(json!({"kind": "token_usage", "time": ago(minute), "agent_name": name, "final": true,
                    "model": models[usize::try_from(number % 4).expect("a model")], "message_id": format!("{name}{step}"),
                    "input_tokens": 900 + step * 3, "output_tokens": 400 + number * 100, "cache_read": 20_000 + step * 90,
                    "cache_create": 1_500}));
            }
            if step % 40 == number {
                events.push(
                    json!({"kind": "agent_state", "time": ago(minute), "agent_name": name, "state": state}),
                );
            }
        }
        events.push(json!({"kind": "system_sample", "time": ago(minute), "system_name": "laptop", "mem_percent": 60.0,
            "cpu_percent": 120.0 + noise(step) * 200.0, "mem_used_bytes": 9_000_000_000_u64, "mem_limit_bytes": 16_u64 << 30,
            "net_rx_bytes": step * 5_000_000, "net_tx_bytes": step * 900_000, "disk_read_bytes": step * 8_000_000,
            "disk_write_bytes": step * 4_000_000}));
        if step % 5 == 0 {
            events.push(json!({"kind": "channel_sample", "time": ago(minute), "channel_name": "general", "message_count": step % 7,
                "member_count": 8, "reaction_count": step % 3}));
        }
    }
    events.push(
        json!({"kind": "gap", "time": ago(58), "from": ago(70), "to": ago(60), "events": 42, "what": "docker",
        "reason": "the engine did not answer"}),
    );
    events
}

/// One sample of each of so many agents.
pub fn crowd(agents: u64) -> Vec<Value> {
    (0..agents)
        .map(|number| {
            let state = STATES[usize::try_from(number % 6).expect("a state")];
            sample(0, &format!("agent-{number:03}"), state, (noise(number) * 100.0).round())
        })
        .collect()
}
