//! fjall's files, read without fjall.
//!
//! fjall 3.1.13 mends what it finds at open, and says so to nobody: it cuts a journal behind the last batch that
//! it can read, deletes tables that a manifest does not list and keyspaces that have no manifest, and never
//! compares a manifest with its checksum. So these readers look first, and change nothing:
//!
//! | file | what it is | reader |
//! | --- | --- | --- |
//! | `<id>.jnl` | what was committed and is not in tables yet | `journal.rs`, a batch of it `batch.rs` |
//! | `keyspaces/<id>/current`, `v<id>` | which tables there are | `manifest.rs`, their container `sections.rs` |
//! | `keyspaces/<id>/tables/<id>` | records, sorted, in blocks | `table.rs` |
//!
//! All of them take their bytes for what they are, foreign: no bytes make them panic, hang, or allocate much
//! more than the file has. What they hand over stood under a checksum of fjall's. That tells damage, not
//! malice: bytes inside an event can look like a batch or a block, and are found when what surrounds them is
//! damaged. Whoever takes events from here checks each record with its own checksum.

mod batch;
pub(crate) mod journal;
pub(crate) mod manifest;
mod sections;
pub(crate) mod table;

#[cfg(test)]
mod fixture;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// fjall rotates a journal at 64 MB and starts a table at 64 MiB: behind this is no file of ours, and no memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// What is looked at for zeros at once.
const PIECE_BYTES: usize = 64 * 1024;
static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];
/// What LZ4 may grow to, a value of a journal or a block of a table, before we take its length for damage.
const UNPACKED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// One byte of LZ4 stands for this many at the most.
const LZ4_RATIO_MAX: usize = 255;

/// Reads a whole file, if it is one.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let named = |error| named(path, &error);
    let file = File::open(path).map_err(named)?;
    let metadata = file.metadata().map_err(named)?;
    let bytes = metadata.len();
    if !metadata.is_file() || bytes > FILE_BYTES_MAX {
        let problem = format!("not a file of at most {FILE_BYTES_MAX} bytes (it has {bytes})");
        return Err(named(io::Error::new(io::ErrorKind::InvalidData, problem)));
    }
    read_sparsely(file, usize::try_from(bytes).unwrap_or_default()).map_err(named)
}

/// Reads so many bytes, or all there are. Most of a journal is zeros that fjall has allocated ahead, and every opening reads
/// it: zeros that nobody writes into memory do not become resident.
fn read_sparsely(mut file: impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut contents = vec![0; bytes];
    let mut buffer = Vec::with_capacity(PIECE_BYTES);
    let mut end = 0;
    for place in contents.chunks_mut(PIECE_BYTES) {
        let room = place.len();
        buffer.clear();
        file.by_ref().take(room as u64).read_to_end(&mut buffer)?;
        end += buffer.len();
        if !ZEROS.starts_with(&buffer)
            && let Some(place) = place.get_mut(..buffer.len())
        {
            place.copy_from_slice(&buffer);
        }
        if buffer.len() < room {
            break;
        }
    }
    contents.truncate(end);
    Ok(contents)
}

/// The same error with the path in its text.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Unpacks an LZ4 block that tells `length` bytes; `None` when it is none, or tells more than it can hold.
fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > UNPACKED_BYTES_MAX || length > packed.len().saturating_mul(LZ4_RATIO_MAX) {
        return None;
    }
    let mut unpacked = vec![0; length];
    let found = lz4_flex::block::decompress_into(packed, &mut unpacked).ok()?;
    (found == length).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_is_zeros_too() {
        let piece = |byte: u8| vec![byte; PIECE_BYTES];
        let mut lone = piece(0);
        lone[PIECE_BYTES - 1] = 1;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.jnl");
        for contents in [
            Vec::new(),
            vec![5],
            vec![0; 3],
            [piece(7), piece(0), lone, vec![0; 10]].concat(),
            [piece(0), piece(0), vec![0, 0, 9]].concat(),
        ] {
            std::fs::write(&path, &contents).unwrap();
            assert!(read_file(&path).unwrap() == contents, "{} bytes", contents.len());
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_what_is_there() {
        assert_eq!(read_sparsely(&b"abc"[..], 3 * PIECE_BYTES).unwrap(), b"abc");
        assert_eq!(read_sparsely(&b"abc"[..], 2).unwrap(), b"ab");
    }
}
