//! What the libraries get of a [`Config`], at the start and at every reload.

use pitwall_control_plane::{ControlPlaneSettings, Webhook};
use pitwall_proxy::server::ListenError;

use crate::config::{Config, ConfigError};
use crate::secret::AdminToken;

/// The sections that configure the edge.
pub(crate) fn proxy_config(config: &Config) -> pitwall_proxy::Config {
    pitwall_proxy::Config {
        edge: config.edge.clone(),
        access: config.access.clone(),
        upstream: config.upstream.clone(),
    }
}

/// The part of a configuration that a control plane follows while it runs.
///
/// # Errors
/// A webhook's secret or the admin token cannot be used.
pub(crate) fn control_settings(
    config: Config,
    token: &AdminToken,
) -> Result<ControlPlaneSettings, ConfigError> {
    let Config { schedule, sources, rank, control, webhooks, key_locations, source_files, .. } =
        config;
    let webhooks = webhooks.into_iter().enumerate().map(|(n, webhook)| {
        Webhook::load(webhook).map_err(|error| {
            let why = format!("{}: {}", error.path.display(), error.why);
            key_locations.error_for_key(&format!("webhook.{n}.secret_file"), why)
        })
    });
    let webhooks = webhooks.collect::<Result<_, _>>()?;
    let admin_token = token.command_token()?;
    let edit_files = control.edit_files.0;
    Ok(ControlPlaneSettings {
        schedule,
        sources,
        rank,
        webhooks,
        source_files,
        edit_files,
        admin_token,
    })
}

/// The locations of the keys in `[edge.tls]`, for errors that occur after the configuration was
/// consumed. Holds the key file's path and a template error for `cert` and for `key`; `None`
/// without TLS.
pub(crate) struct TlsSettingLocations(Option<(std::path::PathBuf, [ConfigError; 2])>);

impl TlsSettingLocations {
    pub(crate) fn of(config: &Config) -> Self {
        let tls = config.edge.tls.as_ref();
        Self(tls.map(|tls| {
            let error_for = |key| config.key_locations.error_for_key(key, "");
            (tls.key.clone(), [error_for("edge.tls.cert"), error_for("edge.tls.key")])
        }))
    }

    /// The error with the location of the key that it is about.
    pub(crate) fn config_error(self, error: &ListenError) -> ConfigError {
        let text = error.to_string();
        let Some((key, [cert_error, key_error])) = self.0 else {
            return ConfigError::new("edge", text);
        };
        let text = text.strip_prefix("edge.tls: ").unwrap_or(&text).to_owned();
        let is_about_key = text.starts_with(&format!("{}:", key.display()));
        let error = if is_about_key { key_error } else { cert_error };
        error.with_message(text)
    }
}
