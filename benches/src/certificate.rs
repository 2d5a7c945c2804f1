//! What contenders with TLS show, and who believes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};

/// The name in it.
pub(crate) const NAME: &str = "localhost";

pub(crate) struct Certificate {
    /// PEM files.
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// A client that believes this one and no other.
    pub(crate) client: Arc<ClientConfig>,
}

impl Certificate {
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([NAME.to_owned()]).context("making a certificate")?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let files = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&files.0, cert.pem())?;
        std::fs::write(&files.1, signing_key.serialize_pem())?;
        Ok(Self { cert: files.0, key: files.1, client: Arc::new(client) })
    }
}
