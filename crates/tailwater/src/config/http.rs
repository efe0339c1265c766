//! The HTTP server: the settings `server.enabled`, `server.listen` and `server.rate`.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::meaning::{flag, required};
use super::raw::{ConfigError, RawConfig};

/// How the HTTP server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpServing {
    /// Where; port 0 is any that is free.
    pub listen: SocketAddr,
    /// How many events a second each client may send for long.
    pub rate: Option<NonZeroU32>,
}

impl HttpServing {
    /// Checks what was typed; `None` when nothing is to listen.
    pub(super) fn new(raw: &RawConfig) -> Result<Option<Self>, ConfigError> {
        let listen = required(raw, "server.listen", listen)?;
        let rate = required(raw, "server.rate", rate)?;
        Ok(required(raw, "server.enabled", flag)?.then_some(Self { listen, rate }))
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:9470"))?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    // IMPORTANT: who can reach the server can write to the log.
    Err(format!(
        "{text:?} is not of this machine alone: use 127.0.0.1 or [::1]; tokens, which other machines need, come in a \
         later version"
    ))
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
    fn only_this_machine_can_be_listened_to() {
        for text in ["127.0.0.1:9470", "127.0.0.1:0", "[::1]:80", "127.3.2.1:1"] {
            assert_eq!(listen(text).unwrap().to_string(), text);
        }
        for text in ["0.0.0.0:9470", "192.168.1.2:80", "[::]:9470"] {
            assert!(listen(text).unwrap_err().contains("tokens"), "{text}");
        }
        for text in ["", "9470", "localhost:9470", "127.0.0.1"] {
            assert!(listen(text).unwrap_err().contains("not an address"), "{text}");
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
