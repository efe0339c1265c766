//! What must hold for any bytes that are taken for a journal of fjall's.

use eventlog::fuzzing::read_journal;

/// The salvage finds what the walk finds, and tells what it skipped. Tells whether there was any item.
pub fn check(bytes: &[u8]) -> bool {
    let read = read_journal(bytes);
    assert!(read.salvaged.starts_with(&read.walked), "{read:?}");
    let end = usize::try_from(read.end).expect("it fitted in memory");
    let rest = bytes.get(end..).expect("the good prefix is one");
    assert_eq!(read.clean, rest.iter().all(|byte| *byte == 0), "{read:?}");
    assert_eq!(read.clean, read.skipped.is_empty(), "{read:?}");
    let mut done = read.end;
    for range in &read.skipped {
        assert!(
            done <= range.start && range.start < range.end && range.end <= bytes.len() as u64,
            "{read:?}"
        );
        done = range.end;
    }
    let prefix = read_journal(&bytes[..end]);
    assert!(prefix.clean && prefix.end == read.end && prefix.walked == read.walked, "{read:?}");
    !read.salvaged.is_empty()
}
