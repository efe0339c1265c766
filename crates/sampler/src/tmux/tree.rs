//! From a table of processes to the trees of the agents.
//!
//! The table is never a consistent picture: processes come and go while it is read, and numbers are used
//! again. So the walk marks what it has seen and cannot go round in circles, whatever parents the table names.

use std::collections::{HashMap, VecDeque};

use crate::proc::Pid;
use crate::proc::pid_stat::PidStat;

/// The first process of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) pid: Pid,
    /// The server that started it: a process with this number and another parent is somebody else, who was
    /// given the number after the pane's own process ended.
    pub(super) server: Pid,
    /// Whose pane it is: a place in the list of agents.
    pub(super) agent: usize,
}

/// A process of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) pid: Pid,
    pub(super) agent: usize,
}

/// Every process of every tree, parents before their children, none twice.
///
/// Where one agent's pane lies inside another agent's tree (a tmux server that runs in a pane), the nearer
/// pane counts. A pane that two agents claim is the first one's.
pub(super) fn walk(table: &HashMap<Pid, PidStat>, roots: &[Root]) -> Vec<Branch> {
    let mut owners: HashMap<Pid, usize> = HashMap::new();
    let mut queue = VecDeque::new();
    for root in roots {
        if table.get(&root.pid).is_some_and(|stat| stat.parent == root.server) {
            owners.entry(root.pid).or_insert_with(|| {
                queue.push_back(root.pid);
                root.agent
            });
        }
    }
    let mut families: Vec<(Pid, Pid)> = table.values().map(|stat| (stat.parent, stat.pid)).collect();
    families.sort_unstable();

    let mut branches = Vec::new();
    while let Some(pid) = queue.pop_front() {
        let Some(agent) = owners.get(&pid).copied() else { continue };
        branches.push(Branch { pid, agent });
        let first = families.partition_point(|(parent, _)| *parent < pid);
        let children =
            families.get(first..).unwrap_or_default().iter().take_while(|(parent, _)| *parent == pid);
        for (_, child) in children {
            owners.entry(*child).or_insert_with(|| {
                queue.push_back(*child);
                agent
            });
        }
    }
    branches
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn table(pairs: &[(u32, u32)]) -> HashMap<Pid, PidStat> {
        let stat = |(pid, parent): &(u32, u32)| PidStat {
            pid: Pid(*pid),
            parent: Pid(*parent),
            ..PidStat::default()
        };
        pairs.iter().map(stat).map(|stat| (stat.pid, stat)).collect()
    }

    fn root(pid: u32, server: u32, agent: usize) -> Root {
        Root { pid: Pid(pid), server: Pid(server), agent }
    }

    fn check(pairs: &[(u32, u32)], roots: &[Root], expected: &[(u32, usize)]) {
        let branches: Vec<_> =
            walk(&table(pairs), roots).iter().map(|branch| (branch.pid.0, branch.agent)).collect();
        assert_eq!(branches, expected);
    }

    #[test]
    fn parents_come_first_and_strangers_do_not() {
        let pairs = [(1, 0), (10, 1), (20, 10), (30, 10), (21, 20), (5, 21), (99, 1)];
        check(&pairs, &[root(20, 10, 0), root(30, 10, 1)], &[(20, 0), (30, 1), (21, 0), (5, 0)]);
    }

    #[test]
    fn a_number_that_is_used_again_is_no_root() {
        check(&[(10, 1), (20, 7), (21, 20)], &[root(20, 10, 0)], &[]);
        check(&[(10, 1)], &[root(20, 10, 0)], &[]);
    }

    #[test]
    fn cycles_end() {
        check(&[(10, 12), (11, 10), (12, 11), (13, 13)], &[root(10, 12, 0)], &[(10, 0), (11, 0), (12, 0)]);
        check(&[(10, 10)], &[root(10, 10, 3)], &[(10, 3)]);
    }

    #[test]
    fn the_nearer_pane_counts() {
        let pairs = [(10, 1), (20, 10), (21, 20), (30, 21), (31, 30)];
        check(&pairs, &[root(20, 10, 0), root(30, 21, 1)], &[(20, 0), (30, 1), (21, 0), (31, 1)]);
        check(&pairs, &[root(20, 10, 0), root(20, 10, 1)], &[(20, 0), (21, 0), (30, 0), (31, 0)]);
    }

    proptest! {
        /// Any graph at all: the walk ends, names nobody twice, parents first, and exactly who can be reached.
        #[test]
        fn any_graph(
            parents in prop::collection::vec(0_u32..40, 40),
            claims in prop::collection::vec((0_u32..40, 0_usize..4), 0..6),
        ) {
            let pairs: Vec<(u32, u32)> = (0..).zip(parents.iter().copied()).collect();
            let table = table(&pairs);
            let roots: Vec<Root> =
                claims.iter().map(|(pid, agent)| root(*pid, parents[*pid as usize], *agent)).collect();
            let branches = walk(&table, &roots);

            let is_root = |pid: Pid| roots.iter().any(|root| root.pid == pid);
            let mut seen = HashSet::new();
            for branch in &branches {
                let parent = table[&branch.pid].parent;
                prop_assert!(is_root(branch.pid) || seen.contains(&parent), "parents first");
                prop_assert!(seen.insert(branch.pid), "{} twice", branch.pid);
            }
            for (pid, _) in &pairs {
                let mut ancestor = Pid(*pid);
                let reached = (0..=40).any(|_| {
                    let found = is_root(ancestor);
                    ancestor = table[&ancestor].parent;
                    found
                });
                prop_assert_eq!(seen.contains(&Pid(*pid)), reached);
            }
        }
    }
}
