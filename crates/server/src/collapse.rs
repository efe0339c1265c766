//! Requests for one answer, asked at one time, are answered by one run: a hundred people who look at the same page cost as
//! much as one.
//!
//! Of each answer one run is under way at a time, and whoever asks meanwhile waits for the next one, together with all
//! others who do. So a run begins after each request that it answers, and has what was recorded before. It is dropped when
//! nobody waits for it any more.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

/// What decides about an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    method: String,
    path_and_query: String,
    accepts: Vec<HeaderValue>,
}

/// An answer that can be given several times.
#[derive(Clone, Debug)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

type Run = BoxFuture<'static, Kept>;

/// The runs of one answer.
#[derive(Default)]
struct Line {
    /// Held by the run that is under way.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The run that has not begun.
    next: Option<WeakShared<Run>>,
    /// Those two, as far as they are there.
    runs: usize,
}

/// The runs of all answers.
#[derive(Clone, Default)]
pub(crate) struct Collapse {
    lines: Arc<Mutex<HashMap<Key, Line>>>,
}

/// A layer of the routes whose answers depend on nothing but their path, their query and what the asker accepts.
pub(crate) async fn collapse(State(collapse): State<Collapse>, request: Request, next: Next) -> Response {
    let key = Key::of(&request);
    collapse.ask(key, async move { Kept::of(next.run(request).await).await }).await.into_response()
}

impl Key {
    fn of(request: &Request) -> Self {
        let accepts = |name: HeaderName| request.headers().get_all(name).into_iter().cloned();
        Self {
            method: request.method().to_string(),
            path_and_query: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
            accepts: accepts(ACCEPT)
                .chain([HeaderValue::from_static(";")])
                .chain(accepts(ACCEPT_ENCODING))
                .collect(),
        }
    }
}

impl Collapse {
    /// The answer of a run that begins from now on: this one, unless another one waits already.
    fn ask(&self, key: Key, work: impl Future<Output = Kept> + Send + 'static) -> Shared<Run> {
        let mut lines = self.lines();
        let line = lines.entry(key.clone()).or_default();
        if let Some(waiting) = line.next.as_ref().and_then(WeakShared::upgrade) {
            return waiting;
        }
        let (turn, place) = (Arc::clone(&line.turn), Place { collapse: self.clone(), key });
        let run = async move {
            let held = turn.lock_owned().await;
            place.begins();
            let kept = work.await;
            drop(held);
            drop(place);
            kept
        };
        let run = run.boxed().shared();
        line.next = run.downgrade();
        line.runs += 1;
        run
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run's place in its line, which ends with the run.
struct Place {
    collapse: Collapse,
    key: Key,
}

impl Place {
    /// From now on whoever asks waits for another run.
    fn begins(&self) {
        if let Some(line) = self.collapse.lines().get_mut(&self.key) {
            line.next = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.collapse.lines();
        let Some(line) = lines.get_mut(&self.key) else { return };
        line.runs -= 1;
        if line.runs == 0 {
            lines.remove(&self.key);
        }
    }
}

impl Kept {
    async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        // NOTE: these answers are whole before they are sent, so that reading them cannot fail.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Self { status: head.status, headers: head.headers, body }
    }
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}

#[cfg(test)]
mod tests;
