//! A gate for the log's tests.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{Event, Text, Time, TokenUsage};
use eventlog::{EventLog, Fate, Gate, GateError, Parts, Settings, Shelf, Sync, Teller};

use super::host;

/// Keeps each message once, under the agent that told of it first; what has no agent of its own waits a moment.
#[derive(Clone, Default)]
pub struct Once(pub Arc<Seen>);

#[derive(Default)]
pub struct Seen {
    pub opened: AtomicU64,
    pub waiting: Mutex<Vec<TokenUsage>>,
    pub tellers: Mutex<Vec<Teller>>,
}

impl Gate for Once {
    fn open(&mut self, shelf: &mut Shelf<'_>, _: Time) -> Result<(), GateError> {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        let waiting = shelf.scan(b"wait/", b"", 100).map_err(GateError::new)?;
        let of =
            |key: &[u8]| usage(std::str::from_utf8(key.strip_prefix(b"wait/").unwrap()).unwrap(), "woken");
        *self.0.waiting.lock().unwrap() = waiting.iter().map(|(key, _)| of(key)).collect();
        Ok(())
    }

    fn pass(
        &mut self,
        mut usage: TokenUsage,
        teller: Teller,
        _: Time,
        shelf: &mut Shelf<'_>,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<Fate, GateError> {
        self.0.tellers.lock().unwrap().push(teller);
        let key = [b"once/", usage.message_id.as_bytes()].concat();
        if usage.agent_name == "later" {
            shelf.put([b"wait/", usage.message_id.as_bytes()].concat(), Vec::new());
            usage.agent_name = Text::new("woken");
            self.0.waiting.lock().unwrap().push(usage);
            return Ok(Fate::Waits);
        }
        if let Some(first) = shelf.get(&key).map_err(GateError::new)? {
            if usage.output_tokens == 0 {
                return Ok(Fate::Known);
            }
            usage.agent_name = Text::new(std::str::from_utf8(&first).unwrap());
        }
        shelf.put(key, usage.agent_name.as_bytes().to_vec());
        kept.push(usage);
        Ok(Fate::Kept)
    }

    fn due(&self, _: Time) -> Option<Duration> {
        (!self.0.waiting.lock().unwrap().is_empty()).then_some(Duration::ZERO)
    }

    fn wake(&mut self, _: Time, shelf: &mut Shelf<'_>, kept: &mut Vec<TokenUsage>) -> Result<(), GateError> {
        for usage in self.0.waiting.lock().unwrap().drain(..) {
            shelf.remove([b"wait/", usage.message_id.as_bytes()].concat());
            kept.push(usage);
        }
        Ok(())
    }
}

pub fn usage(message: &str, agent: &str) -> TokenUsage {
    TokenUsage {
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        agent_name: Text::new(agent),
        model: Text::new("m"),
        message_id: Text::new(message),
        ..TokenUsage::default()
    }
}

pub fn told(message: &str, agent: &str) -> Event {
    Event::TokenUsage(usage(message, agent))
}

pub fn open(dir: &Path, gate: &Once) -> EventLog {
    let parts = Parts { gate: Some(Box::new(gate.clone())) };
    let settings = Settings { sync: Sync::Always, ..Settings::default() };
    EventLog::open_with(dir, &host(), settings, parts).unwrap()
}
