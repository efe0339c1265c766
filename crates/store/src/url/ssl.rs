//! What a URL says of TLS: `sslmode` and `sslrootcert`, as libpq means them.
//!
//! Where it says nothing the mode is `prefer`; with `sslrootcert=system` it is `verify-full`, and nothing less goes
//! with it, as every owner of any certificate of the world would pass. For the same reason `verify-ca` wants a file.
//! NOTE: libpq looks for `~/.postgresql/root.crt` where no file is given; here `verify-full` takes the platform's
//! authorities then.

use std::fmt;
use std::path::PathBuf;

use super::DatabaseUrlError;

/// How much TLS a URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// None.
    Disable,
    /// None, unless the server insists.
    Allow,
    /// What the server offers.
    Prefer,
    /// TLS with whoever answers; with `sslrootcert` the same as [`Self::VerifyCa`].
    Require,
    /// TLS with a server whose certificate an authority of `sslrootcert` has signed.
    VerifyCa,
    /// The same, and its certificate is made for the name of the host.
    VerifyFull,
}

/// A way to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Without TLS.
    Plain,
    /// With TLS if the server offers it.
    Offered,
    /// With TLS.
    Tls,
}

/// What to look at in a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    Nothing,
    Chain,
    ChainAndName,
}

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RootCert {
    /// The authorities that the platform trusts.
    Platform,
    /// Those in a file of PEM, and nobody else.
    File(PathBuf),
}

/// What a URL says of TLS; `None` is what it does not say.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Ssl {
    mode: Option<SslMode>,
    given_root_cert: Option<String>,
    root_cert: RootCert,
}

/// How `sslrootcert` names the platform's authorities.
const SYSTEM: &str = "system";

impl SslMode {
    const ALL: [Self; 6] =
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// As it is written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// What to try, in this order.
    pub(super) const fn channels(self) -> &'static [Channel] {
        match self {
            Self::Disable => &[Channel::Plain],
            Self::Allow => &[Channel::Plain, Channel::Tls],
            Self::Prefer => &[Channel::Offered, Channel::Plain],
            Self::Require | Self::VerifyCa | Self::VerifyFull => &[Channel::Tls],
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Ssl {
    /// Out of the two options. An empty file name is none, as with libpq.
    pub(super) fn of(mode: Option<&str>, root_cert: Option<&str>) -> Result<Self, DatabaseUrlError> {
        let problem = |problem| Err(DatabaseUrlError::Tls { problem });
        let known = |mode: &str| SslMode::ALL.into_iter().find(|known| known.as_str() == mode);
        let is_unknown = mode.is_some_and(|mode| known(mode).is_none());
        let (mode, given_root_cert) = (mode.and_then(known), root_cert.filter(|path| !path.is_empty()));
        let is_system = given_root_cert == Some(SYSTEM);
        let root_cert = match given_root_cert {
            None | Some(SYSTEM) => RootCert::Platform,
            Some(path) => RootCert::File(PathBuf::from(path)),
        };
        match mode {
            _ if is_unknown => {
                problem("sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full")
            }
            Some(mode) if is_system && mode != SslMode::VerifyFull => {
                problem("sslrootcert=system trusts half the world; only sslmode=verify-full goes with it")
            }
            Some(SslMode::VerifyCa) if root_cert == RootCert::Platform => problem(
                "sslmode=verify-ca needs sslrootcert=<file of the authority that signed the server's certificate>; \
                 for a certificate of a public authority use sslmode=verify-full",
            ),
            mode => Ok(Self { mode, given_root_cert: given_root_cert.map(str::to_owned), root_cert }),
        }
    }

    pub(super) fn mode(&self) -> SslMode {
        let is_system = self.given_root_cert.as_deref() == Some(SYSTEM);
        self.mode.unwrap_or(if is_system { SslMode::VerifyFull } else { SslMode::Prefer })
    }

    pub(super) fn verify(&self) -> Verify {
        match (self.mode(), &self.root_cert) {
            (SslMode::VerifyFull, _) => Verify::ChainAndName,
            (SslMode::VerifyCa, _) | (SslMode::Require, RootCert::File(_)) => Verify::Chain,
            _ => Verify::Nothing,
        }
    }

    pub(super) const fn root_cert(&self) -> &RootCert {
        &self.root_cert
    }

    pub(super) const fn given_mode(&self) -> Option<SslMode> {
        self.mode
    }

    pub(super) fn given_root_cert(&self) -> Option<&str> {
        self.given_root_cert.as_deref()
    }
}
