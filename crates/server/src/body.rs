//! Bodies: read within a deadline, a bound of their own and one for all of them together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::media;
use crate::problem::Problem;
use crate::settings::Settings;

/// The unit in which memory is given out.
const PIECE_BYTES: usize = 16 * 1024;
/// How many of the largest bodies are read to no purpose, so that the client hears why; then the connection ends.
const DISCARD_REQUESTS: usize = 4;
/// How long a client should wait when the memory for bodies is given out.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// The memory for bodies.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pieces: Arc<Semaphore>,
    request_bytes_max: usize,
    deadline: Duration,
}

/// A place in the memory: given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<OwnedSemaphorePermit>);

/// A whole body, with its place in the memory.
#[derive(Debug, Default)]
pub(crate) struct WholeBody {
    bytes: Vec<u8>,
    place: Place,
}

impl WholeBody {
    /// The bytes, and the place: to be kept while what was made of the bytes is there.
    pub(crate) fn split(self) -> (Vec<u8>, Place) {
        (self.bytes, self.place)
    }
}

impl Memory {
    pub(crate) fn new(settings: &Settings) -> Self {
        let pieces = Arc::new(Semaphore::new(settings.memory_bytes_max / PIECE_BYTES));
        Self { pieces, request_bytes_max: settings.request_bytes_max, deadline: settings.body_deadline }
    }

    /// Reads a body, which is unpacked already.
    ///
    /// NOTE: what is refused is read all the same, for a while: many clients look for an answer
    /// only when they have sent everything.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Result<WholeBody, Problem> {
        let slow = || {
            let seconds = self.deadline.as_secs_f64();
            Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {seconds} s"))
        };
        let mut stream = body.into_data_stream();
        let reading = async {
            let whole = self.gather(headers, &mut stream).await;
            if whole.is_err() {
                self.discard(&mut stream).await;
            }
            whole
        };
        tokio::time::timeout(self.deadline, reading).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn gather(&self, headers: &HeaderMap, stream: &mut BodyDataStream) -> Result<WholeBody, Problem> {
        media::check_packing(headers)?;
        let most = self.request_bytes_max;
        if media::announced_bytes(headers).is_some_and(|bytes| bytes > most as u64) {
            return Err(Problem::too_large(most));
        }
        let mut whole = WholeBody::default();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| Problem::bad_request("the body broke off, or is no good gzip"))?;
            if whole.bytes.len() + chunk.len() > most {
                return Err(Problem::too_large(most));
            }
            self.grow(&mut whole, &chunk)?;
        }
        Ok(whole)
    }

    fn grow(&self, whole: &mut WholeBody, chunk: &Bytes) -> Result<(), Problem> {
        let pieces = |bytes: usize| bytes.div_ceil(PIECE_BYTES);
        let more = pieces(whole.bytes.len() + chunk.len()) - pieces(whole.bytes.len());
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more > 0 {
            let given = Arc::clone(&self.pieces).try_acquire_many_owned(more).map_err(|_| busy())?;
            match &mut whole.place.0 {
                Some(had) => had.merge(given),
                none => *none = Some(given),
            }
        }
        whole.bytes.extend_from_slice(chunk);
        Ok(())
    }

    async fn discard(&self, stream: &mut BodyDataStream) {
        let mut left = self.request_bytes_max.saturating_mul(DISCARD_REQUESTS);
        while let Some(Ok(chunk)) = stream.next().await {
            let Some(rest) = left.checked_sub(chunk.len()) else { return };
            left = rest;
        }
    }
}

fn busy() -> Problem {
    let detail = "other requests take all the memory that there is for them: send this one again in a second";
    Problem::later(StatusCode::SERVICE_UNAVAILABLE, detail, BUSY_WAIT)
}
