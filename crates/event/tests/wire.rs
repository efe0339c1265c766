//! Records: whatever is valid comes back as it was, and whatever was changed is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use event::wire::{self, Decoded, RECORD_HEADER_BYTES, RecordError};
use event::{BirthId, Event, Position};
use proptest::prelude::*;
use support::event;

fn payload(event: &Event) -> Vec<u8> {
    let mut payload = Vec::new();
    wire::encode(event, &mut payload).unwrap();
    payload
}

fn record(birth: &BirthId, position: Position, event: &Event) -> Vec<u8> {
    let mut record = vec![0; RECORD_HEADER_BYTES];
    wire::encode(event, &mut record).unwrap();
    wire::seal(birth, position, &mut record).unwrap();
    record
}

prop_compose! {
    /// A record with its place: birth id, position, event, bytes.
    fn sealed()(birth in any::<[u8; 16]>(), position in any::<u64>(), event in event())
        -> (BirthId, Position, Event, Vec<u8>) {
        let (birth, position) = (BirthId::from_bytes(birth), Position(position));
        let record = record(&birth, position, &event);
        (birth, position, event, record)
    }
}

/// An event as a decoder gives it for an arbitrary byte: any kind, any version.
fn head_then_bytes() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(vec![vec![0xdc, 0, 17], vec![0xdc, 0, 13], vec![0x98], vec![0x99]]);
    (head, 0_u8..9, 0_u8..3, prop::collection::vec(any::<u8>(), 0..80))
        .prop_map(|(head, kind, version, rest)| [&head[..], &[kind, version], &rest].concat())
}

proptest! {
    #![proptest_config(support::config("proptest-regressions/wire.txt"))]

    #[test]
    fn an_event_comes_back_as_it_was(event in event()) {
        prop_assert_eq!(wire::decode(&payload(&event)).unwrap(), Decoded::Event(event));
    }

    #[test]
    fn encoding_goes_behind_what_is_there(event in event(), before in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut out = before.clone();
        wire::encode(&event, &mut out).unwrap();
        prop_assert_eq!(out, [before, payload(&event)].concat());
    }

    #[test]
    fn the_largest_valid_event_fits_a_record(event in event()) {
        prop_assert!(payload(&event).len() <= event::limits::EVENT_BYTES_MAX);
    }

    #[test]
    fn a_record_opens_at_its_place((birth, position, event, record) in sealed()) {
        let opened = wire::open(&birth, position, &record).unwrap();
        prop_assert_eq!(opened.payload, payload(&event));
        prop_assert_eq!(opened.checksum, wire::checksum(&birth, position, opened.payload));
    }

    #[test]
    fn a_flipped_bit_is_refused(
        (birth, position, _, mut record) in sealed(),
        byte in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let byte = byte.index(record.len());
        record[byte] ^= 1 << bit;
        let error = wire::open(&birth, position, &record).unwrap_err();
        match byte {
            0 => prop_assert!(matches!(error, RecordError::Format { found } if found == record[0]), "{}", error),
            _ => prop_assert!(matches!(error, RecordError::Checksum { .. }), "{}", error),
        }
    }

    #[test]
    fn a_cut_record_is_refused((birth, position, _, record) in sealed(), at in any::<prop::sample::Index>()) {
        let at = at.index(record.len());
        let error = wire::open(&birth, position, &record[..at]).unwrap_err();
        match at {
            0..RECORD_HEADER_BYTES => prop_assert!(matches!(error, RecordError::Short { bytes } if bytes == at), "{}", error),
            _ => prop_assert!(matches!(error, RecordError::Checksum { .. }), "{}", error),
        }
    }

    #[test]
    fn a_record_of_another_place_is_refused(
        (birth, position, _, record) in sealed(),
        other_birth in any::<[u8; 16]>(),
        other_position in any::<u64>(),
    ) {
        let elsewhere = [
            (BirthId::from_bytes(other_birth), position),
            (birth, Position(other_position)),
            (birth, Position(position.0 ^ 1)),
        ];
        for (other_birth, other_position) in elsewhere {
            prop_assume!((other_birth, other_position) != (birth, position));
            let error = wire::open(&other_birth, other_position, &record).unwrap_err();
            prop_assert!(matches!(error, RecordError::Checksum { .. }), "{}", error);
        }
    }

    #[test]
    fn a_cut_payload_is_no_event(event in event(), at in any::<prop::sample::Index>()) {
        let payload = payload(&event);
        let cut = &payload[..at.index(payload.len())];
        let outcome = wire::decode(cut);
        prop_assert!(matches!(outcome, Err(RecordError::Payload { .. })), "{:?}", outcome);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = wire::decode(&bytes);
        let _ = wire::open(&BirthId::from_bytes([0; 16]), Position(1), &bytes);
        let mut record = bytes;
        let _ = wire::seal(&BirthId::from_bytes([0; 16]), Position(1), &mut record);
    }

    #[test]
    fn bytes_that_begin_like_an_event_never_panic(bytes in head_then_bytes()) {
        let _ = wire::decode(&bytes);
    }

    #[test]
    fn a_changed_payload_never_panics(
        event in event(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut payload = payload(&event);
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let _ = wire::decode(&payload);
    }
}

#[test]
fn a_record_without_room_for_its_header_is_not_sealed() {
    let birth = BirthId::from_bytes([7; 16]);
    let error = wire::seal(&birth, Position(1), &mut [0; RECORD_HEADER_BYTES - 1]).unwrap_err();
    assert_eq!(error.to_string(), "the record has 4 bytes, a header alone has 5");
}

#[test]
fn payloads_that_are_no_event_say_why() {
    let check = |payload: &[u8], says: &str| {
        let error = wire::decode(payload).unwrap_err().to_string();
        assert!(error.starts_with("the payload is not an event: ") && error.contains(says), "{error}");
    };
    check(&[], "it is no array");
    check(&[0x80], "it is no array");
    check(&[0x91, 1], "no kind and version");
    check(&[0x92, 0xa1, b'a', 1], "the kind is no small number");
    check(&[0x92, 1, 0xcd, 1, 0], "the version is no small number");
    check(&[0x92, 1, 1], "invalid length");
}
