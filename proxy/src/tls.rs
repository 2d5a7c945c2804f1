//! The listener's certificate, read again when its files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use pingora::Result;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;

/// Renewal replaces files weeks before it matters.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// `[edge.tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM: the certificate, then what leads to its issuer.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// What the listener shows, and where it came from.
pub struct Certificate {
    config: TlsConfig,
    current: ArcSwap<CertifiedKey>,
    /// When the files that were loaded first were written.
    loaded: Modified,
}

#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: rustls::pki_types::pem::Error },
    #[error("{}: holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("{}: {error}", path.display())]
    Unusable { path: PathBuf, error: rustls::Error },
}

impl Certificate {
    pub fn load(config: &TlsConfig) -> Result<Arc<Self>, BadCertificate> {
        // Looked at before it is read: a renewal in between is then seen as one.
        let loaded = modified(config);
        let current = ArcSwap::from_pointee(read(config)?);
        Ok(Arc::new(Self { config: config.clone(), current, loaded }))
    }

    /// For a listener that offers HTTP/2 and HTTP/1.1.
    pub fn acceptor(self: &Arc<Self>) -> Result<Acceptor> {
        let mut settings = TlsSettings::intermediate("", "")?;
        settings.set_cert_resolver(self.clone());
        settings.enable_h2();
        Ok(settings.build())
    }

    /// Reads the files again whenever they change. What cannot be used replaces nothing.
    pub async fn follow(&self) {
        let mut seen = self.loaded;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let modified = modified(&self.config);
            if modified == seen {
                continue;
            }
            match read(&self.config) {
                Ok(read) => {
                    tracing::info!(cert = %self.config.cert.display(), "certificate read again");
                    self.current.store(Arc::new(read));
                    seen = modified;
                }
                // Perhaps only one of the two files is there yet: looked at again.
                Err(error) => tracing::error!(%error, "the new certificate cannot be used"),
            }
        }
    }
}

type Modified = [Option<SystemTime>; 2];

fn modified(config: &TlsConfig) -> Modified {
    [&config.cert, &config.key]
        .map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
}

fn read(config: &TlsConfig) -> Result<CertifiedKey, BadCertificate> {
    let unreadable =
        |path: &PathBuf, error| BadCertificate::Unreadable { path: path.clone(), error };
    let unusable = |error| BadCertificate::Unusable { path: config.key.clone(), error };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(&config.cert, error))?;
    if chain.is_empty() {
        return Err(BadCertificate::Empty(config.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|error| unreadable(&config.key, error))?;
    let certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(unusable)?);
    match certified.keys_match() {
        // What cannot be compared may still be a pair; a handshake will tell.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(error) => Err(unusable(error)),
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.config.cert).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::generate_simple_self_signed;

    use super::*;

    fn write(folder: &Path, name: &str) -> Vec<u8> {
        let made = generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn config(folder: &Path) -> TlsConfig {
        TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") }
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        certificate.current.load().cert[0].to_vec()
    }

    /// Makes the files' times differ whatever the file system's resolution is.
    fn touch(folder: &Path, seconds: u64) {
        for name in ["cert.pem", "key.pem"] {
            let file = fs::File::options().write(true).open(folder.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), "first.test");
        touch(folder.path(), 1000);
        let certificate = Certificate::load(&config(folder.path())).unwrap();
        let followed = certificate.clone();
        tokio::spawn(async move { followed.follow().await });
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(shown(&certificate) == first);

        fs::write(folder.path().join("cert.pem"), "half of a file").unwrap();
        touch(folder.path(), 2000);
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(shown(&certificate) == first);

        let second = write(folder.path(), "second.test");
        touch(folder.path(), 3000);
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(shown(&certificate) == second);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || Certificate::load(&config(folder.path())).err().unwrap().to_string();
        assert!(refused().contains("cert.pem: "), "{}", refused());
        write(folder.path(), "a.test");
        let key = fs::read(folder.path().join("key.pem")).unwrap();
        write(folder.path(), "b.test");
        fs::write(folder.path().join("key.pem"), key).unwrap();
        assert!(refused().contains("key.pem: "), "{}", refused());
        fs::write(folder.path().join("cert.pem"), "").unwrap();
        assert!(refused().contains("holds no certificate"), "{}", refused());
    }
}
