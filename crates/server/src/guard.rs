//! Who may ask: this machine, by one of its own names; with tokens, whoever has one.
//!
//! A browser sends what any web page tells it to, also to an address of this machine. Two headers say where a request
//! comes from, and a page cannot change them: `Host`, which names the page's own server when its name was made to lead
//! here (DNS rebinding), and `Origin`, which names the page. Both must be loopback. With tokens the server may have any
//! name: a page that was made to look like ours has no token to send. A page from elsewhere is refused all the same,
//! for a browser may know a password that a page does not, unless the page's origin is one of those that were set.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};

use crate::problem::Problem;
use crate::tokens::Tokens;

/// Who may ask and send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Those who have one of these; without any, this machine alone.
    pub tokens: Tokens,
    /// Web pages from elsewhere that may, such as `https://grafana.example.com`; each is compared as a whole.
    pub cors_origins: Vec<String>,
}

/// Refuses a request that was not meant for this server, that a page from elsewhere has made, or that has not the token
/// it needs.
pub(crate) fn check(request: &Parts, access: &Access) -> Result<(), Problem> {
    let host = one(request, &HOST)?.ok_or_else(|| refused("there is no Host header"))?;
    let asked = request.uri.authority().map_or(host, |authority| authority.as_str());
    let is_open = access.tokens.is_empty();
    if is_open && (!is_loopback(host) || !is_loopback(asked)) {
        let why = "the Host header is not localhost, 127.0.0.1 or [::1]";
        return Err(refused(&format!("{why}; this server answers to its own machine alone")));
    }
    if let Some(origin) = one(request, &ORIGIN)? {
        let page = origin_host(origin);
        let is_ours =
            page.is_some_and(|page| is_loopback(page) || !is_open && page.eq_ignore_ascii_case(host));
        if !is_ours && !access.cors_origins.iter().any(|known| known == origin) {
            let why = "the Origin header is not of this machine: web pages from elsewhere may not ask";
            return Err(refused(&format!("{why}, unless server.cors_origins names them")));
        }
    }
    if is_open { Ok(()) } else { access.tokens.check(request).map_err(Problem::from) }
}

fn refused(why: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, why)
}

/// The header's value, when it is there once.
fn one<'a>(request: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(&format!("there are several {name} headers")));
    }
    value.to_str().map(Some).map_err(|_| refused(&format!("the {name} header is no text")))
}

fn origin_host(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// Whether a host, with a port or without, is this machine by a name that nobody else can give away.
fn is_loopback(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return is_port(port) && address.parse().is_ok_and(|it: Ipv6Addr| it.is_loopback());
    }
    let (name, port) = host.find(':').map_or((host, ""), |colon| host.split_at(colon));
    let is_ours = || name.parse().is_ok_and(|it: Ipv4Addr| it.is_loopback());
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || is_ours())
}

/// Whether this is nothing, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_few_names() {
        for host in
            ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:9470", "127.9.9.9:1", "[::1]", "[::1]:9470"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "127.0.0.1:",
            "127.0.0.1:http",
            "127.0.0.1:99999",
            "10.0.0.1",
            "0.0.0.0",
            "128.0.0.1",
            "[::]",
            "[::1",
            "[::1]x",
            "[fe80::1]:80",
            "::1",
            "user@localhost",
            "localhost/",
            "127.1",
            "2130706433",
            "example.com:9470",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
