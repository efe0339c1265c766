//! Bodies that are packed with gzip: unpacked as they come, every member of them.

use std::io;

use async_compression::tokio::bufread::GzipDecoder;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::TryStreamExt;
use tokio_util::io::{ReaderStream, StreamReader};

/// Unpacks a body that says it is gzip. What is packed in another way comes through as it is, and is refused in our
/// own words.
pub(crate) async fn unpack(request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    if !is_gzip(&head.headers) {
        return next.run(Request::from_parts(head, body)).await;
    }
    head.headers.remove(CONTENT_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    let packed = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let mut decoder = GzipDecoder::new(packed);
    // IMPORTANT: files that were put one behind the other are one gzip; by default all but the first is passed over.
    decoder.multiple_members(true);
    next.run(Request::from_parts(head, Body::from_stream(ReaderStream::new(decoder)))).await
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let mut packings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    let first = packings.next().is_some_and(|packing| packing.eq_ignore_ascii_case(b"gzip"));
    first && packings.next().is_none()
}
