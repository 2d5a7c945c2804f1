//! Reading of maps: entries are accepted only together, as they were published.

use redis::aio::MultiplexedConnection;

use super::StoreError;
use super::baseline::{Baseline, DIGEST_FIELD, MapDigest, VERSION_FIELD};
use super::entries;
use super::own_edge::MapOrigin;
use super::record_compression::decompress;
use super::redis::RedisStore;
use super::redis_scripts::WriteMode;
use crate::map::UpstreamMap;

/// State of reading over one connection.
pub(super) struct MapReadState {
    pub(super) connection: MultiplexedConnection,
    /// Sealed digest of the last rejected map, so that it is read and logged only once.
    pub(super) rejected_digest: Option<Vec<u8>>,
}

/// Why the stored map was rejected; the current map stays.
#[derive(Debug, thiserror::Error)]
enum MapRejection {
    #[error("nothing is stored")]
    Empty,
    #[error("an entry cannot be used: {0}")]
    Damaged(String),
    /// The digest, which is written with each map, cannot be opened, so not just one entry is
    /// damaged.
    #[error("the map is sealed with another key than {0}")]
    WrongKey(String),
    #[error("version {stored} is older than {held}, which is held")]
    Outdated { stored: u64, held: u64 },
}

impl RedisStore {
    /// Reads the changed fields onto the current map. `false` if the result is not the published
    /// map.
    pub(super) async fn read_delta(
        &self,
        session: &mut MapReadState,
        current: &UpstreamMap,
        mut baseline: Baseline,
        fields: &[String],
    ) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.keys.map).arg(VERSION_FIELD).arg(DIGEST_FIELD).arg(fields);
        let reply: Vec<Option<Vec<u8>>> = command.query_async(&mut session.connection).await?;
        let [version, digest, values @ ..] = reply.as_slice() else { return Ok(false) };
        let Some(stored) = StoredDigest::from_fields(version.as_deref(), digest.as_deref()) else {
            return Ok(false);
        };
        let mut map = current.clone();
        for (field, sealed) in fields.iter().zip(values) {
            match sealed {
                Some(sealed)
                    if self.apply_sealed_entry(&mut map, &mut baseline, field, sealed).is_err() =>
                {
                    return Ok(false);
                }
                Some(_) => {}
                None => {
                    entries::remove_entry(&mut map, field);
                    baseline.remove(field);
                }
            }
        }
        if self.install_if_verified(map, baseline, stored).is_err() {
            return Ok(false);
        }
        self.metrics.reads.with_label_values(&["delta"]).inc();
        Ok(true)
    }

    pub(super) async fn read_full(&self, session: &mut MapReadState) -> Result<(), StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&self.keys.map);
        let all: Vec<(String, Vec<u8>)> = command.query_async(&mut session.connection).await?;
        let value =
            |name| all.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice());
        let (version, digest) = (value(VERSION_FIELD), value(DIGEST_FIELD));
        let result = match StoredDigest::from_fields(version, digest) {
            Some(stored) => self.install_full(&all, stored),
            None if all.is_empty() => Err(MapRejection::Empty),
            None => Err(MapRejection::Damaged("it has no version or no head".to_owned())),
        };
        let digest_bytes = digest.unwrap_or_default().to_vec();
        match result {
            // The map was made here while Redis could not be reached, and is about to be written.
            Err(MapRejection::Outdated { .. }) if self.leads_own_edge_only() => {}
            Ok(()) => {
                session.rejected_digest = None;
                self.metrics.reads.with_label_values(&["whole"]).inc();
            }
            Err(_) if session.rejected_digest.as_ref() == Some(&digest_bytes) => {}
            Err(rejection) => {
                session.rejected_digest = Some(digest_bytes);
                self.log_rejection(&rejection);
                let is_damaged =
                    matches!(rejection, MapRejection::Damaged(_) | MapRejection::WrongKey(_));
                if is_damaged && self.current_map.fence.borrow().is_some() {
                    self.republish_map(WriteMode::Overwrite).await?;
                }
            }
        }
        Ok(())
    }

    fn install_full(
        &self,
        all: &[(String, Vec<u8>)],
        stored: StoredDigest<'_>,
    ) -> Result<(), MapRejection> {
        if self.cipher.open(DIGEST_FIELD, stored.sealed_digest).is_none() {
            return Err(MapRejection::WrongKey(self.key_file.clone()));
        }
        let mut map = UpstreamMap { version: stored.version, ..UpstreamMap::default() };
        let mut baseline = Baseline::default();
        for (field, sealed) in all {
            if field != VERSION_FIELD && field != DIGEST_FIELD {
                self.apply_sealed_entry(&mut map, &mut baseline, field, sealed)?;
            }
        }
        self.install_if_verified(map, baseline, stored)
    }

    fn apply_sealed_entry(
        &self,
        map: &mut UpstreamMap,
        baseline: &mut Baseline,
        field: &str,
        sealed: &[u8],
    ) -> Result<(), MapRejection> {
        let opened = self.cipher.open(field, sealed);
        let wrong_key = || format!("{field}: not sealed with {}", self.key_file);
        let opened = opened.ok_or_else(|| MapRejection::Damaged(wrong_key()))?;
        let plaintext = decompress(opened.plaintext);
        let is_known = entries::apply_entry(map, field, &plaintext)
            .map_err(|error| MapRejection::Damaged(error.to_string()))?;
        baseline.set(field, &plaintext, opened.uses_previous_key);
        if !is_known {
            baseline.mark_unsupported(field);
        }
        Ok(())
    }

    /// Installs the map if its entries match the stored digest.
    fn install_if_verified(
        &self,
        mut map: UpstreamMap,
        mut baseline: Baseline,
        stored: StoredDigest<'_>,
    ) -> Result<(), MapRejection> {
        let damaged = |why: &str| MapRejection::Damaged(why.to_owned());
        let digest = self
            .cipher
            .open(DIGEST_FIELD, stored.sealed_digest)
            .ok_or_else(|| MapRejection::WrongKey(self.key_file.clone()))?;
        let digest: MapDigest = serde_json::from_slice(&digest.plaintext)
            .map_err(|error| damaged(&error.to_string()))?;
        if digest != baseline.digest(stored.version) {
            return Err(damaged("head: these entries were not published together"));
        }
        map.version = stored.version;
        baseline.sealed_digest = stored.sealed_digest.to_vec();
        let outdated = |held| MapRejection::Outdated { stored: stored.version, held };
        let held = self.current_map.version();
        self.install_map(map, baseline).map_err(outdated)?;
        if held < stored.version && self.supersede_own_map() {
            self.set_map_origin(MapOrigin::Store);
            self.step_down("another control plane has published a map");
        }
        Ok(())
    }

    fn log_rejection(&self, refused: &MapRejection) {
        let why = match refused {
            MapRejection::Empty => "empty",
            MapRejection::Damaged(_) | MapRejection::WrongKey(_) => "damaged",
            MapRejection::Outdated { .. } => "outdated",
        };
        self.metrics.rejected.with_label_values(&[why]).inc();
        let version = self.current_map.version();
        match refused {
            MapRejection::Empty if version == 0 => {
                tracing::info!("the store holds no map yet: no control plane has published one")
            }
            // Every new map cannot be read for the same reason, which is logged once.
            MapRejection::WrongKey(_)
                if !self.current_map.set_unreadable_reason(Some(refused.to_string())) => {}
            _ if version == 0 => tracing::warn!(%refused, "there is no map yet"),
            _ => {
                tracing::warn!(%refused, version, "the stored map is rejected: the last good map is served until the next one is published")
            }
        }
    }
}

#[derive(Clone, Copy)]
struct StoredDigest<'a> {
    version: u64,
    sealed_digest: &'a [u8],
}

impl<'a> StoredDigest<'a> {
    fn from_fields(version: Option<&[u8]>, digest: Option<&'a [u8]>) -> Option<Self> {
        let version = std::str::from_utf8(version?).ok()?.parse().ok()?;
        Some(Self { version, sealed_digest: digest? })
    }
}
