//! The HTTP server: the settings `server.*`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use server::Tokens;

use super::meaning::{flag, names, optional, required};
use super::raw::{ConfigError, RawConfig};

/// How the HTTP server listens, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpServing {
    /// Where; port 0 is any that is free.
    pub listen: SocketAddr,
    /// How many events a second each client may send for long.
    pub rate: Option<NonZeroU32>,
    /// The tokens that are good; those of the file come to them.
    pub tokens: Tokens,
    /// A file with tokens.
    pub token_file: Option<PathBuf>,
    /// What makes connections private.
    pub tls: Option<TlsFiles>,
    /// Web pages from elsewhere that may ask and send.
    pub cors_origins: Vec<String>,
}

/// The files of a certificate, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with what leads to its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl HttpServing {
    /// Checks what was typed; `None` when nothing is to listen.
    pub(super) fn new(raw: &RawConfig) -> Result<Option<Self>, ConfigError> {
        let tokens =
            optional(raw, "server.tokens", |text| Tokens::parse(text).map_err(|error| error.to_string()))?;
        let path = |key| optional(raw, key, |text| Ok(PathBuf::from(text)));
        let token_file = path("server.token_file")?;
        let tokens = tokens.unwrap_or_default();
        let has_tokens = token_file.is_some() || !tokens.is_empty();
        let serving = Self {
            listen: required(raw, "server.listen", |text| listen(text, has_tokens))?,
            rate: required(raw, "server.rate", rate)?,
            tokens,
            token_file,
            tls: tls(raw, path("server.tls_cert")?, path("server.tls_key")?)?,
            cors_origins: required(raw, "server.cors_origins", origins)?,
        };
        Ok(required(raw, "server.enabled", flag)?.then_some(serving))
    }
}

fn listen(text: &str, has_tokens: bool) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:9470"))?;
    if has_tokens || address.ip().is_loopback() {
        return Ok(address);
    }
    // IMPORTANT: who can reach the server can write to the log.
    Err(format!(
        "{text:?} can be reached by other machines, and there is no token: set server.token_file or \
         TAILWATER_SERVER_TOKENS, or use 127.0.0.1 or [::1]"
    ))
}

fn tls(
    raw: &RawConfig,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, ConfigError> {
    let lonely = |it: &'static str, other: &str| {
        let problem = format!("is set, and {other} is not: https needs both");
        required(raw, it, |_| Err::<Option<TlsFiles>, _>(problem.clone()))
    };
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (Some(_), None) => lonely("server.tls_cert", "server.tls_key"),
        (None, Some(_)) => lonely("server.tls_key", "server.tls_cert"),
        (None, None) => Ok(None),
    }
}

/// Origins as browsers send them: a scheme, a host, perhaps a port, and nothing else.
fn origins(text: &str) -> Result<Vec<String>, String> {
    let origins = names(text);
    let is_origin = |origin: &String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let is_host = |host: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
            !host.is_empty()
                && host.bytes().all(is_part)
                && !host.bytes().any(|byte| byte.is_ascii_uppercase())
        };
        host.is_some_and(is_host)
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(bad) => Err(format!(
            "{bad:?} is not an origin such as https://grafana.example.com: scheme, host in small letters, perhaps a port"
        )),
        None => Ok(origins),
    }
}

fn rate(text: &str) -> Result<Option<NonZeroU32>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{text:?} is neither none nor a whole number of events a second, from 1 on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_this_machine_can_be_listened_to() {
        for text in ["127.0.0.1:9470", "127.0.0.1:0", "[::1]:80", "127.3.2.1:1"] {
            assert_eq!(listen(text, false).unwrap().to_string(), text);
        }
        for text in ["0.0.0.0:9470", "192.168.1.2:80", "[::]:9470"] {
            assert!(listen(text, false).unwrap_err().contains("there is no token"), "{text}");
            assert_eq!(listen(text, true).unwrap().to_string(), text);
        }
        for text in ["", "9470", "localhost:9470", "127.0.0.1"] {
            assert!(listen(text, true).unwrap_err().contains("not an address"), "{text}");
        }
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        assert_eq!(origins(""), Ok(Vec::new()));
        let two = "https://grafana.example.com, http://10.0.0.1:3000";
        assert_eq!(origins(two).unwrap(), ["https://grafana.example.com", "http://10.0.0.1:3000"]);
        for bad in ["*", "grafana.example.com", "https://", "https://a/", "https://A.b", "ftp://a", "null"] {
            assert!(origins(bad).unwrap_err().contains("is not an origin"), "{bad}");
        }
    }

    #[test]
    fn a_rate_is_a_number_or_none() {
        assert_eq!((rate("none"), rate("1")), (Ok(None), Ok(Some(NonZeroU32::MIN))));
        for text in ["", "0", "-1", "1.5", "many", "5000000000"] {
            assert!(rate(text).unwrap_err().contains("neither none nor"), "{text}");
        }
    }
}
