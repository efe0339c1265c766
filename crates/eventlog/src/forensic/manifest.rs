//! Which tables a keyspace has, and which keyspaces and journals a database.
//!
//! ```text
//! keyspaces/<id>/current      version u64, XXH3 of the manifest u128, checksum kind u8 0
//! keyspaces/<id>/v<version>   the manifest: sections, `tables` among them
//! keyspaces/<id>/tables/<id>  the tables
//! ```
//!
//! `tables` is the number of levels u8; per level the number of runs u8; per run the number of tables u32; per
//! table its id u64, checksum kind u8 0, checksum u128, and a sequence number to add u64. Integers are
//! little-endian.
//!
//! fjall never compares the manifest with the checksum in `current`: one wrong bit in it can take tables out of
//! the list, and fjall deletes the files that are not in the list. What else it does at open:
//!
//! - A keyspace without `current` is deleted, with what is in it. So is one that the keyspace 0 does not name.
//! - IMPORTANT: the keyspace 0 without `current`, or without its folder, is made new and empty. Then no keyspace
//!   has a name, and all of them are deleted, even where fjall then refuses to open.
//! - Items in journals that belong to a keyspace that is not there are passed over.
//! - Without `version` fjall makes a new database on top of the old one, unless the journal 0 is still there.
//! - Without any journal it begins again with sequence number 0, and nothing that the tables hold is seen.
//! - A folder of a keyspace whose name is no number makes it panic, and panic again while it cleans up: the
//!   process is aborted.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::sections::{self, Reader};
use super::{named, read_file};

/// How a keyspace's manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyspaceState {
    /// It lists these tables, and they are there.
    Whole {
        /// Their ids, the newest level first.
        tables: Vec<u64>,
    },
    /// It has no `current` and nothing that tells that it ever had: fjall removes it.
    ///
    /// IMPORTANT: that loses nothing only when no journal has items of it, and never for the keyspace 0.
    Unfinished,
    /// fjall would refuse it, or would delete what belongs to it.
    Broken {
        /// What is wrong, and where.
        reason: String,
    },
}

/// What was looked for in a folder, and what should not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Numbers and paths, sorted.
    pub(crate) found: Vec<(u64, PathBuf)>,
    /// A sentence on each thing at which fjall would refuse or panic, and on each that is missing.
    pub(crate) strange: Vec<String>,
}

/// Looks at the manifest of the keyspace in `dir`.
///
/// # Errors
/// When a file of it cannot be read.
pub(crate) fn check(dir: &Path) -> io::Result<KeyspaceState> {
    Ok(match tables(dir)? {
        Ok(state) => state,
        Err(reason) => KeyspaceState::Broken { reason },
    })
}

fn tables(dir: &Path) -> io::Result<Result<KeyspaceState, String>> {
    let current = dir.join("current");
    let Some(bytes) = if_there(read_file(&current))? else { return without_current(dir) };
    let mut reader = Reader(&bytes);
    let (version, checksum, kind) = (reader.array(), reader.array(), reader.array());
    let (Some(version), Some(checksum), Some([0]), []) = (version, checksum, kind, reader.0) else {
        let bytes = bytes.len();
        return Ok(Err(format!("{} is no pointer to a manifest ({bytes} bytes)", current.display())));
    };
    let manifest = dir.join(format!("v{}", u64::from_le_bytes(version)));
    let Some(bytes) = if_there(read_file(&manifest))? else {
        return Ok(Err(format!(
            "{} names a manifest that is missing: {}",
            current.display(),
            manifest.display()
        )));
    };
    let (told, found) = (u128::from_le_bytes(checksum), xxh3_128(&bytes));
    if told != found {
        let problem = format!("has the checksum {found:032x}, `current` tells {told:032x}");
        return Ok(Err(format!("{} {problem}", manifest.display())));
    }
    let listed = sections::find(&bytes, b"tables").and_then(|section| list(bytes.get(section)?));
    let Some(tables) = listed else {
        return Ok(Err(format!("{} has no list of tables", manifest.display())));
    };
    for table in &tables {
        let path = dir.join("tables").join(table.to_string());
        let metadata = fs::metadata(&path).map_err(|error| named(&path, &error));
        if !if_there(metadata)?.is_some_and(|metadata| metadata.is_file()) {
            return Ok(Err(format!(
                "{} lists a table that is missing: {}",
                manifest.display(),
                path.display()
            )));
        }
    }
    Ok(Ok(KeyspaceState::Whole { tables }))
}

/// The ids of the section `tables`, which has nothing else behind them.
fn list(section: &[u8]) -> Option<Vec<u64>> {
    let mut reader = Reader(section);
    let mut tables = Vec::new();
    let [levels] = reader.array()?;
    for _ in 0..levels {
        let [runs] = reader.array()?;
        for _ in 0..runs {
            for _ in 0..u32::from_le_bytes(reader.array()?) {
                tables.push(u64::from_le_bytes(reader.array()?));
                let [_checksum_kind] = reader.array()?;
                let _checksum: [u8; 16] = reader.array()?;
                let _seqno_to_add: [u8; 8] = reader.array()?;
            }
        }
    }
    reader.0.is_empty().then_some(tables)
}

/// A keyspace is made in the order folder, `v0`, `current`: more than that tells of a `current` that was lost.
fn without_current(dir: &Path) -> io::Result<Result<KeyspaceState, String>> {
    let mut left = Vec::new();
    for (name, path) in entries(dir)? {
        if name.starts_with('v') && name != "v0" && path.is_file() {
            left.push(path);
        }
    }
    for (_, path) in if_there(entries(&dir.join("tables")))?.unwrap_or_default() {
        left.push(path);
    }
    let Some(one) = left.first() else { return Ok(Ok(KeyspaceState::Unfinished)) };
    let problem = format!("is missing, and {} files are left of it, {}", left.len(), one.display());
    Ok(Err(format!("{} {problem}", dir.join("current").display())))
}

/// The folders of the keyspaces of the database in `log_dir`.
///
/// # Errors
/// When there is no folder of keyspaces, or it cannot be read.
pub(crate) fn keyspaces(log_dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for (name, path) in entries(&log_dir.join("keyspaces"))? {
        // NOTE: fjall passes over files here.
        if path.is_file() {
            continue;
        }
        match number(&name) {
            Some(id) => listing.found.push((id, path)),
            None => listing.strange.push(format!("{} is no keyspace: its name is no number", path.display())),
        }
    }
    listing.found.sort();
    Ok(listing)
}

/// The journals of the database in `log_dir`; the last one is the one that fjall writes to.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn journals(log_dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for (name, path) in entries(log_dir)? {
        let is_journal = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jnl"));
        if !is_journal {
            continue;
        }
        let is_file = fs::symlink_metadata(&path).map_err(|error| named(&path, &error))?.is_file();
        match name.strip_suffix(".jnl").and_then(number).filter(|_| is_file) {
            Some(id) => listing.found.push((id, path)),
            None => listing.strange.push(format!("{} is no journal", path.display())),
        }
    }
    listing.found.sort();
    // NOTE: fjall numbers them one by one, and removes the oldest first.
    for pair in listing.found.windows(2) {
        if let [(before, _), (after, _)] = pair
            && before + 1 < *after
        {
            let gap = format!("{} between {before}.jnl and {after}.jnl", after - before - 1);
            listing.strange.push(format!("journals are missing from {}: {gap}", log_dir.display()));
        }
    }
    if listing.found.is_empty() {
        listing.strange.push(format!("{} has no journal", log_dir.display()));
    }
    Ok(listing)
}

/// What is wrong with the file by which fjall knows that there is a database of its version 3.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn version_problem(log_dir: &Path) -> io::Result<Option<String>> {
    let path = log_dir.join("version");
    let told = if_there(read_file(&path))?;
    Ok(match told.as_deref() {
        // NOTE: fjall reads these four bytes and ignores others behind them.
        Some([b'F', b'J', b'L', 3, ..]) => None,
        Some(bytes) => Some(format!("{} does not begin with FJL 3 ({} bytes)", path.display(), bytes.len())),
        None => Some(format!("{} is missing", path.display())),
    })
}

/// A number as fjall writes it: it would read `007` or `+7` too, and then use the folder or file `7`.
fn number(name: &str) -> Option<u64> {
    name.parse().ok().filter(|number: &u64| number.to_string() == name)
}

/// Names and paths in a folder. A name that is no UTF-8 has a replacement character, so it is no number.
fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
    };
    fs::read_dir(dir).and_then(|entries| entries.map(name).collect()).map_err(|error| named(dir, &error))
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
