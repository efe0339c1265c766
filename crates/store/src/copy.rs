//! PostgreSQL's binary COPY format, written straight into a buffer; and read, where the rows are pairs.
//!
//! ```text
//! stream = header row… trailer
//! header = "PGCOPY\n\xff\r\n\0" | flags i32 (0) | length of the extension i32 (0)
//! row    = number of fields i16 | field…
//! field  = length i32 | bytes     (length -1 and no bytes: NULL)
//! trailer = i16 (-1)
//! ```
//!
//! Integers are big-endian. A timestamptz is an i64, microseconds since 2000-01-01T00:00:00Z; a text is its
//! UTF-8 bytes. (PostgreSQL's manual, COPY, "Binary Format".) What is broken in a stream the server tells by
//! SQLSTATE 22P04, for all of it.

use bytes::{Buf, BufMut, BytesMut};
use event::Time;

const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// 2000-01-01T00:00:00Z in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Opens a stream.
pub(crate) fn header(out: &mut BytesMut) {
    out.put_slice(HEADER);
}

/// Ends a stream.
pub(crate) fn trailer(out: &mut BytesMut) {
    out.put_i16(-1);
}

/// Writes the fields of one row.
pub(crate) struct Row<'a>(&'a mut BytesMut);

impl<'a> Row<'a> {
    /// Begins a row of so many fields.
    pub(crate) fn begin(out: &'a mut BytesMut, fields: i16) -> Self {
        out.put_i16(fields);
        Self(out)
    }

    pub(crate) fn time(&mut self, time: Time) -> &mut Self {
        self.bigint(time.micros().saturating_sub(EPOCH_MICROS))
    }

    pub(crate) fn time_or_null(&mut self, time: Option<Time>) -> &mut Self {
        match time {
            Some(time) => self.time(time),
            None => self.null(),
        }
    }

    /// NOTE: a text of 2 GiB has no length here; limits keep texts to 4 KiB.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
        self.0.put_slice(text.as_bytes());
        self
    }

    /// NOTE: the limits of an event end where bigint ends, so nothing is cut off here.
    pub(crate) fn count(&mut self, count: u64) -> &mut Self {
        self.bigint(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(crate) fn count_or_null(&mut self, count: Option<u64>) -> &mut Self {
        match count {
            Some(count) => self.count(count),
            None => self.null(),
        }
    }

    pub(crate) fn number_or_null(&mut self, number: Option<f64>) -> &mut Self {
        match number {
            Some(number) => {
                self.0.put_i32(8);
                self.0.put_f64(number);
                self
            }
            None => self.null(),
        }
    }

    pub(crate) fn integer(&mut self, number: i32) -> &mut Self {
        self.0.put_i32(4);
        self.0.put_i32(number);
        self
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.0.put_i32(1);
        self.0.put_u8(u8::from(flag));
        self
    }

    fn bigint(&mut self, number: i64) -> &mut Self {
        self.0.put_i32(8);
        self.0.put_i64(number);
        self
    }

    fn null(&mut self) -> &mut Self {
        self.0.put_i32(-1);
        self
    }
}

/// The signature alone, and all that stands before the first row when there is no extension.
const SIGNATURE_BYTES: usize = 11;
const HEADER_BYTES: usize = HEADER.len();
/// A row of two fields of eight bytes.
const PAIR_BYTES: usize = 2 + 2 * (4 + 8);

/// Reads a stream of rows of a bigint and a time, however it is cut.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// What came of a row whose rest has not come.
    rest: Vec<u8>,
    place: Place,
}

/// Where in its stream a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Header,
    Rows,
    Ended,
}

/// Bytes that are no such stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Pairs {
    /// Reads on, and tells the rows that are whole.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        tell: &mut (dyn FnMut(i64, Time) + Send),
    ) -> Result<(), Malformed> {
        self.rest.extend_from_slice(bytes);
        let mut left = self.rest.as_slice();
        while let Some(place) = step(self.place, &mut left, tell)? {
            self.place = place;
        }
        let read = self.rest.len() - left.len();
        self.rest.drain(..read);
        Ok(())
    }

    /// Whether the end has come, and nothing behind it.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.place, Place::Ended) && self.rest.is_empty()
    }
}

/// Reads the header, a row or the trailer, and says where that leads; `None` while it is not all there.
fn step(
    place: Place,
    left: &mut &[u8],
    tell: &mut (dyn FnMut(i64, Time) + Send),
) -> Result<Option<Place>, Malformed> {
    match place {
        Place::Header if left.len() < HEADER_BYTES => Ok(None),
        Place::Header => {
            let is_signed = left.get(..SIGNATURE_BYTES) == HEADER.get(..SIGNATURE_BYTES);
            left.advance(HEADER_BYTES - 4);
            // NOTE: an extension of the header is something that no server has yet.
            if is_signed && left.get_i32() == 0 { Ok(Some(Place::Rows)) } else { Err(Malformed) }
        }
        Place::Rows if left.starts_with(&(-1_i16).to_be_bytes()) => {
            left.advance(2);
            Ok(Some(Place::Ended))
        }
        Place::Rows if left.len() < PAIR_BYTES => Ok(None),
        Place::Rows => {
            let (fields, first, number) = (left.get_i16(), left.get_i32(), left.get_i64());
            let (second, micros) = (left.get_i32(), left.get_i64());
            if (fields, first, second) != (2, 8, 8) {
                return Err(Malformed);
            }
            tell(number, Time::from_micros(micros.saturating_add(EPOCH_MICROS)));
            Ok(Some(Place::Rows))
        }
        Place::Ended => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads these bytes in pieces of `size`.
    fn pairs(bytes: &[u8], size: usize) -> Result<(Vec<(i64, i64)>, bool), Malformed> {
        let (mut reader, mut found) = (Pairs::default(), Vec::new());
        for piece in bytes.chunks(size) {
            reader.read(piece, &mut |number, time: Time| found.push((number, time.micros())))?;
        }
        Ok((found, reader.has_ended()))
    }

    #[test]
    fn pairs_are_read_however_they_are_cut() {
        let mut out = BytesMut::new();
        header(&mut out);
        Row::begin(&mut out, 2).count(258).time(Time::from_micros(1));
        Row::begin(&mut out, 2).count(7).time(Time::from_micros(EPOCH_MICROS));
        let unended = out.clone();
        trailer(&mut out);
        for size in 1..=out.len() {
            let rows = vec![(258, 1), (7, EPOCH_MICROS)];
            assert_eq!(pairs(&out, size), Ok((rows.clone(), true)), "pieces of {size}");
            assert_eq!(pairs(&unended, size), Ok((rows, false)), "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_stream_of_pairs_is_refused() {
        let mut out = BytesMut::new();
        header(&mut out);
        Row::begin(&mut out, 2).text("four").count(1).count(2);
        assert_eq!(pairs(&out, 7), Err(Malformed));
        assert_eq!(pairs(b"PGCOPY\n\xff\r\n\x01\0\0\0\0\0\0\0\0", 19), Err(Malformed));
        let mut behind = BytesMut::new();
        header(&mut behind);
        trailer(&mut behind);
        behind.put_u8(0);
        assert_eq!(pairs(&behind, 100), Ok((Vec::new(), false)));
    }

    #[test]
    fn a_stream_byte_for_byte() {
        let mut out = BytesMut::new();
        header(&mut out);
        Row::begin(&mut out, 9)
            .time(Time::from_micros(EPOCH_MICROS + 1))
            .time_or_null(None)
            .text("é")
            .count(258)
            .count_or_null(None)
            .number_or_null(Some(1.0))
            .number_or_null(None)
            .integer(-2)
            .flag(true);
        trailer(&mut out);
        let wanted: &[&[u8]] = &[
            b"PGCOPY\n\xff\r\n\0",
            &[0, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0, 9],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 2, 0xc3, 0xa9],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2],
            &[0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0],
            &[0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xfe],
            &[0, 0, 0, 1, 1],
            &[0xff, 0xff],
        ];
        assert_eq!(out.as_ref(), wanted.concat());
    }

    #[test]
    fn the_ends_are_walls() {
        let mut out = BytesMut::new();
        Row::begin(&mut out, 2).count(u64::MAX).time(Time::from_micros(i64::MIN));
        let least = i64::MIN.to_be_bytes();
        assert_eq!(out.as_ref(), [&[0, 2, 0, 0, 0, 8, 0x7f][..], &[0xff; 7], &[0, 0, 0, 8], &least].concat());
    }
}
