//! Tests of the ledger, each way in which a process comes and goes by itself.

use super::*;

/// One process as a pass sees it.
#[derive(Clone, Copy)]
struct Seen {
    pid: u32,
    parent: u32,
    start: u64,
    own: u64,
    reaped: u64,
    io: Option<PidIo>,
}

/// A process that started before the first pass, at 100.
fn old(pid: u32, parent: u32, own: u64, reaped: u64) -> Seen {
    Seen { pid, parent, start: 50, own, reaped, io: None }
}

fn born(start: u64, seen: Seen) -> Seen {
    Seen { start, ..seen }
}

const fn bytes(bytes: u64) -> Option<PidIo> {
    Some(PidIo { read_bytes: bytes, write_bytes: 2 * bytes })
}

/// A ledger that was passed over these at 100.
struct Book {
    ledger: Ledger,
    began: u64,
}

impl Book {
    fn open(first: &[Seen]) -> Self {
        let mut book = Self { ledger: Ledger::default(), began: 0 };
        assert_eq!(book.pass(first, &[]).ticks, 0, "the first reading only rebases");
        book
    }

    /// A pass over these at the next hundred, while `elsewhere` lives outside of the tree.
    fn pass(&mut self, seen: &[Seen], elsewhere: &[u32]) -> Gain {
        self.began += 100;
        let member = |seen: &Seen| Member {
            stat: PidStat {
                pid: Pid(seen.pid),
                parent: Pid(seen.parent),
                state: b'S',
                own_ticks: seen.own,
                reaped_ticks: seen.reaped,
                start_ticks: seen.start,
                rss_pages: 1,
            },
            io: seen.io,
            agent: 0,
        };
        let members: Vec<Member> = seen.iter().map(member).collect();
        self.ledger.pass(self.began, &members, 1, |pid, _| elsewhere.contains(&pid.0)).remove(0)
    }

    fn ticks(&mut self, seen: &[Seen]) -> u64 {
        self.pass(seen, &[]).ticks
    }
}

#[test]
fn growth_counts() {
    let mut book = Book::open(&[old(20, 10, 1000, 500)]);
    assert_eq!(book.ticks(&[old(20, 10, 1007, 502)]), 9);
    assert_eq!(book.ticks(&[old(20, 10, 1007, 502)]), 0);
}

#[test]
fn short_children_count_through_their_parent() {
    let mut book = Book::open(&[old(20, 10, 1, 0)]);
    assert_eq!(book.ticks(&[old(20, 10, 1, 245)]), 245);
}

#[test]
fn a_newborn_counts_whole_and_a_reaped_one_only_with_its_last_part() {
    let mut book = Book::open(&[old(20, 10, 0, 0)]);
    assert_eq!(book.ticks(&[old(20, 10, 0, 0), born(150, old(21, 20, 40, 2))]), 42);
    assert_eq!(book.ticks(&[old(20, 10, 0, 50)]), 8, "42 of the 50 were counted before");
}

#[test]
fn a_whole_branch_that_ends_counts_only_with_its_last_part() {
    let mut book = Book::open(&[old(20, 10, 0, 0), old(21, 20, 100, 0), old(22, 21, 200, 0)]);
    assert_eq!(book.ticks(&[old(20, 10, 0, 303)]), 3);
}

#[test]
fn time_that_nobody_takes_over_is_dropped_after_a_pass() {
    let mut book = Book::open(&[old(20, 10, 0, 0), old(21, 20, 1000, 0)]);
    assert_eq!(book.ticks(&[old(20, 10, 5, 0)]), 5, "own time is never touched");
    assert_eq!(book.ticks(&[old(20, 10, 5, 7)]), 0, "the debt waited, and took this");
    assert_eq!(book.ticks(&[old(20, 10, 5, 14)]), 7, "and is gone");
}

#[test]
fn a_process_that_ends_between_the_readings_shows_one_pass_later() {
    let mut book = Book::open(&[old(20, 10, 0, 0), old(21, 20, 1000, 0)]);
    assert_eq!(book.ticks(&[old(20, 10, 0, 0)]), 0, "the parent was read before it reaped");
    assert_eq!(book.ticks(&[old(20, 10, 0, 1004)]), 4);
}

#[test]
fn an_orphan_that_an_ancestor_collects_is_not_counted_again() {
    let mut book =
        Book::open(&[old(20, 10, 0, 0), old(21, 20, 0, 0), old(22, 21, 10, 0), old(23, 22, 500, 0)]);
    // 22 ends and is reaped by 21; 23, its child, ends and is reaped by 20, who collects orphans.
    assert_eq!(book.ticks(&[old(20, 10, 0, 501), old(21, 20, 0, 10)]), 1);
}

#[test]
fn a_process_that_leaves_alive_takes_nothing_with_it() {
    let mut book = Book::open(&[old(20, 10, 0, 0), old(21, 20, 1000, 0)]);
    assert_eq!(book.pass(&[old(20, 10, 6, 3)], &[21]).ticks, 9);
    assert_eq!(book.ticks(&[old(20, 10, 6, 4)]), 1, "nothing is owed");
}

#[test]
fn a_process_from_elsewhere_rebases() {
    let mut book = Book::open(&[old(20, 10, 0, 0)]);
    let gain = book.pass(&[old(20, 10, 1, 0), old(30, 10, 5000, 700)], &[]);
    assert_eq!((gain.ticks, gain.rebased), (1, 1));
    assert_eq!(book.ticks(&[old(20, 10, 1, 0), old(30, 10, 5002, 700)]), 2);
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let mut book = Book::open(&[old(20, 10, 0, 0), old(21, 20, 1000, 0)]);
    assert_eq!(book.ticks(&[old(20, 10, 0, 1002), born(130, old(21, 20, 9, 0))]), 11);
    let mut book = Book::open(&[old(20, 10, 1000, 0)]);
    let gain = book.pass(&[born(60, old(20, 10, 2000, 0))], &[]);
    assert_eq!((gain.ticks, gain.rebased), (0, 1), "it started before the last pass, and was not ours");
}

#[test]
fn counters_that_fall_count_as_zero() {
    let mut book = Book::open(&[old(20, 10, 100, 100)]);
    assert_eq!(book.ticks(&[old(20, 10, 90, 80)]), 0);
    assert_eq!(book.ticks(&[old(20, 10, 91, 80)]), 1);
}

#[test]
fn parents_in_a_circle_end() {
    let mut book = Book::open(&[old(20, 21, 0, 0), old(21, 20, 5, 0), old(22, 22, 7, 0)]);
    assert_eq!(book.ticks(&[old(20, 21, 3, 0)]), 3);
    assert_eq!(book.ticks(&[]), 0);
}

#[test]
fn disk_counters_follow_the_same_rules() {
    let with = |seen: Seen, io| Seen { io, ..seen };
    let (parent, child) = (old(20, 10, 0, 0), old(21, 20, 0, 0));
    let mut book = Book::open(&[with(parent, bytes(1000)), with(child, bytes(50))]);
    let mut io = |seen: &[Seen]| book.pass(seen, &[]).io.read_bytes;
    assert_eq!(io(&[with(parent, bytes(1001)), with(child, bytes(60))]), 11);
    assert_eq!(io(&[with(parent, bytes(1063))]), 2, "60 of the 62 were counted before");
    assert_eq!(io(&[with(parent, bytes(1063)), with(born(350, child), bytes(30))]), 30);
    assert_eq!(io(&[with(parent, bytes(1063)), with(born(350, child), None)]), 0);
    assert_eq!(io(&[with(parent, bytes(1064)), with(born(350, child), bytes(40))]), 1, "it rebases");
    assert_eq!(io(&[with(parent, bytes(1064)), with(born(350, child), bytes(41))]), 1);
}

#[test]
fn agents_share_the_ledger() {
    let member = |pid, parent, own_ticks, reaped_ticks, agent| Member {
        stat: PidStat { own_ticks, reaped_ticks, ..stat(pid, parent) },
        io: None,
        agent,
    };
    let mut ledger = Ledger::default();
    // 21 is a tmux server in a pane of agent 0, and 30 the pane of agent 1 on it.
    let first = [member(20, 10, 0, 0, 0), member(30, 21, 900, 0, 1), member(21, 20, 0, 0, 0)];
    ledger.pass(100, &first, 2, |_, _| false);
    let second = [member(20, 10, 0, 0, 0), member(21, 20, 0, 901, 0)];
    let ticks: Vec<u64> = ledger.pass(200, &second, 2, |_, _| false).iter().map(|gain| gain.ticks).collect();
    assert_eq!(ticks, [1, 0], "the server reaped a pane that was counted for agent 1");
}

fn stat(pid: u32, parent: u32) -> PidStat {
    PidStat { pid: Pid(pid), parent: Pid(parent), start_ticks: 50, ..PidStat::default() }
}
