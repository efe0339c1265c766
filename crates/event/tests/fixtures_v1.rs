//! Bytes that tailwater wrote in schema version 1: they are read for ever as the same events.
//!
//! The bytes lie in `fixtures/v1.txt`, field by field; they were made from the MessagePack specification by
//! other means than this crate's encoder.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use event::wire::{self, Decoded, RecordError};
use event::{BirthId, Event, Kind, Position};

type Fixtures = BTreeMap<String, Vec<u8>>;

fn fixtures() -> Fixtures {
    let path = support::repository("crates/event/tests/fixtures/v1.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut fixtures = Fixtures::new();
    let mut name = String::new();
    for line in text.lines() {
        let content = line.split('#').next().unwrap_or_default().trim();
        match content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(section) => section.clone_into(&mut name),
            None => fixtures.entry(name.clone()).or_default().extend(hex(content)),
        }
    }
    fixtures.remove("");
    fixtures
}

fn hex(text: &str) -> impl Iterator<Item = u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap())
}

/// The events that the fixtures of the six kinds hold, by the fixtures' names.
fn events() -> Vec<(String, Event)> {
    let named = |form: &'static str| move |event: Event| (format!("{} {form}", event.kind()), event);
    let minimal = support::minimal().map(named("minimal"));
    let full = support::full().map(named("full"));
    minimal.into_iter().chain(full).collect()
}

#[test]
fn every_fixture_is_read_as_its_event() {
    let fixtures = fixtures();
    for (name, event) in events() {
        assert_eq!(wire::decode(&fixtures[&name]).unwrap(), Decoded::Event(event), "{name}");
    }
}

#[test]
fn version_1_is_written_as_it_was() {
    let fixtures = fixtures();
    for (name, event) in events() {
        let mut payload = Vec::new();
        wire::encode(&event, &mut payload).unwrap();
        assert_eq!(payload, fixtures[&name], "{name}");
    }
}

/// A fixture that no test reads proves nothing.
#[test]
fn every_kind_has_its_fixtures() {
    let mut expected: Vec<String> = events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(expected.len(), 2 * Kind::ALL.len());
    expected.extend(["unknown kind", "unknown version", "record"].map(str::to_owned));
    expected.sort();
    assert_eq!(fixtures().into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn what_a_newer_version_wrote_is_named_and_not_refused() {
    let fixtures = fixtures();
    let check = |name: &str, kind: u8, version: u8| {
        let payload = fixtures[name].as_slice().into();
        let unknown = Decoded::Unknown { kind, version, payload };
        assert_eq!(wire::decode(&fixtures[name]).unwrap(), unknown, "{name}");
    };
    check("unknown kind", 7, 1);
    check("unknown version", 1, 2);
}

#[test]
fn a_record_has_the_checksum_that_others_compute() {
    let fixtures = fixtures();
    let record = &fixtures["record"];
    let birth = BirthId::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()));
    let opened = wire::open(&birth, Position(42), record).unwrap();
    assert_eq!(opened.payload, fixtures["channel_sample full"]);
    assert_eq!(opened.checksum, 0xaa8b_23ea);
    let sealed = {
        let mut sealed = [&[0; wire::RECORD_HEADER_BYTES][..], opened.payload].concat();
        wire::seal(&birth, Position(42), &mut sealed).unwrap();
        sealed
    };
    assert_eq!(sealed, *record);
    let elsewhere = wire::open(&birth, Position(43), record).unwrap_err();
    assert!(matches!(elsewhere, RecordError::Checksum { stored: 0xaa8b_23ea, .. }), "{elsewhere}");
}

/// RFC 3720, appendix B.4: 32 bytes each, here as birth id (16), position (8) and payload (8).
#[test]
fn the_checksum_is_crc_32c() {
    let ascending: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let descending: [u8; 32] = std::array::from_fn(|index| u8::try_from(31 - index).unwrap());
    let check = |bytes: [u8; 32], expected: u32| {
        let birth = BirthId::from_bytes(*bytes.first_chunk().unwrap());
        let position = Position(u64::from_be_bytes(*bytes[16..].first_chunk().unwrap()));
        assert_eq!(wire::checksum(&birth, position, &bytes[24..]), expected, "{bytes:?}");
    };
    check([0; 32], 0x8a91_36aa);
    check([0xff; 32], 0x62a8_ab43);
    check(ascending, 0x46dd_794e);
    check(descending, 0x113f_db5c);
}
