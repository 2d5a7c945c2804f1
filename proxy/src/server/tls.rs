//! [`Certificate`]: the certificate of the public listener, reloaded when its files change, and when
//! it ends.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use pingora::Result;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use prometheus::{IntGauge, Registry};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often the files' modification times are read; renewals replace them weeks before they
/// expire.
const CERTIFICATE_POLL_INTERVAL: Duration = Duration::from_secs(10);

use crate::config::TlsConfig;

/// The certificate that connections get.
pub struct Certificate {
    current: ArcSwap<LoadedCertificate>,
    /// When the current certificate ends, a Unix time; 0 where that is not known.
    expiry_gauge: IntGauge,
}

/// A certificate and key, and the files that they were loaded from.
pub struct LoadedCertificate {
    config: TlsConfig,
    certified: Arc<CertifiedKey>,
    modified_times: ModifiedTimes,
    not_after: Option<i64>,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: rustls::pki_types::pem::Error },
    #[error("{}: holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("{}: holds no private key in clear; one with a passphrase cannot be used", .0.display())]
    NoKey(PathBuf),
    #[error("{}: it is not the key of this certificate", .0.display())]
    KeyMismatch(PathBuf),
    #[error("{}: {error}", path.display())]
    Unusable { path: PathBuf, error: rustls::Error },
}

impl LoadedCertificate {
    /// # Errors
    /// A file cannot be read, holds no certificate, or the key does not belong to the certificate.
    pub fn load(config: &TlsConfig) -> Result<Self, CertificateError> {
        // Times are read before the content, so that a renewal in between is noticed later.
        let modified_times = read_modified_times(config);
        let certified = Arc::new(load_certified_key(config)?);
        let leaf: &[u8] = certified.cert.first().map_or(&[], |leaf| leaf.as_ref());
        let parsed = x509_parser::parse_x509_certificate(leaf).ok();
        let not_after = parsed.map(|(_, leaf)| leaf.validity().not_after.timestamp());
        Ok(Self { config: config.clone(), certified, modified_times, not_after })
    }

    /// When the certificate of the server itself ends, a Unix time in seconds. `None` where it does
    /// not say so in a form that is known here; clients may still take it.
    pub fn not_after(&self) -> Option<i64> {
        self.not_after
    }
}

impl Certificate {
    /// # Errors
    /// The gauge of the certificate's end is already registered in `registry`.
    pub fn new(loaded: LoadedCertificate, registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let expiry_gauge = IntGauge::new(
            "pitwall_certificate_expiry_timestamp_seconds",
            "When the certificate of [edge.tls] ends, a Unix time; 0: not known.",
        )?;
        registry.register(Box::new(expiry_gauge.clone()))?;
        expiry_gauge.set(loaded.not_after.unwrap_or(0));
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(loaded), expiry_gauge }))
    }

    pub fn replace(&self, loaded: LoadedCertificate) {
        self.expiry_gauge.set(loaded.not_after.unwrap_or(0));
        self.current.store(Arc::new(loaded));
    }

    /// The acceptor of a listener that offers HTTP/2 and HTTP/1.1 (ALPN).
    pub fn acceptor(self: &Arc<Self>) -> Result<Acceptor> {
        let mut settings = TlsSettings::intermediate("", "")?;
        settings.set_cert_resolver(self.clone());
        settings.enable_h2();
        Ok(settings.build())
    }

    /// Reloads the files whenever they change; files that cannot be used do not replace the current
    /// certificate. Never returns.
    pub async fn reload_on_change(&self) {
        let mut ticks = tokio::time::interval(CERTIFICATE_POLL_INTERVAL);
        let mut unusable = None;
        loop {
            ticks.tick().await;
            let current = self.current.load_full();
            let modified_times = read_modified_times(&current.config);
            if modified_times == current.modified_times || unusable == Some(modified_times) {
                continue;
            }
            match LoadedCertificate::load(&current.config) {
                Ok(loaded) => {
                    tracing::info!(cert = %loaded.config.cert.display(), "the certificate was reloaded");
                    // A change of the configuration may have replaced it meanwhile.
                    self.current.compare_and_swap(&current, Arc::new(loaded));
                    self.expiry_gauge.set(self.current.load().not_after.unwrap_or(0));
                }
                // Only one of the two files may be replaced yet: their next change is tried.
                Err(error) => {
                    unusable = Some(modified_times);
                    tracing::error!(%error, "the new certificate cannot be used, so the previous one stays: check both files")
                }
            }
        }
    }
}

/// Modification times of certificate and key; `None` for a file that cannot be read.
type ModifiedTimes = [Option<SystemTime>; 2];

fn read_modified_times(config: &TlsConfig) -> ModifiedTimes {
    [&config.cert, &config.key]
        .map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
}

fn load_certified_key(config: &TlsConfig) -> Result<CertifiedKey, CertificateError> {
    let unreadable =
        |path: &PathBuf, error| CertificateError::Unreadable { path: path.clone(), error };
    let unusable = |error| CertificateError::Unusable { path: config.key.clone(), error };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(&config.cert, error))?;
    if chain.is_empty() {
        return Err(CertificateError::Empty(config.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey(config.key.clone()),
        error => unreadable(&config.key, error),
    })?;
    let certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(unusable)?);
    match certified.keys_match() {
        // A key whose public part is unknown cannot be compared and may still match.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CertificateError::KeyMismatch(config.key.clone()))
        }
        Err(error) => Err(unusable(error)),
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().certified.clone())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cert = &self.current.load().config.cert;
        f.debug_struct("Certificate").field("cert", cert).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate that ends with the year.
    fn write(folder: &Path, name: &str, year: i32) -> Vec<u8> {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_after = date_time_ymd(year + 1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        fs::write(folder.join("cert.pem"), made.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        made.der().to_vec()
    }

    fn config(folder: &Path) -> TlsConfig {
        TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") }
    }

    fn current_certificate(certificate: &Certificate) -> Vec<u8> {
        certificate.current.load().certified.cert[0].to_vec()
    }

    /// Sets the files' modification times, so that they differ whatever the file system's
    /// resolution is.
    fn touch(folder: &Path, seconds: u64) {
        for name in ["cert.pem", "key.pem"] {
            let file = fs::File::options().write(true).open(folder.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), "first.test", 2029);
        touch(folder.path(), 1000);
        let loaded = LoadedCertificate::load(&config(folder.path())).unwrap();
        let certificate = Certificate::new(loaded, &Registry::new()).unwrap();
        let ends = || certificate.expiry_gauge.get();
        let reloaded = certificate.clone();
        tokio::spawn(async move { reloaded.reload_on_change().await });
        tokio::time::sleep(CERTIFICATE_POLL_INTERVAL * 2).await;
        assert!(current_certificate(&certificate) == first);
        assert_eq!(ends(), 1_893_456_000, "2030-01-01");

        fs::write(folder.path().join("cert.pem"), "half of a file").unwrap();
        touch(folder.path(), 2000);
        tokio::time::sleep(CERTIFICATE_POLL_INTERVAL * 2).await;
        assert!(current_certificate(&certificate) == first);

        let second = write(folder.path(), "second.test", 2039);
        touch(folder.path(), 3000);
        tokio::time::sleep(CERTIFICATE_POLL_INTERVAL * 2).await;
        assert!(current_certificate(&certificate) == second);
        assert_eq!(ends(), 2_208_988_800, "2040-01-01");
    }

    #[test]
    fn an_error_names_the_unusable_file() {
        let folder = tempfile::tempdir().unwrap();
        let load_error =
            || LoadedCertificate::load(&config(folder.path())).err().unwrap().to_string();
        assert!(load_error().contains("cert.pem: "), "{}", load_error());
        write(folder.path(), "a.test", 2029);
        let key = fs::read(folder.path().join("key.pem")).unwrap();
        write(folder.path(), "b.test", 2029);
        fs::write(folder.path().join("key.pem"), key).unwrap();
        assert!(load_error().contains("key.pem: it is not the key"), "{}", load_error());
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        fs::write(folder.path().join("key.pem"), encrypted).unwrap();
        assert!(load_error().contains("key.pem: holds no private key"), "{}", load_error());
        fs::write(folder.path().join("cert.pem"), "").unwrap();
        assert!(load_error().contains("holds no certificate"), "{}", load_error());
    }
}
