//! TLS as libpq's `sslmode` means it: which certificates pass, and what a person is told about one that does not.
//!
//! | mode | chain | name |
//! | --- | --- | --- |
//! | allow, prefer, require | not looked at | not looked at |
//! | require with sslrootcert, verify-ca | leads to an authority of sslrootcert | not looked at |
//! | verify-full | leads to an authority of sslrootcert, else of the platform | one of the certificate's |
//!
//! Where sslrootcert names a file, nobody else is trusted. The file may hold the server's own certificate, signed by
//! itself, as with libpq. A name counts when it is in the certificate's subjectAltName; the common name alone does not.

use std::path::Path;
use std::sync::Arc;

use projector::ErrorKind;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::der::Decode;

use super::dial::Failure;
use crate::url::{DatabaseUrl, RootCert, Verify};

/// What a TLS session with this server must satisfy.
pub(super) fn client_config(url: &DatabaseUrl) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let verify = url.verify();
    let roots = match verify {
        Verify::Nothing => Roots { authorities: RootCertStore::empty(), own: Vec::new() },
        Verify::Chain | Verify::ChainAndName => roots(url.root_cert())?,
    };
    let verifier = Arc::new(Verifier { verify, roots, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Failure::of_tls(ErrorKind::Fatal, format!("TLS: {error}")))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Who is trusted.
#[derive(Debug)]
struct Roots {
    authorities: RootCertStore,
    /// Certificates that a file of the user's holds. webpki takes none of an authority for that of a server, also
    /// not where the two are the same.
    own: Vec<CertificateDer<'static>>,
}

/// NOTE: read at every connect, so that a file that was renewed is seen.
fn roots(root_cert: &RootCert) -> Result<Roots, Failure> {
    let (own, platform, place) = match root_cert {
        RootCert::File(path) => (read(path)?, Vec::new(), format!("sslrootcert={}", path.display())),
        RootCert::Platform => {
            // What cannot be read of a platform's store is missing from it; an empty one is told below.
            let platform = rustls_native_certs::load_native_certs().certs;
            (Vec::new(), platform, "the platform's store".to_owned())
        }
    };
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(own.iter().cloned().chain(platform));
    if authorities.is_empty() {
        return Err(unusable(&place, "it holds no certificate (PEM)"));
    }
    Ok(Roots { authorities, own })
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let place = || format!("sslrootcert={}", path.display());
    let text = std::fs::read(path).map_err(|error| unusable(&place(), &error.to_string()))?;
    let certificates: Result<_, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates.map_err(|error| unusable(&place(), &error.to_string()))
}

fn unusable(place: &str, why: &str) -> Failure {
    let advice = "set sslrootcert to the file of the authority that signed the server's certificate";
    Failure::of_tls(ErrorKind::Fatal, format!("{place} cannot be used: {why}; {advice}"))
}

/// The one judge of a server's certificate.
#[derive(Debug)]
struct Verifier {
    verify: Verify,
    roots: Roots,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verify != Verify::Nothing {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            if self.roots.own.iter().any(|own| own == end_entity) {
                is_valid_at(end_entity, now)?;
            } else {
                verify_server_cert_signed_by_trust_anchor(
                    &certificate,
                    &self.roots.authorities,
                    intermediates,
                    now,
                    self.provider.signature_verification_algorithms.all,
                )?;
            }
            if self.verify == Verify::ChainAndName {
                verify_server_name(&certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    // IMPORTANT: also where no chain is looked at, the server proves that it has the certificate's key. Channel
    // binding, and so a password that nobody in between can use, rests on it.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate that is trusted by itself is of this time.
fn is_valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate.validity;
    let [from, to] = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
    match now.as_secs() {
        now if now < from => Err(CertificateError::NotValidYet),
        now if now > to => Err(CertificateError::Expired),
        _ => Ok(()),
    }
}

/// The server said no to TLS, and the mode insists.
pub(super) fn not_offered(url: &DatabaseUrl) -> Failure {
    let message = format!(
        "sslmode={}: the server offers no TLS; turn it on there (ssl = on), or use sslmode=prefer over a network \
         that you trust",
        url.ssl_mode()
    );
    Failure::of_tls(ErrorKind::Fatal, message)
}

/// A handshake that did not end well.
pub(super) fn handshake_failed(url: &DatabaseUrl, error: &std::io::Error) -> Failure {
    let mode = url.ssl_mode();
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let (kind, told) = match tls {
        Some(Error::InvalidCertificate(why)) => (ErrorKind::Fatal, problem(url, why)),
        Some(error @ (Error::AlertReceived(_) | Error::PeerIncompatible(_))) => (
            ErrorKind::Fatal,
            format!("the server and we agree on no TLS ({error}); look at its ssl_* settings"),
        ),
        _ => (ErrorKind::Retry, format!("TLS handshake: {error}")),
    };
    Failure::of_tls(kind, format!("sslmode={mode}: {told}"))
}

/// What is wrong with a certificate, and the way out.
fn problem(url: &DatabaseUrl, why: &CertificateError) -> String {
    use CertificateError as E;
    let host = url.server_name();
    match why {
        E::UnknownIssuer | E::BadSignature => format!(
            "the server's certificate is not signed by an authority of {}; set sslrootcert to the file of the \
             authority that signed it",
            authorities(url)
        ),
        E::NotValidForName | E::NotValidForNameContext { .. } => format!(
            "the server's certificate is not made for the name {host}; use a name that it is made for, or \
             sslmode=verify-ca with sslrootcert, which does not look at names"
        ),
        E::Expired | E::ExpiredContext { .. } => {
            format!("the server's certificate has expired ({why}); renew it on the server")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            format!("the server's certificate is not valid yet ({why}); look at the clocks of both machines")
        }
        _ => format!("the server's certificate cannot be verified ({why}); give the server one that can"),
    }
}

fn authorities(url: &DatabaseUrl) -> String {
    match url.root_cert() {
        RootCert::File(path) => format!("sslrootcert={}", path.display()),
        RootCert::Platform => "the platform's store".to_owned(),
    }
}
