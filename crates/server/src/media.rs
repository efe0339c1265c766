//! The encodings of bodies: what their headers say they are.

use std::io::{Read, Write};

use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::problem::Problem;

/// The media type without its parameters, in small letters; `None` when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("no text");
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!essence.is_empty()).then_some(essence)
}

/// A body of a media type that means nothing here.
pub(crate) fn unsupported(found: Option<&str>, wanted: &str) -> Problem {
    let found = found.map_or_else(|| "no Content-Type".to_owned(), |found| format!("Content-Type {found:?}"));
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{found} is not {wanted}"))
}

/// Refuses what is packed in another way than gzip: that one is unpacked by now, and its header gone.
pub(crate) fn check_packing(headers: &HeaderMap) -> Result<(), Problem> {
    let mut packings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    if packings.all(|packing| packing.eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "the Content-Encoding is neither gzip nor identity";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// Whether an answer may be packed by gzip: it is named, and not by a weight of 0.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), |weight| weight.trim().parse::<f32>());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// Packs an answer by gzip.
pub(crate) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    packer.write_all(bytes)?;
    packer.finish()
}

/// Unpacks what [`gzip`] has packed.
pub(crate) fn gunzip(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain)?;
    Ok(plain)
}

/// How many bytes the body has, if that is said.
pub(crate) fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_is_taken_when_it_is_named() {
        let check = |accepted: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        };
        for accepted in ["gzip", "br, GZIP;q=0.5", "deflate,gzip ; q=1"] {
            check(accepted, true);
        }
        for accepted in ["", "br", "gzip;q=0", "gzip;q=no", "x-gzip-not", "*"] {
            check(accepted, false);
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
