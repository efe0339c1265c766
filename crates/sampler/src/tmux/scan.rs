//! One reading of the processes, in an order in which little can slip through.
//!
//! A process can end while the table is read. If its parent is read first, its time is in neither, and shows
//! in the parent at the next pass, where the ledger expects it. If it is read first, its time is in both, and
//! nothing tells. So parents are read before their children: first the trees as the previous pass knew them,
//! then all others by their numbers, in which children nearly always come after their parents.

use std::collections::HashMap;

use super::ledger::Member;
use super::probe::{IoReading, TmuxProbe};
use super::tree::{self, Root};
use crate::ProbeError;
use crate::proc::Pid;
use crate::proc::pid_stat::PidStat;

/// The processes of the machine at one pass. It is kept, so that its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Scan {
    table: HashMap<Pid, PidStat>,
    io: HashMap<Pid, IoReading>,
    pids: Vec<Pid>,
    /// The members of all trees at the previous pass, parents first.
    tracked: Vec<Pid>,
}

impl Scan {
    /// Reads all processes and finds the members of the trees, parents first.
    pub(super) fn members(
        &mut self,
        probe: &mut impl TmuxProbe,
        roots: &[Root],
    ) -> Result<Vec<Member>, ProbeError> {
        self.read(probe)?;
        let branches = tree::walk(&self.table, roots);
        let mut members = Vec::with_capacity(branches.len());
        let mut heirs: HashMap<Pid, Pid> = HashMap::new();
        for branch in branches {
            let Some(mut stat) = self.table.get(&branch.pid).copied() else { continue };
            if let Some(heir) = heirs.get(&stat.parent) {
                stat.parent = *heir;
            }
            match self.io_of(branch.pid, probe)? {
                IoReading::Read(io) => members.push(Member { stat, io: Some(io), agent: branch.agent }),
                IoReading::Denied => members.push(Member { stat, io: None, agent: branch.agent }),
                // NOTE: it ended between its two files; that counts as if it had ended before the first, and
                // its children as those of its parent.
                IoReading::Gone => {
                    self.table.remove(&branch.pid);
                    heirs.insert(branch.pid, stat.parent);
                }
            }
        }
        self.tracked.clear();
        self.tracked.extend(members.iter().map(|member| member.stat.pid));
        Ok(members)
    }

    fn io_of(&self, pid: Pid, probe: &mut impl TmuxProbe) -> Result<IoReading, ProbeError> {
        match self.io.get(&pid) {
            Some(io) => Ok(*io),
            None => probe.io(pid),
        }
    }

    /// Forgets everything: there are no trees.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.io.clear();
        self.tracked.clear();
    }

    /// Whether the process with this number and start was there.
    pub(super) fn is_alive(&self, pid: Pid, start_ticks: u64) -> bool {
        self.table.get(&pid).is_some_and(|stat| stat.start_ticks == start_ticks)
    }

    fn read(&mut self, probe: &mut impl TmuxProbe) -> Result<(), ProbeError> {
        self.table.clear();
        self.io.clear();
        for pid in &self.tracked {
            if let Some(stat) = probe.stat(*pid)? {
                self.table.insert(*pid, stat);
                self.io.insert(*pid, probe.io(*pid)?);
            }
        }
        probe.pids(&mut self.pids)?;
        self.pids.sort_unstable();
        for pid in &self.pids {
            if !self.table.contains_key(pid)
                && let Some(stat) = probe.stat(*pid)?
            {
                self.table.insert(*pid, stat);
            }
        }
        Ok(())
    }
}
