//! Records: the bytes of events in the log.
//!
//! Layout of a record, integers big-endian:
//!
//! ```text
//! record  = format u8 | crc32c u32 | payload
//! payload = MessagePack array [ kind, schema version, field, field, … ]
//! ```
//!
//! `format` is 1. The checksum (CRC-32C, Castagnoli, RFC 3720 appendix B.4) covers the log's birth id
//! (16 bytes), the position (u64) and the payload: a record that lies at another place, or in another
//! log, does not pass. Kind and schema version stand in front so that a reader can name what it cannot read.
//!
//! What a broken record means: too short or another `format`, the bytes are no record of ours; a checksum
//! that differs, they changed after they were written; an unknown kind or version, a newer tailwater wrote
//! them (keep them, an upgrade can read them); a payload that passes its checksum and does not decode is a bug.

mod v1;

use thiserror::Error;

use crate::{BirthId, Event, Kind, Position};

/// The only record format there is.
const FORMAT: u8 = 1;

/// Bytes of a record in front of its payload.
pub const RECORD_HEADER_BYTES: usize = 1 + 4;

/// A checked record: its checksum and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// CRC-32C over birth id, position and payload.
    pub checksum: u32,
    /// The MessagePack array.
    pub payload: &'a [u8],
}

/// What a payload holds.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every entry is an event: a box would be one more allocation each"
)]
pub enum Decoded {
    /// An event of a kind and version that this version knows.
    Event(Event),
    /// An event that a newer version wrote.
    Unknown {
        /// Its kind's number.
        kind: u8,
        /// Its schema version.
        version: u8,
        /// Its payload, for whoever keeps it until it can be read.
        payload: Box<[u8]>,
    },
}

/// One record of the log, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// CRC-32C of its record.
    pub checksum: u32,
    /// Bytes of its payload, for limits.
    pub bytes: usize,
    /// What it says.
    pub event: Decoded,
}

/// Bytes that are no readable record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Too few bytes for a header.
    #[error("the record has {bytes} bytes, a header alone has {RECORD_HEADER_BYTES}")]
    Short {
        /// How many there are.
        bytes: usize,
    },
    /// Not a format of ours.
    #[error("the record's format is {found}, this version knows format {FORMAT}")]
    Format {
        /// The first byte.
        found: u8,
    },
    /// The bytes changed, or belong to another place.
    #[error("the record's checksum is {stored:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// What the record says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The payload passes its checksum, and is no event all the same.
    #[error("the payload is not an event: {detail}")]
    Payload {
        /// What the decoder said.
        detail: String,
    },
}

/// Writes the payload of an event in the newest schema version, behind what `out` holds.
///
/// # Errors
/// Never in practice: writing to memory does not fail. The decoder's error type is kept for honesty.
pub fn encode(event: &Event, out: &mut Vec<u8>) -> Result<(), RecordError> {
    v1::encode(event, out).map_err(|error| RecordError::Payload { detail: error.to_string() })
}

/// Reads a payload of any schema version that was ever released.
///
/// # Errors
/// [`RecordError::Payload`] when the bytes are no event. An unknown kind or version is not an error.
pub fn decode(payload: &[u8]) -> Result<Decoded, RecordError> {
    let (number, version) = head(payload)?;
    match (Kind::from_number(number), version) {
        (Some(kind), v1::VERSION) => v1::decode(kind, payload).map(Decoded::Event),
        _ => Ok(Decoded::Unknown { kind: number, version, payload: payload.into() }),
    }
}

/// Kind number and schema version of a payload.
fn head(payload: &[u8]) -> Result<(u8, u8), RecordError> {
    let problem = |what: &str| RecordError::Payload { detail: what.to_owned() };
    let mut rest = payload;
    let fields = rmp::decode::read_array_len(&mut rest).map_err(|_| problem("it is no array"))?;
    if fields < 2 {
        return Err(problem("the array has no kind and version"));
    }
    let kind = rmp::decode::read_int(&mut rest).map_err(|_| problem("the kind is no small number"))?;
    let version = rmp::decode::read_int(&mut rest).map_err(|_| problem("the version is no small number"))?;
    Ok((kind, version))
}

/// Seals and checks the records of one log: what of the checksum depends on the log alone is computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checker {
    /// CRC-32C of the birth id.
    birth: u32,
}

impl Checker {
    /// For the records of the log that was born as this.
    #[must_use]
    pub fn new(birth: &BirthId) -> Self {
        Self { birth: crc32c::crc32c(birth.as_bytes()) }
    }

    /// The checksum of a payload at its place.
    #[must_use]
    pub fn checksum(self, position: Position, payload: &[u8]) -> u32 {
        let place = crc32c::crc32c_append(self.birth, &position.0.to_be_bytes());
        crc32c::crc32c_append(place, payload)
    }

    /// Seals a record in place: `record` is [`RECORD_HEADER_BYTES`] free bytes and the payload behind them.
    /// Returns the checksum.
    ///
    /// # Errors
    /// When `record` is too short to have a header.
    pub fn seal(self, position: Position, record: &mut [u8]) -> Result<u32, RecordError> {
        let bytes = record.len();
        let Some((header, payload)) = record.split_first_chunk_mut::<RECORD_HEADER_BYTES>() else {
            return Err(RecordError::Short { bytes });
        };
        let checksum = self.checksum(position, payload);
        let [a, b, c, d] = checksum.to_be_bytes();
        *header = [FORMAT, a, b, c, d];
        Ok(checksum)
    }

    /// Checks a record against its place and gives its payload.
    ///
    /// # Errors
    /// When it is too short, of another format, or its checksum differs.
    pub fn open(self, position: Position, record: &[u8]) -> Result<Record<'_>, RecordError> {
        let short = RecordError::Short { bytes: record.len() };
        let Some((header, payload)) = record.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            return Err(short);
        };
        let [format, a, b, c, d] = *header;
        if format != FORMAT {
            return Err(RecordError::Format { found: format });
        }
        let stored = u32::from_be_bytes([a, b, c, d]);
        let computed = self.checksum(position, payload);
        if stored != computed {
            return Err(RecordError::Checksum { stored, computed });
        }
        Ok(Record { checksum: stored, payload })
    }
}

/// The checksum of one payload at its place; who has many keeps a [`Checker`].
#[must_use]
pub fn checksum(birth: &BirthId, position: Position, payload: &[u8]) -> u32 {
    Checker::new(birth).checksum(position, payload)
}

/// Seals one record in place, as [`Checker::seal`] does.
///
/// # Errors
/// When `record` is too short to have a header.
pub fn seal(birth: &BirthId, position: Position, record: &mut [u8]) -> Result<u32, RecordError> {
    Checker::new(birth).seal(position, record)
}

/// Checks one record against its place and gives its payload, as [`Checker::open`] does.
///
/// # Errors
/// When it is too short, of another format, or its checksum differs.
pub fn open<'a>(birth: &BirthId, position: Position, record: &'a [u8]) -> Result<Record<'a>, RecordError> {
    Checker::new(birth).open(position, record)
}
