//! What a daemon takes of the machine while it lives: memory, files, threads; and that it does not grow.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A reading is cheap, and a quarter of a short life has some of them.
const INTERVAL: Duration = Duration::from_millis(250);
/// How much more the last quarter of a life may take than the second one: a part for what is sized by the work (batches
/// in flight, buffers of lanes and replays, whose number is a matter of chance) …
const GROWTH_PERCENT: u64 = 25;
/// … and a part that is there once: the engine's block cache, which fills up to this.
const GROWTH_KB: u64 = 8 * 1024;
/// What a life besides may take that was not [`WARM`]: the engine's memtables fill up to this, and then stay.
/// NOTE: measured with 600,000 samples and no database: 26 MB to 93 MB over the first 280,000, and 0.1 MB after them.
const MEMTABLES_KB: u64 = 64 * 1024;
/// So many events, and the memtables have been full once.
pub(crate) const WARM: u64 = 300_000;
/// Sessions, clients and their threads come and go by chance.
const FILES_MORE: u64 = 16;
const THREADS_MORE: u64 = 8;

/// One reading.
#[derive(Clone, Copy, Debug)]
struct Reading {
    pid: u32,
    at: Instant,
    /// Resident and proportional memory, in kB.
    rss: u64,
    pss: u64,
    files: u64,
    threads: u64,
}

/// Reads beside everything else, until it is dropped.
pub(crate) struct Vitals {
    pid: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
    readings: Arc<Mutex<Vec<Reading>>>,
    is_warm: AtomicBool,
    reader: Option<JoinHandle<()>>,
}

impl Vitals {
    pub(crate) fn start() -> Self {
        let (pid, is_over, readings) = <(Arc<AtomicU32>, Arc<AtomicBool>, Arc<Mutex<Vec<_>>>)>::default();
        let theirs = (Arc::clone(&pid), Arc::clone(&is_over), Arc::clone(&readings));
        let reader = thread::spawn(move || {
            let (pid, is_over, readings) = theirs;
            while !is_over.load(Ordering::Relaxed) {
                readings.lock().expect("no panic").extend(read(pid.load(Ordering::Relaxed)));
                thread::sleep(INTERVAL);
            }
        });
        Self { pid, is_over, readings, is_warm: AtomicBool::new(false), reader: Some(reader) }
    }

    /// This is the process now.
    pub(crate) fn watch(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// [`WARM`] events were recorded in this life: what was read until now is not held against what comes.
    pub(crate) fn warmed_up(&self) {
        self.readings.lock().expect("no panic").clear();
        self.is_warm.store(true, Ordering::Relaxed);
    }

    /// Nothing is read any more.
    pub(crate) fn rest(&self) {
        self.watch(0);
    }

    /// The last reading, in words.
    pub(crate) fn last(&self) -> String {
        let readings = self.readings.lock().expect("no panic");
        readings.last().map_or_else(String::new, |it| {
            format!("RSS {} kB, PSS {} kB, {} files, {} threads", it.rss, it.pss, it.files, it.threads)
        })
    }

    /// The last life, which was the longest: its last quarter takes no more than its second.
    pub(crate) fn check_flat(&self) {
        let readings = self.readings.lock().expect("no panic");
        let last = readings.last().expect("something was read");
        let life: Vec<Reading> = readings.iter().filter(|it| it.pid == last.pid).copied().collect();
        assert!(life.len() >= 16, "a life long enough to have quarters: {} readings", life.len());
        let quarter = life.len() / 4;
        let (second, fourth) = (&life[quarter..2 * quarter], &life[3 * quarter..]);
        let length = last.at.duration_since(life[0].at);
        let warm_up = if self.is_warm.load(Ordering::Relaxed) { 0 } else { MEMTABLES_KB };
        let memory = |before: u64| before + before * GROWTH_PERCENT / 100 + GROWTH_KB + warm_up;
        let mut told =
            format!("memory over the last life of {} s, second and last quarter:", length.as_secs());
        let mut is_flat = true;
        let mut check = |what: &str, of: fn(&Reading) -> u64, bound: &dyn Fn(u64) -> u64| {
            let (before, after) = (median(second, of), median(fourth, of));
            let _ = write!(told, " {what} {before} to {after} (at most {}),", bound(before));
            is_flat &= after <= bound(before);
        };
        check("RSS kB", |it| it.rss, &memory);
        check("PSS kB", |it| it.pss, &memory);
        check("files", |it| it.files, &|before| before + FILES_MORE);
        check("threads", |it| it.threads, &|before| before + THREADS_MORE);
        println!("{told} {} readings", life.len());
        assert!(is_flat, "{told}");
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// `None` when there is no such process (any more).
fn read(pid: u32) -> Option<Reading> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let (rss, threads) = (field(&status, "VmRSS:")?, field(&status, "Threads:")?);
    Some(Reading { pid, at: Instant::now(), rss, pss: field(&rollup, "Pss:")?, files, threads })
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn median(readings: &[Reading], of: fn(&Reading) -> u64) -> u64 {
    let mut numbers: Vec<u64> = readings.iter().map(of).collect();
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}
