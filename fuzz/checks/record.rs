//! What must hold for any bytes that are taken for a record, or for the payload of one.

use event::wire::{self, Decoded};
use event::{BirthId, Position};

/// Whatever decodes can be encoded, and that decodes to the same. Tells whether it was an event.
///
/// NOTE: the bytes are compared and not the events, for a number that is not a number differs from itself.
pub fn check(bytes: &[u8]) -> bool {
    let birth = BirthId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    let payload = wire::open(&birth, Position(42), bytes).map_or(bytes, |record| record.payload);
    let Ok(Decoded::Event(event)) = wire::decode(payload) else { return false };
    let (mut once, mut again) = (Vec::new(), Vec::new());
    wire::encode(&event, &mut once).expect("what decodes can be encoded");
    match wire::decode(&once) {
        Ok(Decoded::Event(event)) => wire::encode(&event, &mut again).expect("and once more"),
        other => panic!("{event:?} became {other:?}"),
    }
    assert_eq!(once, again, "{event:?}");
    true
}
