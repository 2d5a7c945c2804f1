//! [`TestCertificate`]: the self-signed certificate of contenders with TLS, and a client that
//! trusts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};

/// The DNS name in the certificate.
pub(crate) const SERVER_NAME: &str = "localhost";

pub(crate) struct TestCertificate {
    /// The certificate, a PEM file.
    pub(crate) cert_path: PathBuf,
    /// Its private key, a PEM file.
    pub(crate) key_path: PathBuf,
    /// TLS settings of a client that trusts this certificate and no other.
    pub(crate) client_config: Arc<ClientConfig>,
}

impl TestCertificate {
    /// Generates a certificate and writes its files into `directory`.
    pub(crate) fn generate(directory: &Path) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([SERVER_NAME.to_owned()])
                .context("making a certificate")?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (cert_path, key_path) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&cert_path, cert.pem())?;
        std::fs::write(&key_path, signing_key.serialize_pem())?;
        Ok(Self { cert_path, key_path, client_config: Arc::new(client) })
    }
}
