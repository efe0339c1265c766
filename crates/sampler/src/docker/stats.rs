//! One reading of a container's numbers, `GET /containers/ID/stats`, from cgroup v1 and v2.
//!
//! Both versions have the same shape with other words: v1 has `total_inactive_file` and `Read`, v2 has `inactive_file` and
//! `read`. A list of block I/O that is empty is one of a container that used no disk; one that is absent was not measured.

use event::{Time, limits};
use serde_json::Value;

use super::json::{AnswerError, Reader, object, time};

/// From here on a limit is a way to say that there is none: the kernel's own is 2^63 less a page.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// The numbers; `None` is what the engine did not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// When the engine read them.
    pub read: Option<Time>,
    /// CPU time since the container started, nanoseconds.
    pub cpu_ns: Option<u64>,
    /// The cores that there are.
    pub cores: Option<u32>,
    /// Memory, as the docker command line counts it.
    pub mem_used_bytes: Option<u64>,
    /// The most memory that it may use: its own limit, or the machine's memory.
    pub mem_limit_bytes: Option<u64>,
    /// Over all its networks.
    pub net: Option<Counters>,
    /// Over all disks.
    pub disk: Option<Counters>,
}

/// Two counters, bytes since the container started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received, or read.
    pub input_bytes: u64,
    /// Sent, or written.
    pub output_bytes: u64,
}

impl Counters {
    /// The sum, no larger than an event can carry.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_bytes: add(self.input_bytes, other.input_bytes),
            output_bytes: add(self.output_bytes, other.output_bytes),
        }
    }
}

/// A sum that an event can carry.
pub(super) fn add(a: u64, b: u64) -> u64 {
    a.saturating_add(b).min(limits::COUNT_MAX)
}

/// Reads them, and tells what was odd.
///
/// # Errors
/// When it is no JSON object.
pub fn parse(answer: &[u8]) -> Result<(Stats, Vec<String>), AnswerError> {
    let value = object(answer)?;
    let mut reader = Reader::default();
    let stats = Stats {
        read: time(&value, "/read"),
        cpu_ns: reader.count(&value, "/cpu_stats/cpu_usage/total_usage"),
        cores: cores(&value, &mut reader),
        mem_used_bytes: mem_used(&value, &mut reader),
        mem_limit_bytes: mem_limit(&value),
        net: net(&value, &mut reader),
        disk: disk(&value, &mut reader),
    };
    Ok((stats, reader.problems))
}

/// Engines before API 1.27 tell a time for each core and not how many there are.
fn cores(value: &Value, reader: &mut Reader) -> Option<u32> {
    let told = reader.count(value, "/cpu_stats/online_cpus").filter(|cores| *cores > 0);
    let listed = || Some(reader.array(value, "/cpu_stats/cpu_usage/percpu_usage")?.len() as u64);
    told.or_else(listed).and_then(|cores| u32::try_from(cores).ok()).filter(|cores| *cores > 0)
}

/// NOTE: the rule of the docker command line, to the letter: what is inactive counts only if it is less than the usage.
fn mem_used(value: &Value, reader: &mut Reader) -> Option<u64> {
    let usage = reader.count(value, "/memory_stats/usage")?;
    let v1 = reader.count(value, "/memory_stats/stats/total_inactive_file").filter(|bytes| *bytes < usage);
    let v2 = reader.count(value, "/memory_stats/stats/inactive_file").filter(|bytes| *bytes < usage);
    Some(usage - v1.or(v2).unwrap_or(0))
}

fn mem_limit(value: &Value) -> Option<u64> {
    let limit = value.pointer("/memory_stats/limit")?.as_u64();
    limit.filter(|limit| *limit > 0 && *limit < UNLIMITED_BYTES)
}

fn net(value: &Value, reader: &mut Reader) -> Option<Counters> {
    let networks = value.get("networks")?.as_object().filter(|networks| !networks.is_empty())?;
    networks.values().try_fold(Counters::default(), |sum, network| {
        let input_bytes = reader.count(network, "/rx_bytes")?;
        Some(sum.plus(Counters { input_bytes, output_bytes: reader.count(network, "/tx_bytes")? }))
    })
}

fn disk(value: &Value, reader: &mut Reader) -> Option<Counters> {
    let entries = reader.array(value, "/blkio_stats/io_service_bytes_recursive")?;
    entries.iter().try_fold(Counters::default(), |sum, entry| {
        let op = super::json::text(entry, "/op");
        let (is_read, is_write) = (op.eq_ignore_ascii_case("read"), op.eq_ignore_ascii_case("write"));
        if !is_read && !is_write {
            return Some(sum);
        }
        let bytes = reader.count(entry, "/value")?;
        let part = match is_read {
            true => Counters { input_bytes: bytes, output_bytes: 0 },
            false => Counters { input_bytes: 0, output_bytes: bytes },
        };
        Some(sum.plus(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: &str) -> (Stats, Vec<String>) {
        parse(answer.as_bytes()).unwrap()
    }

    #[test]
    fn memory_is_what_the_command_line_shows() {
        let check = |stats: &str, used: u64| {
            let answer = format!(r#"{{"memory_stats": {{"usage": 1000, "stats": {stats}}}}}"#);
            assert_eq!(parsed(&answer), (Stats { mem_used_bytes: Some(used), ..Stats::default() }, vec![]));
        };
        check(r#"{"total_inactive_file": 300, "inactive_file": 100}"#, 700);
        check(r#"{"inactive_file": 100}"#, 900);
        check(r#"{"total_inactive_file": 1000, "inactive_file": 100}"#, 900);
        check(r#"{"inactive_file": 1000}"#, 1000);
        check("null", 1000);
    }

    #[test]
    fn a_limit_that_is_none_is_null() {
        for (limit, expected) in [
            ("25276502016", Some(25_276_502_016)),
            ("9223372036854771712", None),
            ("18446744073709551615", None),
            ("0", None),
            ("null", None),
        ] {
            let (stats, problems) = parsed(&format!(r#"{{"memory_stats": {{"limit": {limit}}}}}"#));
            assert_eq!((stats.mem_limit_bytes, problems), (expected, vec![]), "{limit}");
        }
    }

    #[test]
    fn an_odd_field_costs_itself() {
        let (stats, problems) = parsed(
            r#"{"read": 7, "cpu_stats": {"cpu_usage": {"total_usage": -1, "percpu_usage": [1, 2]}, "online_cpus": 0},
                "memory_stats": {"usage": "many"}, "networks": {"a": {"rx_bytes": 1, "tx_bytes": 2}, "b": {"rx_bytes": 4, "tx_bytes": 8}},
                "blkio_stats": {"io_service_bytes_recursive": 3}}"#,
        );
        let net = Some(Counters { input_bytes: 5, output_bytes: 10 });
        assert_eq!(stats, Stats { cores: Some(2), net, ..Stats::default() });
        assert_eq!(
            problems,
            [
                "/cpu_stats/cpu_usage/total_usage is not a count",
                "/memory_stats/usage is not a count",
                "/blkio_stats/io_service_bytes_recursive is not an array"
            ]
        );
        assert_eq!(parsed("{}"), (Stats::default(), vec![]));
        assert!(parse(b"[]").is_err() && parse(b"{").is_err());
    }

    #[test]
    fn no_disk_is_zero_and_no_list_is_null() {
        let check = |list: &str, disk: Option<(u64, u64)>| {
            let (stats, _) =
                parsed(&format!(r#"{{"blkio_stats": {{"io_service_bytes_recursive": {list}}}}}"#));
            let found = stats.disk.map(|disk| (disk.input_bytes, disk.output_bytes));
            assert_eq!(found, disk, "{list}");
        };
        check("null", None);
        check("[]", Some((0, 0)));
        check(
            r#"[{"op": "Read", "value": 1}, {"op": "Total", "value": 9}, {"op": "Write", "value": 2}]"#,
            Some((1, 2)),
        );
        check(
            r#"[{"op": "read", "value": 1}, {"op": "read", "value": 4}, {"op": "write", "value": 2}]"#,
            Some((5, 2)),
        );
        check(r#"[{"op": "read", "value": "x"}]"#, None);
    }
}
