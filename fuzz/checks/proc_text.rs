//! What must hold for any bytes that are taken for a file of /proc.

use sampler::proc::{Parsed, cpu, diskstats, meminfo, net_dev, pid_io, pid_stat};

/// No parser panics; a line is an item or a problem at the most; a problem is one line. Tells whether any understood.
pub fn check(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let many = |parsed: &Parsed<_>| {
        assert!(parsed.items.len() + parsed.problems.len() <= lines, "{parsed:?}");
        assert!(!parsed.problems.iter().any(|problem| problem.contains('\n')), "{parsed:?}");
        !parsed.items.is_empty()
    };
    let stat = pid_stat::parse(bytes);
    if let Ok(stat) = &stat {
        assert!(stat.ticks() >= stat.own_ticks.max(stat.reaped_ticks), "{stat:?}");
    }
    let one = [
        stat.is_ok(),
        pid_io::parse(bytes).is_ok(),
        cpu::parse(bytes).is_ok(),
        meminfo::parse(bytes).is_ok(),
        meminfo::total(bytes).is_ok(),
    ];
    one.contains(&true) | many(&net_dev::parse(bytes)) | many(&diskstats::parse(bytes))
}
