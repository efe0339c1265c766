//! What must hold for any bytes that are posted as events.

use event::limits;
use server::ingest::{self, Form, Invalid};

/// Whatever is read is valid, a refusal is one line, and skipping finds what refusing finds. Tells how many events there are.
pub fn check(bytes: &[u8]) -> usize {
    for form in [Form::Json, Form::Ndjson] {
        let skipping = ingest::read(bytes, form, Invalid::Skip);
        match ingest::read(bytes, form, Invalid::Refuse) {
            Ok(read) => assert_eq!(skipping.as_ref(), Ok(&read), "there was nothing to skip"),
            Err(refusal) => assert!(!refusal.to_string().contains('\n'), "{refusal}"),
        }
        for event in skipping.iter().flat_map(|read| &read.events) {
            limits::check(event).expect("what is read is valid");
        }
    }
    ingest::read(bytes, ingest::guess(bytes), Invalid::Skip).map_or(0, |read| read.events.len())
}
