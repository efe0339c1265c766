//! From the parts back to a URL.

use std::fmt::Write;

use super::{DatabaseUrl, Server};

/// What stands in a printed URL for its password.
pub(super) const REDACTED: &str = "***";

/// The URL in its canonical form, with this for a password.
pub(super) fn url(url: &DatabaseUrl, password: Option<&str>) -> String {
    let mut out = format!("postgres://{}", Encoded(&url.user));
    match password {
        Some(REDACTED) => out.push_str(":***"),
        Some(password) => extend(&mut out, format_args!(":{}", Encoded(password))),
        None => {}
    }
    out.push('@');
    if url.is_tcp() {
        let host = url.server_name();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        extend(&mut out, format_args!("{host}:{}", url.port));
    }
    extend(&mut out, format_args!("/{}", Encoded(&url.database)));
    parameters(url, &mut out);
    out
}

fn parameters(url: &DatabaseUrl, out: &mut String) {
    let mut divider = '?';
    let mut put = |name: &str, value: &str| {
        // A slash needs no code here, and a directory reads better with it.
        let value = Encoded(value).to_string().replace("%2F", "/");
        extend(out, format_args!("{divider}{name}={value}"));
        divider = '&';
    };
    if let Server::Socket(directory) = &url.server {
        put("host", directory);
        put("port", &url.port.to_string());
    }
    if url.host_name.is_some() {
        put("hostaddr", url.server.as_str());
    }
    if let Some(options) = url.parsed.get_options() {
        put("options", options);
    }
    if let Some(name) = url.parsed.get_application_name() {
        put("application_name", name);
    }
    if let Some(timeout) = url.parsed.get_connect_timeout() {
        put("connect_timeout", &timeout.as_secs().to_string());
    }
    if let Some(mode) = url.ssl.given_mode() {
        put("sslmode", mode.as_str());
    }
    if let Some(root_cert) = url.ssl.given_root_cert() {
        put("sslrootcert", root_cert);
    }
}

fn extend(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = out.write_fmt(text);
}

/// Percent-encoded but for what RFC 3986 calls unreserved.
struct Encoded<'a>(&'a str);

impl std::fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for &byte in self.0.as_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}
