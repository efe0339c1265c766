//! What must hold for any bytes that are taken for NDJSON.

use event::{json, limits};

/// Whatever parses is valid and survives a line of ours; every error is one line. Tells how many events parse.
pub fn check(bytes: &[u8]) -> usize {
    let lines = json::parse_lines(bytes);
    for event in &lines.events {
        limits::check(event).expect("what parses is valid");
        let line = json::to_line(event);
        let again = json::parse_line(line.as_bytes()).expect("what we write we can read");
        assert_eq!(again, *event, "{line}");
    }
    for error in &lines.errors {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    lines.events.len()
}
