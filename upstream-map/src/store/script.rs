//! What runs inside Redis, each all at once.

use std::sync::LazyLock;

use redis::Script;
use redis::aio::MultiplexedConnection;

use super::StoreError;
use super::mirror::{Delta, HEAD, VERSION};

static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("decimal.lua"), include_str!("publish.lua")))
});
static HOLD: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("decimal.lua"), include_str!("hold.lua"))));
static AGREE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("decimal.lua"), include_str!("agree.lua"))));
static RESEAL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reseal.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// The keys of one installation. One hash tag keeps them on one machine of a cluster.
pub(super) struct Names {
    pub(super) map: String,
    pub(super) fence: String,
    pub(super) lease: String,
    pub(super) edges: String,
    pub(super) reports: String,
    /// A channel.
    pub(super) news: String,
    tag: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let tag = format!("{{{prefix}}}");
        let name = |what| format!("{tag}:{what}");
        Self {
            map: name("map"),
            fence: name("fence"),
            lease: name("lease"),
            edges: name("edges"),
            reports: name("reports"),
            news: name("news"),
            tag,
        }
    }

    pub(super) fn splice(&self, stream: &str) -> String {
        format!("{}:splice:{stream}", self.tag)
    }

    pub(super) fn demand(&self, edge: &str) -> String {
        format!("{}:demand:{edge}", self.tag)
    }
}

/// What an edge says of a splice, sealed.
pub(super) struct Said<'a> {
    pub(super) rendition: &'a str,
    pub(super) generation: u64,
    pub(super) next: u64,
    pub(super) newest: Vec<u8>,
    pub(super) change: Vec<u8>,
    /// The same as the key before the last rotation seals it; empty where there is none.
    pub(super) change_before: Vec<u8>,
    pub(super) part: Option<(u64, Vec<u8>)>,
    pub(super) again: bool,
    pub(super) reserved: u64,
    pub(super) lives_ms: u64,
}

/// And what is written then.
pub(super) struct Written {
    pub(super) generation: Option<u64>,
    pub(super) change: Option<Vec<u8>>,
    pub(super) part: Option<Vec<u8>>,
    pub(super) next: Option<u64>,
    pub(super) newest: Option<Vec<u8>>,
    pub(super) reserved: Option<u64>,
}

pub(super) async fn agree(
    key: &str,
    said: &Said<'_>,
    connection: &mut MultiplexedConnection,
) -> Result<Written, StoreError> {
    let mut call = AGREE.prepare_invoke();
    call.key(key).arg(said.rendition).arg(said.generation).arg(said.next);
    call.arg(&said.newest[..]).arg(&said.change[..]);
    match &said.part {
        Some((published, record)) => call.arg(*published).arg(&record[..]),
        None => call.arg("").arg(""),
    };
    call.arg(said.lives_ms).arg(&said.change_before[..]).arg(said.reserved);
    call.arg(u8::from(said.again));
    type Number = Option<u64>;
    type Sealed = Option<Vec<u8>>;
    let answer: (Number, Sealed, Sealed, Number, Sealed, Number) =
        call.invoke_async(connection).await?;
    let (generation, change, part, next, newest, reserved) = answer;
    Ok(Written { generation, change, part, next, newest, reserved })
}

/// Replaces fields of a hash that are still as they were: each its name, that and the new one.
pub(super) async fn reseal(
    key: &str,
    fields: Vec<(String, Vec<u8>, Vec<u8>)>,
    connection: &mut MultiplexedConnection,
) -> Result<(), StoreError> {
    let mut call = RESEAL.prepare_invoke();
    call.key(key);
    for (field, before, now) in fields {
        call.arg(field).arg(before).arg(now);
    }
    Ok(call.invoke_async(connection).await?)
}

/// A map to be written.
pub(super) struct Publication<'a> {
    pub(super) how: How<'a>,
    pub(super) version: u64,
    pub(super) fence: u64,
    pub(super) delta: &'a Delta<'a>,
    /// Values, sealed, in the order of the delta.
    pub(super) sealed: Vec<Vec<u8>>,
    pub(super) head: &'a [u8],
    pub(super) notice: Vec<u8>,
    /// Unix milliseconds by the clock of Redis, after which it is not written any more.
    pub(super) deadline: Option<u64>,
}

#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// Only onto a map with this head.
    Delta(&'a [u8]),
    Whole,
    /// Though the version is the one that is there.
    Again,
}

pub(super) enum Outcome {
    Written,
    /// What is stored is not what the delta is to.
    Elsewhere,
    Outdated(u64),
    Fenced,
    /// Its deadline has passed.
    Late,
}

impl Publication<'_> {
    pub(super) async fn run(
        &self,
        names: &Names,
        connection: &mut MultiplexedConnection,
    ) -> Result<Outcome, StoreError> {
        let (how, base) = match self.how {
            How::Delta(base) => ("delta", base),
            How::Whole => ("whole", &[][..]),
            How::Again => ("again", &[][..]),
        };
        let mut call = PUBLISH.prepare_invoke();
        call.key(&names.map).key(&names.fence);
        call.arg(how).arg(self.version).arg(self.fence).arg(base);
        call.arg(&names.news).arg(&self.notice[..]);
        call.arg(self.deadline.map_or(String::new(), |at| at.to_string()));
        call.arg(self.sealed.len() + 2);
        call.arg(VERSION).arg(self.version).arg(HEAD).arg(self.head);
        for ((field, _), sealed) in self.delta.set.iter().zip(&self.sealed) {
            call.arg(*field).arg(&sealed[..]);
        }
        for field in &self.delta.gone {
            call.arg(*field);
        }
        let (outcome, number): (String, u64) = call.invoke_async(connection).await?;
        Ok(match outcome.as_str() {
            "written" => Outcome::Written,
            "elsewhere" => Outcome::Elsewhere,
            "fenced" => Outcome::Fenced,
            "late" => Outcome::Late,
            _ => Outcome::Outdated(number),
        })
    }
}

/// Unix milliseconds by the clock of Redis.
pub(super) async fn now(connection: &mut MultiplexedConnection) -> Result<u64, StoreError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    Ok(seconds * 1000 + micros / 1000)
}

/// Who leads, or wants to.
pub(super) struct Claim<'a> {
    /// Sealed: who could write another place here would be sent the admin token.
    pub(super) holder: &'a [u8],
    pub(super) lease_ms: u64,
    pub(super) now_ms: i64,
    pub(super) last_fence: u64,
}

pub(super) enum Lease {
    /// With its fence.
    Ours(u64),
    /// What its holder wrote.
    Theirs(Vec<u8>),
}

impl Claim<'_> {
    pub(super) async fn hold(
        &self,
        names: &Names,
        connection: &mut MultiplexedConnection,
    ) -> Result<Lease, StoreError> {
        let mut call = HOLD.prepare_invoke();
        call.key(&names.lease).key(&names.fence);
        call.arg(self.holder).arg(self.lease_ms).arg(self.now_ms).arg(self.last_fence);
        let (fence, holder): (u64, Vec<u8>) = call.invoke_async(connection).await?;
        Ok(if fence > 0 { Lease::Ours(fence) } else { Lease::Theirs(holder) })
    }
}

pub(super) async fn release(
    names: &Names,
    holder: &[u8],
    connection: &mut MultiplexedConnection,
) -> Result<(), StoreError> {
    let mut call = RELEASE.prepare_invoke();
    call.key(&names.lease).arg(holder);
    Ok(call.invoke_async(connection).await?)
}
