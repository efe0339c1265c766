//! Tables that fjall wrote, whole and damaged at each place.

use std::fs;

use super::super::fixture::{self, EVENTS, Fixture, STATE, Told, Writing, deleted, events, state};
use super::*;

fn scanned(bytes: &[u8]) -> (Vec<Told>, TableScan) {
    let mut items = Vec::new();
    let scan =
        scan_bytes(bytes, |item| items.push((0, item.key.to_vec(), item.value.to_vec(), item.deleted)));
    assert_eq!(scan.items, items.len() as u64);
    (items, scan)
}

/// Where the blocks of data stand, as the whole table tells.
fn blocks(bytes: &[u8]) -> Vec<Range<usize>> {
    let end = sections::find(bytes, b"data").unwrap().end;
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < end {
        let header = Header::decode_from(&mut &bytes[at..]).unwrap();
        let next = at + Header::serialized_len() + usize::try_from(header.data_length).unwrap();
        ranges.push(at..next);
        at = next;
    }
    ranges
}

/// Events in a few blocks of 64 KiB that LZ4 has halved.
fn compressed() -> (Fixture, Vec<u8>) {
    let mut writing = Writing::new();
    for first in (1..300).step_by(50) {
        writing.commit(events(first, 50, 1_000));
    }
    writing.flush(EVENTS);
    let fixture = writing.close();
    let bytes = fs::read(fixture.table(EVENTS)).unwrap();
    (fixture, bytes)
}

/// Values of the state, deleted ones among them, in blocks of 4 KiB that are not compressed.
fn plain() -> (Vec<Told>, Vec<u8>) {
    let mut writing = Writing::new();
    let mut items: Vec<Told> =
        (0..200).map(|index| state(&format!("key {index:03}"), &format!("{index}").repeat(30))).collect();
    items.extend((200..210).map(|index| deleted(&format!("key {index:03}"))));
    writing.commit(items.clone());
    writing.flush(STATE);
    let fixture = writing.close();
    (items, fs::read(fixture.table(STATE)).unwrap())
}

fn without_keyspace(items: &[Told]) -> Vec<Told> {
    items.iter().cloned().map(|(_, key, value, deleted)| (0, key, value, deleted)).collect()
}

#[test]
fn what_fjall_wrote_is_read() {
    let (fixture, bytes) = compressed();
    let mut items = Vec::new();
    let scan = scan(&fixture.table(EVENTS), |item| {
        items.push((0, item.key.to_vec(), item.value.to_vec(), item.deleted));
        assert!(item.seqno > 0, "{item:?}");
    });
    assert_eq!(scan.unwrap(), TableScan { items: 300, damaged: vec![] });
    assert_eq!(items, without_keyspace(&fixture.batches.concat()));
    assert!(blocks(&bytes).len() > 3, "{:?}", blocks(&bytes));
    let (items, bytes) = plain();
    assert_eq!(scanned(&bytes).0, without_keyspace(&items));
    assert!(blocks(&bytes).len() > 3, "{:?}", blocks(&bytes));
}

#[test]
fn what_fjall_keeps_of_its_keyspaces_is_read() {
    let fixture = fixture::small();
    let mut names = Vec::new();
    for table in fs::read_dir(fixture.keyspace(0).join("tables")).unwrap() {
        let scan = scan(&table.unwrap().path(), |item| {
            if let [b'n', id @ ..] = item.key {
                names.push((id.to_vec(), String::from_utf8(item.value.to_vec()).unwrap()));
            }
        });
        assert_eq!(scan.unwrap().damaged, []);
    }
    names.sort();
    let named = [(EVENTS, "events-00000000000000000001"), (STATE, "state")];
    assert_eq!(names, named.map(|(id, name)| (id.to_be_bytes().to_vec(), name.to_owned())));
}

/// Flips a bit at every `step`-th byte, and at those of each header.
fn check_flips(bytes: &[u8], step: usize) {
    let (blocks, all) = (blocks(bytes), scanned(bytes).0);
    let end = blocks.last().unwrap().end;
    let per_block: Vec<Vec<Told>> = blocks.iter().map(|range| scanned(&bytes[range.clone()]).0).collect();
    assert_eq!(per_block.concat(), all, "each block can be read alone");
    let mut wrong = bytes.to_vec();
    let near_header = |at: usize| blocks.iter().any(|range| (range.start..range.start + 40).contains(&at));
    for at in (0..bytes.len()).filter(|at| at % step == 0 || near_header(*at) || *at + 60 > bytes.len()) {
        wrong[at] ^= 1 << (at % 8);
        let (items, scan) = scanned(&wrong);
        wrong[at] = bytes[at];
        let Some(hit) = blocks.iter().position(|range| range.contains(&at)) else {
            assert_eq!(items, all, "{at}, behind the data");
            assert!(scan.damaged.iter().all(|range| range.start >= end as u64), "{at}: {:?}", scan.damaged);
            continue;
        };
        let left: Vec<Told> = per_block
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != hit)
            .flat_map(|(_, it)| it.clone())
            .collect();
        assert!(items == left, "{at} costs other blocks than {hit}: {:?}", scan.damaged);
        assert_eq!(scan.damaged.len(), 1, "{at}");
        assert_eq!(scan.damaged[0], blocks[hit].start as u64..blocks[hit].end as u64, "{at}");
    }
}

#[test]
fn a_wrong_byte_costs_its_block() {
    check_flips(&compressed().1, 1_501);
    check_flips(&plain().1, 97);
}

#[test]
fn a_cut_leaves_the_blocks_before_it() {
    let (_, bytes) = plain();
    let blocks = blocks(&bytes);
    let all = scanned(&bytes).0;
    for at in (0..bytes.len()).step_by(61) {
        let whole = blocks.iter().filter(|range| range.end <= at).count();
        let expected = blocks[..whole].last().map_or(0, |range| scanned(&bytes[..range.end]).0.len());
        let (items, scan) = scanned(&bytes[..at]);
        assert_eq!(items, all[..expected], "{at}");
        let cut = blocks.get(whole).map(|range| range.start).filter(|start| *start < at);
        if let Some(start) = cut {
            let lost = start as u64..at as u64;
            assert_eq!(scan.damaged, [lost], "{at}");
        }
    }
}

#[test]
fn what_is_overwritten_costs_what_it_touches() {
    let (_, bytes) = plain();
    let (blocks, all) = (blocks(&bytes), scanned(&bytes).0);
    for at in (0..bytes.len()).step_by(512) {
        for length in [1, 512, 5_000] {
            let mut wrong = bytes.clone();
            let to = (at + length).min(bytes.len());
            wrong[at..to].fill(0xff);
            let touched = |range: &&Range<usize>| wrong[(*range).clone()] != bytes[(*range).clone()];
            let lost: usize =
                blocks.iter().filter(touched).map(|range| scanned(&bytes[range.clone()]).0.len()).sum();
            let (items, scan) = scanned(&wrong);
            assert_eq!(items.len(), all.len() - lost, "{at} to {to}");
            let covered = |range: &Range<usize>| {
                scan.damaged.iter().any(|it| it.start <= range.start as u64 && it.end >= range.end as u64)
            };
            assert!(blocks.iter().filter(touched).all(covered), "{at} to {to}: {:?}", scan.damaged);
        }
    }
}

/// Blocks whose checksums are right and whose contents nobody's encoder wrote.
#[test]
fn no_contents_make_it_panic() {
    let mut seed = 0x853c_49e6_748f_ea9b_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (_, bytes) = plain();
    let first = &bytes[blocks(&bytes)[0].clone()];
    let body = &first[Header::serialized_len()..];
    // NOTE: what the decoder would say of each of them.
    std::panic::set_hook(Box::new(|_| {}));
    for round in 0..1_500 {
        let mut wrong = body.to_vec();
        match round % 3 {
            0 => wrong.truncate(usize::try_from(random()).unwrap() % body.len()),
            // NOTE: most of what decides stands in the last bytes.
            1 => {
                let at = body.len() - 1 - usize::try_from(random() % 40).unwrap();
                wrong[at] = random().to_le_bytes()[0];
            }
            _ => {
                let at = usize::try_from(random()).unwrap() % body.len();
                wrong[at] = random().to_le_bytes()[0];
            }
        }
        let mut table = Vec::new();
        Block::write_into(&mut table, &wrong, BlockType::Data, lsm_tree::CompressionType::None).unwrap();
        scanned(&table);
    }
    let _ = std::panic::take_hook();
}
