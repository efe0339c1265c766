//! The encodings of bodies: what their headers say they are.

use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};

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

/// How many bytes the body has, if that is said.
pub(crate) fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
