//! Who may ask: this machine, by one of its own names.
//!
//! A browser sends what any web page tells it to, also to an address of this machine. Two headers say where a request
//! comes from, and a page cannot change them: `Host`, which names the page's own server when its name was made to lead
//! here (DNS rebinding), and `Origin`, which names the page. Both must be loopback.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};

use crate::problem::Problem;

/// Refuses a request that was not meant for this machine, or that a page from elsewhere has made.
pub(crate) fn check(request: &Parts) -> Result<(), Problem> {
    let host = one(request, &HOST)?.ok_or_else(|| refused("there is no Host header"))?;
    let asked = request.uri.authority().map_or(host, |authority| authority.as_str());
    if !is_loopback(host) || !is_loopback(asked) {
        return Err(refused("the Host header is not localhost, 127.0.0.1 or [::1]"));
    }
    match one(request, &ORIGIN)? {
        Some(origin) if !origin_host(origin).is_some_and(is_loopback) => {
            Err(refused("the Origin header is not of this machine: web pages from elsewhere may not ask"))
        }
        _ => Ok(()),
    }
}

fn refused(why: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, format!("{why}; this server answers to its own machine alone"))
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
