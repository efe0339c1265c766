//! The table at the end of a benchmark: what was measured, its floor of the same run, the ratio, the target.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::fmt::Write as _;

/// Pairs of measurements, each of ours beside one of its floor that was taken just before it.
#[derive(Debug, Default)]
pub struct Pairs {
    ours: Vec<f64>,
    floors: Vec<f64>,
    ratios: Vec<f64>,
}

impl Pairs {
    /// Adds events per second of both.
    pub fn add(&mut self, ours: f64, floor: f64) {
        self.ours.push(ours);
        self.floors.push(floor);
        self.ratios.push(ours / floor);
    }
}

/// The middle one; 0 when there is none.
pub fn median(numbers: &[f64]) -> f64 {
    percentile(numbers, 50)
}

/// The number that so many percent are not above; 0 when there is none.
pub fn percentile(numbers: &[f64], percent: usize) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

/// The most memory that was resident since the last call: VmHWM of proc_pid_status(5).
pub fn resident_peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    // NOTE: 5 begins it anew (proc_pid_clear_refs(5)).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak.trim().to_owned()
}

/// The lines of the table.
#[derive(Debug, Default)]
pub struct Report(String);

impl Report {
    /// A rate beside its floor. Nothing is added when the filter of the command line left it out.
    pub fn rate(&mut self, what: &str, pairs: &Pairs, target: &str) {
        let (ours, floor) = (median(&pairs.ours), median(&pairs.floors));
        if !pairs.ratios.is_empty() {
            let [least, ratio, most] = [0, 50, 100].map(|percent| percentile(&pairs.ratios, percent));
            let ratio = format!("{ratio:.2} ({least:.2}-{most:.2})");
            self.line(what, &format!("{ours:.0}/s"), &format!("{floor:.0}/s"), &ratio, target);
        }
    }

    /// A number that has no floor.
    pub fn number(&mut self, what: &str, value: &str, target: &str) {
        self.line(what, value, "", "", target);
    }

    fn line(&mut self, what: &str, ours: &str, floor: &str, ratio: &str, target: &str) {
        let _ = writeln!(self.0, "{what:<44} {ours:>13} {floor:>13} {ratio:>17}  {target}");
    }

    /// Prints the table: rates are medians, a ratio is the median of the ratios of pairs, with the least and the
    /// greatest of them.
    pub fn print(&self) {
        if !self.0.is_empty() {
            println!("\n{:<44} {:>13} {:>13} {:>17}  target\n{}", "events", "ours", "floor", "ratio", self.0);
        }
    }
}
