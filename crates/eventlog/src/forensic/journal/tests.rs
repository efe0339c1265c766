//! Journals that fjall wrote, whole and damaged at each place.

use super::super::fixture::{self, Fixture, Told};
use super::*;

fn told(item: &Item<'_>) -> Told {
    (item.keyspace, item.key.to_vec(), item.value.to_vec(), item.deleted)
}

fn walked(bytes: &[u8]) -> (Vec<Told>, Walk) {
    let mut items = Vec::new();
    let walk = walk_bytes(bytes, |item| items.push(told(&item)));
    (items, walk)
}

fn salvaged(bytes: &[u8]) -> (Vec<Told>, Vec<Range<u64>>) {
    let mut items = Vec::new();
    let skipped = salvage_bytes(bytes, 0, |_, item| items.push(told(&item)));
    (items, skipped)
}

/// A small journal and where its batches stand.
fn small() -> (Fixture, Vec<u8>, Vec<Range<usize>>) {
    let fixture = fixture::small();
    let bytes = fixture.journal_bytes();
    let mut batches = Batches::new(&bytes);
    let mut ranges = Vec::new();
    let mut at = 0;
    while batches.read(at).is_ok() {
        ranges.push(at..batches.at());
        at = batches.at();
    }
    assert_eq!(ranges.len(), fixture.batches.len(), "each batch is there once");
    (fixture, bytes, ranges)
}

fn items_but<'a>(fixture: &'a Fixture, lost: impl Fn(usize) -> bool + 'a) -> Vec<Told> {
    let kept = fixture.batches.iter().enumerate().filter(|(index, _)| !lost(*index));
    kept.flat_map(|(_, batch)| batch.clone()).collect()
}

#[test]
fn what_fjall_wrote_is_read() {
    let fixture = fixture::small();
    let (mut items, mut seqnos) = (Vec::new(), Vec::new());
    let walk = walk(&fixture.journal(), |item| {
        items.push(told(&item));
        seqnos.push(item.seqno);
    })
    .unwrap();
    assert_eq!(items, fixture.batches.concat());
    assert!(seqnos.is_sorted(), "{seqnos:?}");
    assert_eq!((walk.ending, walk.disorder), (Ending::Clean, None));
    let mut again = Vec::new();
    let skipped = salvage(&fixture.journal(), 0, |_, item| again.push(told(&item))).unwrap();
    assert_eq!((again, skipped), (items, vec![]));
    assert_eq!(salvage(&fixture.journal(), walk.end, |_, _| panic!("nothing is there")).unwrap(), []);
}

#[test]
fn a_wrong_byte_costs_its_batch() {
    let (fixture, bytes, ranges) = small();
    let end = ranges.last().unwrap().end;
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (at % 8);
        let hit = ranges.iter().position(|range| range.contains(&at));
        let in_seqno = hit.is_some_and(|hit| (5..13).contains(&(at - ranges[hit].start)));
        let (items, walk) = walked(&wrong);
        if in_seqno {
            assert_eq!(items, fixture.batches.concat(), "{at}: no checksum covers it");
            continue;
        }
        let first_lost = hit.unwrap_or(ranges.len());
        assert_eq!(items, fixture.batches[..first_lost].concat(), "{at}");
        assert_eq!(walk.end, hit.map_or(end, |hit| ranges[hit].start) as u64, "{at}");
        let Ending::Torn { junk_end, reason } = walk.ending else { panic!("{at} is damaged") };
        assert!(junk_end > at as u64 && junk_end <= bytes.len() as u64, "{at}: {junk_end}");
        assert!(!reason.is_empty() && !reason.contains('\n'), "{at}: {reason}");
        let (items, skipped) = salvaged(&wrong);
        assert_eq!(items, items_but(&fixture, |index| Some(index) == hit), "{at}");
        let lost =
            hit.map_or(end as u64..at as u64 + 1, |hit| ranges[hit].start as u64..ranges[hit].end as u64);
        assert_eq!(skipped, [lost], "{at}");
    }
}

#[test]
fn a_lowered_or_raised_sequence_number_is_told() {
    let (_, bytes, ranges) = small();
    for (index, range) in ranges.iter().enumerate().skip(1) {
        let mut wrong = bytes.clone();
        wrong[range.start + 5..range.start + 13].fill(0);
        assert_eq!(walked(&wrong).1.disorder, Some(range.start as u64), "{index} lowered");
        wrong[range.start + 5..range.start + 13].fill(0xff);
        let next = ranges.get(index + 1).map(|next| next.start as u64);
        assert_eq!(walked(&wrong).1.disorder, next, "{index} raised");
    }
}

#[test]
fn a_cut_leaves_the_batches_before_it() {
    let (fixture, bytes, ranges) = small();
    for at in 0..bytes.len() {
        let whole = ranges.iter().filter(|range| range.end <= at).count();
        let (items, walk) = walked(&bytes[..at]);
        assert_eq!(items, fixture.batches[..whole].concat(), "{at}");
        let good_end = ranges[..whole].last().map_or(0, |range| range.end);
        assert_eq!(walk.end, good_end as u64, "{at}");
        let clean = bytes[good_end..at].iter().all(|byte| *byte == 0);
        assert_eq!(walk.ending == Ending::Clean, clean, "{at}");
        assert_eq!(salvaged(&bytes[..at]).0, items, "{at}");
    }
}

#[test]
fn what_is_written_twice_or_overwritten_costs_what_it_touches() {
    let (fixture, bytes, ranges) = small();
    for at in (0..bytes.len()).step_by(7) {
        for length in [1, 13, 100, 700] {
            let to = (at + length).min(bytes.len());
            let case = format!("{at} to {to}");
            let twice = [&bytes[..to], &bytes[at..]].concat();
            let before = ranges.iter().filter(|range| range.end <= to).count();
            assert!(walked(&twice).0.starts_with(&fixture.batches[..before].concat()), "{case} twice");
            let split = |index: usize| ranges[index].start < to && to < ranges[index].end;
            let found = salvaged(&twice).0;
            for item in items_but(&fixture, split) {
                assert!(found.contains(&item), "{case} twice: {item:?}");
            }
            let zeros = [&bytes[..at], &vec![0; to - at], &bytes[to..]].concat();
            let touched = |index: usize| zeros[ranges[index].clone()] != bytes[ranges[index].clone()];
            // NOTE: nothing tells when it begins in a sequence number and ends there.
            if ranges.iter().any(|range| range.start + 5 <= at && to <= range.start + 13) {
                continue;
            }
            let (items, skipped) = salvaged(&zeros);
            assert_eq!(items, items_but(&fixture, touched), "{case} zeros");
            assert_eq!(skipped.is_empty(), !(0..ranges.len()).any(touched), "{case} zeros: {skipped:?}");
        }
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut seed = 0x853c_49e6_748f_ea9b_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2_000 {
        // NOTE: small numbers, so that tags and lengths come about often.
        let bytes: Vec<u8> = (0..random() % 300).map(|_| u8::try_from(random() % 6).unwrap()).collect();
        let (items, walk) = walked(&bytes);
        let (found, skipped) = salvaged(&bytes);
        assert!(found.starts_with(&items), "{bytes:?}");
        assert!(walk.end <= bytes.len() as u64, "{bytes:?}");
        assert!(skipped.iter().all(|range| range.end <= bytes.len() as u64), "{bytes:?}");
    }
}

/// Starts in the values of items, each with a chain of items to the end of the file that is one too long.
#[test]
fn bytes_made_to_waste_time_do_not() {
    let mut bytes = Vec::new();
    while bytes.len() < 1 << 16 {
        bytes.extend_from_slice(&[1]);
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend_from_slice(&7_u64.to_le_bytes());
        // An item with a value of the 13 bytes of the next start.
        bytes.extend_from_slice(&[2, 0, 0]);
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(&13_u32.to_le_bytes());
        bytes.extend_from_slice(&13_u32.to_le_bytes());
    }
    let (fixture, journal, ranges) = small();
    bytes.extend_from_slice(&journal);
    let (items, skipped) = salvaged(&bytes);
    assert_eq!(items, fixture.batches.concat());
    let made = (bytes.len() - journal.len() + ranges[0].start) as u64;
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0], 0..made);
}
