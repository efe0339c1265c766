//! PostgreSQL's binary COPY format, written straight into a buffer.
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

use bytes::{BufMut, BytesMut};
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

#[cfg(test)]
mod tests {
    use super::*;

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
