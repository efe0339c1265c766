//! The pages that people look at: files of ours and plotly.js, all within the binary.
//!
//! A browser asks again each time whether what it has is still right, which costs a millisecond and is never wrong after an
//! upgrade.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::intake::Intake;
use crate::media;
use crate::problem::Problem;
use crate::routes::{App, blocking};

/// Where plotly.js is.
pub(crate) const CHARTS: &str = "/web/plotly.js";

/// What a page of ours may do: load from here, and ask here. plotly.js sets styles of what it draws.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The page itself.
const PAGE: &str = include_str!("../web/index.html");

macro_rules! files {
    ($($name:literal: $media_type:expr),* $(,)?) => {
        /// Files beside the page: name, media type, text.
        const FILES: &[(&str, &str, &str)] = &[$(($name, $media_type, include_str!(concat!("../web/", $name)))),*];
    };
}

files! {
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "charts.js": SCRIPT,
    "dom.js": SCRIPT,
    "format.js": SCRIPT,
    "icon.svg": SVG,
    "live.js": SCRIPT,
    "notices.js": SCRIPT,
    "pages/agent.js": SCRIPT,
    "pages/channels.js": SCRIPT,
    "pages/fleet.js": SCRIPT,
    "pages/pipeline.js": SCRIPT,
    "pages/system.js": SCRIPT,
    "pages/usage.js": SCRIPT,
    "pages/welcome.js": SCRIPT,
    "range.js": SCRIPT,
    "route.js": SCRIPT,
    "series.js": SCRIPT,
    "spark.js": SCRIPT,
    "style.css": CSS,
    "table.js": SCRIPT,
    "theme.js": SCRIPT,
    "view.js": SCRIPT,
}

/// What is sent of a file: packed, for that is what browsers take.
#[derive(Clone, Debug)]
struct Packed {
    media_type: &'static str,
    etag: HeaderValue,
    gzip: Bytes,
}

impl Packed {
    fn new(media_type: &'static str, plain: &[u8]) -> Result<Self, Problem> {
        let digest = Sha256::digest(plain);
        let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{tag}\"")).map_err(|_| Problem::unfinished())?;
        let gzip = media::gzip(plain).map_err(|_| Problem::unfinished())?;
        Ok(Self { media_type, etag, gzip: gzip.into() })
    }

    fn answer(&self, asked: &HeaderMap) -> Result<Response, Problem> {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(self.media_type)),
            (CONTENT_SECURITY_POLICY, POLICY),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (ETAG, self.etag.clone()),
            (VARY, HeaderValue::from_static("accept-encoding")),
        ]);
        let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        if known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().as_bytes() == self.etag.as_bytes()) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        if media::takes_gzip(asked) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return Ok((headers, self.gzip.clone()).into_response());
        }
        let plain = media::gunzip(&self.gzip).map_err(|_| Problem::unfinished())?;
        Ok((headers, plain).into_response())
    }
}

/// plotly.js: asked for when the first page wants charts, and kept packed.
pub(crate) struct Charts {
    script: fn() -> String,
    packed: OnceLock<Packed>,
}

impl Charts {
    /// Charts that are drawn by this script.
    pub(crate) const fn new(script: fn() -> String) -> Self {
        Self { script, packed: OnceLock::new() }
    }

    fn packed(&self) -> Result<&Packed, Problem> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let packed = Packed::new(SCRIPT, (self.script)().as_bytes())?;
        Ok(self.packed.get_or_init(|| packed))
    }
}

/// Answers `/`.
pub(crate) async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    named("", &headers)
}

/// Answers `/web/{name}`.
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    named(&name, &headers)
}

/// Answers `/web/plotly.js`.
pub(crate) async fn charts<I: Intake>(
    State(app): State<Arc<App<I>>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    blocking(move || app.charts.packed().and_then(|packed| packed.answer(&headers))).await?
}

fn named(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    static PACKED: OnceLock<HashMap<&str, Packed>> = OnceLock::new();
    let files = match PACKED.get() {
        Some(files) => files,
        None => {
            let all = [("", HTML, PAGE)].into_iter().chain(FILES.iter().copied());
            let packed =
                all.map(|(name, media_type, text)| Ok((name, Packed::new(media_type, text.as_bytes())?)));
            let packed = packed.collect::<Result<_, Problem>>()?;
            PACKED.get_or_init(|| packed)
        }
    };
    let file = files.get(name).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such file"))?;
    file.answer(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The module paths that a script or the page names.
    fn named_in(text: &str) -> Vec<String> {
        text.split(['"', '\''])
            .filter(|word| word.starts_with("/web/") && !word.contains(' '))
            .map(|word| word.trim_start_matches("/web/").to_owned())
            .collect()
    }

    #[test]
    fn every_file_is_used_and_every_file_that_is_used_is_there() {
        let all: Vec<&str> = FILES.iter().map(|(name, _, _)| *name).collect();
        let used: Vec<String> =
            [PAGE].into_iter().chain(FILES.iter().map(|(_, _, text)| *text)).flat_map(named_in).collect();
        for name in &used {
            assert!(all.contains(&name.as_str()) || format!("/web/{name}") == CHARTS, "{name} is not there");
        }
        for name in all {
            assert!(used.iter().any(|used| used == name), "nobody uses {name}");
        }
    }

    #[test]
    fn the_page_asks_for_all_modules_at_once() {
        let preloaded = named_in(PAGE);
        for (name, media_type, _) in FILES {
            assert!(*media_type != SCRIPT || preloaded.iter().any(|it| it == name), "{name} comes late");
        }
    }

    #[test]
    fn nothing_is_asked_of_another_server() {
        for (name, _, text) in FILES.iter().chain([&("index.html", HTML, PAGE)]) {
            let foreign = text.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1:9470", "");
            assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{name}");
            assert!(!foreign.contains("innerHTML"), "{name}: what events say is text, not HTML");
        }
    }
}
