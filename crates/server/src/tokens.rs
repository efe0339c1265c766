//! Tokens: who may ask and who may send, where more than this machine can reach the server.
//!
//! A token comes as `Authorization: Bearer TOKEN`, or as the password of `Authorization: Basic`, which is what a browser
//! asks people for; the name beside it does not matter.

use std::fmt;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::problem::Problem;

/// Shorter ones can be guessed.
const BYTES_MIN: usize = 16;
/// Longer ones do not fit a header with room to spare.
const BYTES_MAX: usize = 1_024;
/// The path that tells nothing but that somebody listens.
const OPEN: &str = "/healthz";

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To ask: every `GET`.
    Read,
    /// To send: every `POST`.
    Write,
}

/// The tokens that are known, as hashes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<(Scope, [u8; 32])>);

/// IMPORTANT: neither tokens nor their hashes are ever shown.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(known) = self;
        write!(f, "Tokens({} known)", known.len())
    }
}

/// A list of tokens that is none. It never shows a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token {number}: {problem}")]
pub struct TokensError {
    /// Which of the list, from 1.
    pub number: usize,
    /// What is wrong with it, and what it must be.
    pub problem: String,
}

impl Tokens {
    /// Reads tokens, `read:TOKEN` or `write:TOKEN`, with commas or line ends between them. Lines that begin with `#` and
    /// empty ones are skipped.
    ///
    /// # Errors
    /// The first that has no scope, or is shorter than 16 or longer than 1,024 characters, or is not of visible ASCII.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let words = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty());
        let token =
            |(number, word): (usize, &str)| token(word).map_err(|problem| TokensError { number, problem });
        (1..).zip(words).map(token).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of both.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Refuses a request whose token is not good for it.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), Unauthorized> {
        // NOTE: a browser asks without a token whether it may send one.
        if request.uri.path() == OPEN || request.method == Method::OPTIONS {
            return Ok(());
        }
        let token = presented(request).ok_or(Unauthorized::NoToken)?;
        let wanted = if request.method == Method::POST { Scope::Write } else { Scope::Read };
        let (mut is_known, mut is_good) = (false, false);
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // NOTE: all are compared, each in the same time: how long it takes tells nothing of any of them.
        for (scope, known) in &self.0 {
            let is_equal = bool::from(known.ct_eq(&hash));
            is_known |= is_equal;
            is_good |= is_equal & (*scope == wanted);
        }
        match (is_good, is_known) {
            (true, _) => Ok(()),
            (false, true) => Err(Unauthorized::OtherScope(wanted)),
            (false, false) => Err(Unauthorized::Unknown),
        }
    }
}

fn token(word: &str) -> Result<(Scope, [u8; 32]), String> {
    let (scope, token) = word.split_once(':').unwrap_or(("", word));
    let scope = match scope.trim() {
        "read" => Scope::Read,
        "write" => Scope::Write,
        _ => return Err("has no scope: write read:TOKEN or write:TOKEN".to_owned()),
    };
    let token = token.trim();
    if !(BYTES_MIN..=BYTES_MAX).contains(&token.len()) {
        let bytes = token.len();
        return Err(format!(
            "has {bytes} characters, and needs {BYTES_MIN} to {BYTES_MAX}: `openssl rand -hex 32` makes one"
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a character that no header can hold: use letters and digits".to_owned());
    }
    Ok((scope, Sha256::digest(token.as_bytes()).into()))
}

/// The token of a request.
fn presented(request: &Parts) -> Option<String> {
    let value = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        return decoded.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

/// Why a token is not good for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unauthorized {
    /// There is none.
    NoToken,
    /// Nobody knows it.
    Unknown,
    /// It is good for other requests only.
    OtherScope(Scope),
}

impl From<Unauthorized> for Problem {
    fn from(why: Unauthorized) -> Self {
        let (status, detail) = match why {
            Unauthorized::NoToken => {
                (StatusCode::UNAUTHORIZED, "this server wants a token: send Authorization: Bearer TOKEN")
            }
            Unauthorized::Unknown => {
                (StatusCode::UNAUTHORIZED, "the token is not one that this server knows")
            }
            Unauthorized::OtherScope(Scope::Read) => {
                (StatusCode::FORBIDDEN, "the token may send and not ask: its scope is write")
            }
            Unauthorized::OtherScope(Scope::Write) => {
                (StatusCode::FORBIDDEN, "the token may ask and not send: its scope is read")
            }
        };
        Self::new(status, detail)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const READ: &str = "reads-0123456789";
    const WRITE: &str = "write-0123456789";

    fn request(method: &str, path: &str, authorization: Option<&str>) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_token_is_good_for_its_scope() {
        let tokens =
            Tokens::parse(&format!("# ours\nread:{READ}\n\n write:{WRITE} , read:another-token-of-us\n"))
                .unwrap();
        let check = |method: &str, authorization: Option<&str>, expected: Result<(), Unauthorized>| {
            assert_eq!(
                tokens.check(&request(method, "/api/live", authorization)),
                expected,
                "{authorization:?}"
            );
        };
        let bearer = |token: &str| format!("Bearer {token}");
        check("GET", Some(&bearer(READ)), Ok(()));
        check("HEAD", Some(&bearer(READ)), Ok(()));
        check("POST", Some(&bearer(WRITE)), Ok(()));
        check("GET", Some("bearer  another-token-of-us"), Ok(()));
        check("GET", Some(&bearer(WRITE)), Err(Unauthorized::OtherScope(Scope::Read)));
        check("POST", Some(&bearer(READ)), Err(Unauthorized::OtherScope(Scope::Write)));
        let basic = format!("Basic {}", STANDARD.encode(format!("me:{READ}")));
        check("GET", Some(&basic), Ok(()));
        for none in ["", "Bearer", "Token x", READ, "Basic !", "Basic cmVhZA=="] {
            check("GET", Some(none), Err(Unauthorized::NoToken));
        }
        check("GET", None, Err(Unauthorized::NoToken));
        for unknown in ["x", &READ[..15], "reads-012345678901", "", "ä"] {
            check(
                "GET",
                Some(&format!("Basic {}", STANDARD.encode(format!("me:{unknown}")))),
                Err(Unauthorized::Unknown),
            );
        }
        assert_eq!(tokens.check(&request("GET", "/healthz", None)), Ok(()));
        assert_eq!(tokens.check(&request("GET", "/healthz/x", None)), Err(Unauthorized::NoToken));
    }

    #[test]
    fn what_is_no_token_is_told_by_its_number_and_never_shown() {
        let check = |text: &str, expected: &str| {
            let told = Tokens::parse(text).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
            assert!(!told.contains("sekret"), "{told}");
        };
        check(&format!("read:{READ},sekret-0123456789"), "token 2: has no scope");
        check("admin:sekret-0123456789", "token 1: has no scope");
        check("read:sekret", "token 1: has 6 characters, and needs 16 to 1024");
        check("read:sekret 0123456789", "token 1: has a character that no header can hold");
        assert!(Tokens::parse(" \n# read:x\n").unwrap().is_empty());
        let tokens = Tokens::parse(&format!("read:{READ}")).unwrap();
        assert_eq!(format!("{:?}", tokens.and(Tokens::default())), "Tokens(1 known)");
    }
}
