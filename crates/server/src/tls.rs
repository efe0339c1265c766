//! TLS for the server's connections, from a certificate and a key in files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What makes connections private, and tells clients who answers.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// A certificate or a key that cannot be used. It never shows a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("cannot read {what} from {}: {problem}", path.display())]
    File {
        /// `a certificate` or `a private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// They are no pair, or of a kind that is not known.
    #[error("the certificate {} and the key {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a certificate with what leads to its authority, and its key, both PEM.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn of_files(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let unread = |what, path: &Path| {
            let path = path.to_owned();
            move |error: pem::Error| TlsError::File { what, path, problem: told(&error) }
        };
        let certs = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certs = certs.map_err(unread("a certificate", cert))?;
        if certs.is_empty() {
            return Err(unread("a certificate", cert)(pem::Error::NoItemsFound));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(unread("a private key", key))?;
        let pair = |source| TlsError::Pair { cert: cert.to_owned(), key: key.to_owned(), source };
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(pair)?;
        let mut config = builder.with_no_client_auth().with_single_cert(certs, private).map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        let Self(acceptor) = self;
        acceptor
    }
}

fn told(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        pem::Error::Io(error) => io::Error::to_string(error),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_told_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let pair = |name: &str| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            (file(&format!("{name}.crt"), &cert), file(&format!("{name}.key"), &key))
        };
        let (cert, key) = pair("one");
        assert!(Tls::of_files(&cert, &key).is_ok());
        let check = |cert: &Path, key: &Path, says: &str| {
            let told = Tls::of_files(cert, key).err().unwrap().to_string();
            assert!(told.contains(says) && !told.contains('\n') && !told.contains("BEGIN"), "{told}");
        };
        let (_, other) = pair("other");
        let (empty, absent) = (file("empty", "no PEM\n"), dir.path().join("absent"));
        check(&cert, &other, "cannot be used together");
        check(&empty, &key, "cannot read a certificate from");
        check(&cert, &empty, "there is none in it");
        check(&absent, &key, "No such file");
        check(&cert, &absent, "cannot read a private key from");
    }
}
