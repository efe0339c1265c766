//! What must hold for any bytes that are taken for NDJSON.

use event::{json, limits};

/// Whatever parses is valid and survives a line of ours; every error is one line. Tells how many events parse.
pub fn check(bytes: &[u8]) -> usize {
    let mut events = 0;
    for line in json::parse_lines(bytes) {
        match line {
            Ok(event) => {
                limits::check(&event).expect("what parses is valid");
                let line = json::to_line(&event);
                let again = json::parse_line(line.as_bytes()).expect("what we write we can read");
                assert_eq!(again, event, "{line}");
                events += 1;
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
    events
}
