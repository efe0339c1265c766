//! What must hold for any bytes that an exporter sends.

use event::{Event, limits};
use server::otlp::{Encoding, count_points, read_logs};

/// Usage that is read is valid and final, what is wrong is one line. Tells how many calls the logs tell of.
pub fn check(bytes: &[u8]) -> usize {
    let mut calls = 0;
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        if let Err(problem) = count_points(bytes, encoding) {
            assert!(!problem.contains('\n'), "{problem}");
        }
        let Ok(logs) = read_logs(bytes, encoding) else { continue };
        assert!(logs.records >= logs.usage.len() as u64 + logs.malformed);
        assert_eq!(logs.first_malformed.is_some(), logs.malformed > 0);
        for usage in logs.usage {
            assert!(usage.r#final && usage.message_id.starts_with("otlp-"), "{usage:?}");
            limits::check(&Event::TokenUsage(usage)).expect("what is read is valid");
            calls += 1;
        }
    }
    calls
}
