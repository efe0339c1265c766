//! What each agent used between two passes, through births, deaths and departures of its processes.
//!
//! The kernel's counters belong to processes. A process's own CPU time and its disk counters grow while it
//! lives; when it ends and its parent waits for it, all that it answered for is added to the parent. So a tree's
//! use is the growth of its members, less what a member merely took over from one that was counted before:
//!
//! | between two passes a process | counts with |
//! | --- | --- |
//! | stays | the growth of its own time, and of its time of reaped children |
//! | is born in the tree | all that it has |
//! | comes from elsewhere, or is seen for the first time | nothing yet: it *rebases* |
//! | leaves the tree alive | nothing any more, and nothing is taken back |
//! | ends | what it was counted with is *owed*: taken off the growth of who reaped it |
//!
//! Who reaped it is nearly always the nearest ancestor that still lives, or one further up when that one does
//! not collect orphans; the debt goes up until it is settled. What is not settled at once waits for one more
//! pass, because a process can end between the readings of its parent and of itself. Then it may be taken off
//! the growth of anyone in the tree, and what is left is dropped: the time went to a process outside of the
//! tree, or to nobody (a parent that ignores SIGCHLD). So nothing is ever negative, nothing counts twice, and a
//! loss costs at most what the tree reaped in those two passes, never anybody's own time.
//!
//! All agents share one ledger, so that time which passes from one agent's process to another's (a tmux server
//! that runs in a pane and reaps panes of its own) is not counted for both.

use std::collections::BTreeMap;

use crate::proc::Pid;
use crate::proc::pid_io::PidIo;
use crate::proc::pid_stat::PidStat;

/// One process of a tree at one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The process.
    pub stat: PidStat,
    /// Its disk counters; `None` when they may not be read.
    pub io: Option<PidIo>,
    /// Whose it is: a place in the pass's list of agents.
    pub agent: usize,
}

/// What one agent used since the previous pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    /// CPU time, ticks.
    pub ticks: u64,
    /// Disk counters, bytes.
    pub io: PidIo,
    /// How many of its processes were rebased: what they used since the previous pass is not known.
    pub rebased: usize,
}

/// What is known from the previous pass.
#[derive(Debug, Default)]
pub struct Ledger {
    /// NOTE: ordered, so that debts arise in one order, and a run can be repeated.
    known: BTreeMap<Pid, Known>,
    debts: Vec<Debt>,
    /// When the previous pass began, ticks since boot.
    began_ticks: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    start_ticks: u64,
    parent: Pid,
    own_ticks: u64,
    reaped_ticks: u64,
    io: Option<PidIo>,
}

/// What an ended process was counted with, and who should have reaped it.
#[derive(Clone, Copy, Debug)]
struct Debt {
    reaper: Pid,
    amount: Amount,
    age: Age,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Waited,
}

/// CPU time and disk counters together: what grows, and what is owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    ticks: u64,
    io: PidIo,
}

impl Amount {
    /// Takes as much of `debt` off this amount as there is, from both.
    fn settle(&mut self, debt: &mut Self) {
        settle(&mut self.ticks, &mut debt.ticks);
        settle(&mut self.io.read_bytes, &mut debt.io.read_bytes);
        settle(&mut self.io.write_bytes, &mut debt.io.write_bytes);
    }
}

fn settle(have: &mut u64, owed: &mut u64) {
    let paid = (*have).min(*owed);
    *have -= paid;
    *owed -= paid;
}

/// A member and what of its growth can hold a debt: all but its own CPU time.
struct Entry {
    known: Known,
    agent: usize,
    growth: Amount,
}

impl Ledger {
    /// What each of `agents` agents used since the previous pass, which becomes this one.
    ///
    /// `began_ticks` is when the readings began, since boot. `is_alive` tells whether a process that is no
    /// member any more lives on elsewhere, by its number and start.
    pub fn pass(
        &mut self,
        began_ticks: u64,
        members: &[Member],
        agents: usize,
        is_alive: impl Fn(Pid, u64) -> bool,
    ) -> Vec<Gain> {
        let mut gains = vec![Gain::default(); agents];
        let mut entries: BTreeMap<Pid, Entry> = BTreeMap::new();
        for member in members {
            let entry = self.enter(member, gains.get_mut(member.agent));
            entries.insert(member.stat.pid, entry);
        }
        self.bury(&entries, is_alive);
        self.settle(&mut entries);
        for entry in entries.values() {
            if let Some(gain) = gains.get_mut(entry.agent) {
                gain.ticks = gain.ticks.saturating_add(entry.growth.ticks);
                gain.io = added(gain.io, entry.growth.io);
            }
        }
        self.known = entries.into_iter().map(|(pid, entry)| (pid, entry.known)).collect();
        self.began_ticks = Some(began_ticks);
        gains
    }

    /// Counts a member's own time, and finds what else of it grew.
    fn enter(&self, member: &Member, gain: Option<&mut Gain>) -> Entry {
        let stat = &member.stat;
        let before = self.known.get(&stat.pid).filter(|known| known.start_ticks == stat.start_ticks).copied();
        let newborn = self.began_ticks.is_some_and(|began| stat.start_ticks >= began);
        let base = match before {
            Some(known) => known,
            None if newborn => {
                Known { own_ticks: 0, reaped_ticks: 0, io: Some(PidIo::default()), ..now(stat) }
            }
            None => now(stat),
        };
        if let Some(gain) = gain {
            gain.ticks = gain.ticks.saturating_add(stat.own_ticks.saturating_sub(base.own_ticks));
            gain.rebased += usize::from(before.is_none() && !newborn);
        }
        let io_growth = base.io.zip(member.io).map(|(base, io)| grown(base, io));
        let ticks = stat.reaped_ticks.saturating_sub(base.reaped_ticks);
        let growth = Amount { ticks, io: io_growth.unwrap_or_default() };
        Entry { known: Known { io: member.io, ..now(stat) }, agent: member.agent, growth }
    }

    /// Makes debts of the members that ended.
    fn bury(&mut self, entries: &BTreeMap<Pid, Entry>, is_alive: impl Fn(Pid, u64) -> bool) {
        for (pid, known) in &self.known {
            let stays = entries.get(pid).is_some_and(|entry| entry.known.start_ticks == known.start_ticks);
            if stays || is_alive(*pid, known.start_ticks) {
                continue;
            }
            let ticks = known.own_ticks.saturating_add(known.reaped_ticks);
            let amount = Amount { ticks, io: known.io.unwrap_or_default() };
            self.debts.push(Debt { reaper: known.parent, amount, age: Age::Fresh });
        }
    }

    /// Takes every debt off the growth of who reaped; what is left of the fresh ones waits.
    fn settle(&mut self, entries: &mut BTreeMap<Pid, Entry>) {
        let (mut waited, mut fresh) = (Vec::new(), Vec::new());
        for debt in std::mem::take(&mut self.debts) {
            let Some(reaper) = self.survivor(debt.reaper, entries) else { continue };
            // NOTE: a reaper that ended too took the time along, and may show it only at the next pass.
            let age = if reaper == debt.reaper { debt.age } else { Age::Fresh };
            let debts = if age == Age::Waited { &mut waited } else { &mut fresh };
            debts.push(Debt { reaper, age: Age::Waited, ..debt });
        }
        climb(&mut waited, entries);
        for debt in &mut waited {
            collect(debt, entries);
        }
        climb(&mut fresh, entries);
        fresh.retain(|debt| debt.amount != Amount::default());
        self.debts = fresh;
    }

    /// The nearest of a process and its ancestors, as the previous pass knew them, that still is a member.
    fn survivor(&self, mut pid: Pid, entries: &BTreeMap<Pid, Entry>) -> Option<Pid> {
        for _ in 0..=self.known.len() {
            let known = self.known.get(&pid)?;
            if entries.get(&pid).is_some_and(|entry| entry.known.start_ticks == known.start_ticks) {
                return Some(pid);
            }
            pid = known.parent;
        }
        None
    }
}

/// Settles each debt with its reaper; then, what is left of all goes up a step, and so on to the roots.
fn climb(debts: &mut [Debt], entries: &mut BTreeMap<Pid, Entry>) {
    let mut climbing: Vec<(Pid, &mut Debt)> = debts.iter_mut().map(|debt| (debt.reaper, debt)).collect();
    // NOTE: the number of steps is a wall against parents in a circle.
    for _ in 0..=entries.len() {
        if climbing.is_empty() {
            break;
        }
        climbing.retain_mut(|(at, debt)| {
            let Some(entry) = entries.get_mut(at) else { return false };
            entry.growth.settle(&mut debt.amount);
            *at = entry.known.parent;
            debt.amount != Amount::default()
        });
    }
}

/// Settles the rest of a debt anywhere in the tree: another debt may have taken what was meant for this one.
fn collect(debt: &mut Debt, entries: &mut BTreeMap<Pid, Entry>) {
    let Some(agent) = entries.get(&debt.reaper).map(|entry| entry.agent) else { return };
    for entry in entries.values_mut().filter(|entry| entry.agent == agent) {
        entry.growth.settle(&mut debt.amount);
    }
}

/// A process as it is now; nothing of it has grown.
const fn now(stat: &PidStat) -> Known {
    Known {
        start_ticks: stat.start_ticks,
        parent: stat.parent,
        own_ticks: stat.own_ticks,
        reaped_ticks: stat.reaped_ticks,
        io: None,
    }
}

const fn grown(before: PidIo, now: PidIo) -> PidIo {
    PidIo {
        read_bytes: now.read_bytes.saturating_sub(before.read_bytes),
        write_bytes: now.write_bytes.saturating_sub(before.write_bytes),
    }
}

/// The sum of two pairs of counters.
pub(super) const fn added(one: PidIo, other: PidIo) -> PidIo {
    PidIo {
        read_bytes: one.read_bytes.saturating_add(other.read_bytes),
        write_bytes: one.write_bytes.saturating_add(other.write_bytes),
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
