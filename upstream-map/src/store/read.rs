//! What is stored, into a map: only together, as it was published.

use redis::aio::MultiplexedConnection;

use super::StoreError;
use super::entries;
use super::mirror::{HEAD, Head, Mirror, VERSION};
use super::redis::RedisStore;
use super::script::How;
use crate::map::UpstreamMap;

/// How reading over one connection went so far.
pub(super) struct Session {
    pub(super) connection: MultiplexedConnection,
    /// What was refused last, so that it is read, and complained about, once.
    pub(super) refused: Option<Vec<u8>>,
}

/// Why what is stored was not taken. The last good map stays.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("nothing is stored")]
    Empty,
    #[error("an entry cannot be used: {0}")]
    Damaged(String),
    /// Of the head, which is written with each map: it is not one entry that is damaged.
    #[error("the map is sealed with another key than {0}")]
    OtherKey(String),
    #[error("version {stored} is older than {held}, which is held")]
    Outdated { stored: u64, held: u64 },
}

impl RedisStore {
    /// `false`: they do not make a map with what is held.
    pub(super) async fn read_fields(
        &self,
        session: &mut Session,
        held: &UpstreamMap,
        mut mirror: Mirror,
        fields: &[String],
    ) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.names.map).arg(VERSION).arg(HEAD).arg(fields);
        let answer: Vec<Option<Vec<u8>>> = command.query_async(&mut session.connection).await?;
        let [version, head, values @ ..] = answer.as_slice() else { return Ok(false) };
        let Some(stored) = Stored::of(version.as_deref(), head.as_deref()) else {
            return Ok(false);
        };
        let mut map = held.clone();
        for (field, sealed) in fields.iter().zip(values) {
            match sealed {
                Some(sealed) if self.put(&mut map, &mut mirror, field, sealed).is_err() => {
                    return Ok(false);
                }
                Some(_) => {}
                None => {
                    entries::remove(&mut map, field);
                    mirror.remove(field);
                }
            }
        }
        if self.taken(map, mirror, stored).is_err() {
            return Ok(false);
        }
        self.metrics.reads.with_label_values(&["delta"]).inc();
        Ok(true)
    }

    pub(super) async fn read_whole(&self, session: &mut Session) -> Result<(), StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&self.names.map);
        let all: Vec<(String, Vec<u8>)> = command.query_async(&mut session.connection).await?;
        let value = |name| all.iter().find(|(field, _)| field == name).map(|(_, it)| it.as_slice());
        let (version, head) = (value(VERSION), value(HEAD));
        let taken = match Stored::of(version, head) {
            Some(stored) => self.take_all(&all, stored),
            None if all.is_empty() => Err(Refused::Empty),
            None => Err(Refused::Damaged("it has no version or no head".to_owned())),
        };
        let seen = head.unwrap_or_default().to_vec();
        match taken {
            Ok(()) => {
                session.refused = None;
                self.metrics.reads.with_label_values(&["whole"]).inc();
            }
            Err(_) if session.refused.as_ref() == Some(&seen) => {}
            Err(refused) => {
                session.refused = Some(seen);
                self.complain(&refused);
                let lost = matches!(refused, Refused::Damaged(_) | Refused::OtherKey(_));
                if lost && self.held.fence.borrow().is_some() {
                    self.write_again(How::Again).await?;
                }
            }
        }
        Ok(())
    }

    fn take_all(&self, all: &[(String, Vec<u8>)], stored: Stored<'_>) -> Result<(), Refused> {
        if self.vault.open(HEAD, stored.head).is_none() {
            return Err(Refused::OtherKey(self.key_file.clone()));
        }
        let mut map = UpstreamMap { version: stored.version, ..UpstreamMap::default() };
        let mut mirror = Mirror::default();
        for (field, sealed) in all {
            if field != VERSION && field != HEAD {
                self.put(&mut map, &mut mirror, field, sealed)?;
            }
        }
        self.taken(map, mirror, stored)
    }

    fn put(
        &self,
        map: &mut UpstreamMap,
        mirror: &mut Mirror,
        field: &str,
        sealed: &[u8],
    ) -> Result<(), Refused> {
        let opened = self.vault.open(field, sealed);
        let unknown = || format!("{field}: not sealed with {}", self.key_file);
        let opened = opened.ok_or_else(|| Refused::Damaged(unknown()))?;
        let fits = entries::put(map, field, &opened.plain);
        fits.map_err(|unfit| Refused::Damaged(unfit.to_string()))?;
        mirror.set(field, &opened.plain, opened.previous);
        Ok(())
    }

    /// Installs it, if its head says that it is one map.
    fn taken(
        &self,
        mut map: UpstreamMap,
        mut mirror: Mirror,
        stored: Stored<'_>,
    ) -> Result<(), Refused> {
        let damaged = |why: &str| Refused::Damaged(why.to_owned());
        let head = self
            .vault
            .open(HEAD, stored.head)
            .ok_or_else(|| Refused::OtherKey(self.key_file.clone()))?;
        let head: Head =
            serde_json::from_slice(&head.plain).map_err(|error| damaged(&error.to_string()))?;
        if head != mirror.head(stored.version) {
            return Err(damaged("head: these entries were not published together"));
        }
        map.version = stored.version;
        mirror.head = stored.head.to_vec();
        let outdated = |held| Refused::Outdated { stored: stored.version, held };
        self.install(map, mirror).map_err(outdated)
    }

    fn complain(&self, refused: &Refused) {
        let why = match refused {
            Refused::Empty => "empty",
            Refused::Damaged(_) | Refused::OtherKey(_) => "damaged",
            Refused::Outdated { .. } => "outdated",
        };
        self.metrics.refused.with_label_values(&[why]).inc();
        let version = self.held.version();
        match refused {
            Refused::Empty if version == 0 => tracing::info!("nothing is published yet"),
            // Each new map is one more that cannot be read, and no more news.
            Refused::OtherKey(_) if !self.held.set_unreadable(Some(refused.to_string())) => {}
            _ if version == 0 => tracing::warn!(%refused, "there is no map yet"),
            _ => tracing::warn!(%refused, version, "the last good map stays"),
        }
    }
}

#[derive(Clone, Copy)]
struct Stored<'a> {
    version: u64,
    head: &'a [u8],
}

impl<'a> Stored<'a> {
    fn of(version: Option<&[u8]>, head: Option<&'a [u8]>) -> Option<Self> {
        let version = std::str::from_utf8(version?).ok()?.parse().ok()?;
        Some(Self { version, head: head? })
    }
}
