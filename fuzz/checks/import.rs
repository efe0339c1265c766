//! What must hold for any bytes that are imported: parts of whole lines, then out again, then in again.

use event::{Event, json};

/// The first byte chooses how large a part is; the rest is the input. The parts hold what the whole holds, and
/// what is exported, with every host spelled out, imports as itself. Tells how many events there are.
pub fn check(bytes: &[u8]) -> usize {
    let Some((size, input)) = bytes.split_first() else { return 0 };
    let whole: Vec<Event> = json::parse_lines(input).filter_map(Result::ok).collect();
    let parts = parts(input, usize::from(*size) + 1);
    let in_parts: Vec<Event> = parts.into_iter().flat_map(json::parse_lines).filter_map(Result::ok).collect();
    assert_eq!(in_parts, whole, "a part is whole lines");

    let mut exported = String::new();
    let mut events = whole;
    for event in &mut events {
        event.host_mut().get_or_insert_with(|| "here".into());
        exported += &json::to_line(event);
        exported.push('\n');
    }
    let imported: Result<Vec<Event>, _> = json::parse_lines(exported.as_bytes()).collect();
    assert_eq!(imported.expect("what is exported can be imported"), events);
    events.len()
}

/// Parts of whole lines, of at least `least` bytes each but for the last.
fn parts(mut rest: &[u8], least: usize) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let from = least.min(rest.len());
        let end = rest.iter().skip(from - 1).position(|byte| *byte == b'\n');
        let (part, others) = rest.split_at(end.map_or(rest.len(), |end| from + end));
        parts.push(part);
        rest = others;
    }
    parts
}
