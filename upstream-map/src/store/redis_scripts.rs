//! Lua scripts, which Redis runs atomically, and their arguments and replies.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use redis::aio::MultiplexedConnection;

use super::StoreError;
use super::baseline::{DIGEST_FIELD, VERSION_FIELD};
use super::entries::Delta;

static PUBLISH_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("decimal.lua"), include_str!("publish.lua")))
});
static CLAIM_LEASE_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("decimal.lua"), include_str!("hold.lua"))));
static PROPOSE_SPLICE_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("decimal.lua"), include_str!("agree.lua"))));
static RESEAL_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reseal.lua")));
static RELEASE_LEASE_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("release.lua")));

/// Redis keys of one installation. Their common hash tag keeps them on one node of a cluster.
pub(super) struct RedisKeys {
    pub(super) map: String,
    pub(super) fence: String,
    pub(super) lease: String,
    pub(super) edges: String,
    pub(super) reports: String,
    /// Name of the pub/sub channel for change notices.
    pub(super) changes_channel: String,
    /// Name of the pub/sub channel for published numbers.
    pub(super) numbers_channel: String,
    hash_tag: String,
}

impl RedisKeys {
    pub(super) fn new(prefix: &str) -> Self {
        let tag = format!("{{{prefix}}}");
        let name = |what| format!("{tag}:{what}");
        Self {
            map: name("map"),
            fence: name("fence"),
            lease: name("lease"),
            edges: name("edges"),
            reports: name("reports"),
            changes_channel: name("news"),
            numbers_channel: name("numbers"),
            hash_tag: tag,
        }
    }

    pub(super) fn splice_key(&self, stream: &str) -> String {
        format!("{}:splice:{stream}", self.hash_tag)
    }

    pub(super) fn viewers_key(&self, edge: &str) -> String {
        format!("{}:demand:{edge}", self.hash_tag)
    }
}

/// What `agree.lua` returns instead of a splice record that the edge knows. No sealed record is so
/// short.
pub(super) const KNOWN_RECORD: &[u8] = b"=";

/// Arguments of `agree.lua`: a [`SpliceProposal`](super::SpliceProposal) with sealed records.
pub(super) struct SpliceProposalArgs<'a> {
    pub(super) rendition: &'a str,
    pub(super) generation: u64,
    pub(super) next_number: u64,
    pub(super) tail_record: Vec<u8>,
    pub(super) switch_record: Vec<u8>,
    /// `switch_record` sealed with the previous key; empty if there is none.
    pub(super) switch_record_previous_key: Vec<u8>,
    pub(super) start: Option<(u64, Vec<u8>)>,
    pub(super) is_restored: bool,
    pub(super) reserved_below: u64,
    pub(super) generation_age: Option<Duration>,
    /// Where a raised number is published, and what stands in front of it there.
    pub(super) numbers_channel: &'a str,
    pub(super) number_notice: String,
    pub(super) ttl_ms: u64,
    /// The first bytes of the sealed splice record that this edge knows; empty if it knows none.
    pub(super) known_record_prefix: &'a [u8],
}

/// Reply of `agree.lua`: what is decided after the proposal.
pub(super) struct SpliceDecisionReply {
    pub(super) generation: Option<u64>,
    pub(super) switch_record: Option<Vec<u8>>,
    pub(super) splice_record: Option<Vec<u8>>,
    pub(super) next_number: Option<u64>,
    pub(super) tail_record: Option<Vec<u8>>,
    pub(super) reserved_below: Option<u64>,
    pub(super) generation_age: Option<Duration>,
    pub(super) tail_age: Option<Duration>,
}

pub(super) async fn propose_splice(
    key: &str,
    args: &SpliceProposalArgs<'_>,
    connection: &mut MultiplexedConnection,
) -> Result<SpliceDecisionReply, StoreError> {
    let mut call = PROPOSE_SPLICE_SCRIPT.prepare_invoke();
    call.key(key).arg(args.rendition).arg(args.generation).arg(args.next_number);
    call.arg(&args.tail_record[..]).arg(&args.switch_record[..]);
    match &args.start {
        Some((published, record)) => call.arg(*published).arg(&record[..]),
        None => call.arg("").arg(""),
    };
    call.arg(args.ttl_ms).arg(&args.switch_record_previous_key[..]).arg(args.reserved_below);
    call.arg(u8::from(args.is_restored));
    call.arg(args.generation_age.map_or(String::new(), |age| age.as_millis().to_string()));
    call.arg(args.numbers_channel).arg(&args.number_notice).arg(args.known_record_prefix);
    type OptionalNumber = Option<u64>;
    type OptionalRecord = Option<Vec<u8>>;
    let reply: (
        OptionalNumber,
        OptionalRecord,
        OptionalRecord,
        OptionalNumber,
        OptionalRecord,
        OptionalNumber,
        OptionalNumber,
        OptionalNumber,
    ) = call.invoke_async(connection).await?;
    let (generation, switch_record, splice_record, next_number, tail_record, ..) = reply;
    let (.., reserved_below, generation_age_ms, tail_age_ms) = reply;
    Ok(SpliceDecisionReply {
        generation,
        switch_record,
        splice_record,
        next_number,
        tail_record,
        reserved_below,
        generation_age: generation_age_ms.map(Duration::from_millis),
        tail_age: tail_age_ms.map(Duration::from_millis),
    })
}

/// Replaces fields of a hash unless they have changed meanwhile; each item is the field's name, old
/// value and new value.
pub(super) async fn replace_unchanged_fields(
    key: &str,
    fields: Vec<(String, Vec<u8>, Vec<u8>)>,
    connection: &mut MultiplexedConnection,
) -> Result<(), StoreError> {
    let mut call = RESEAL_SCRIPT.prepare_invoke();
    call.key(key);
    for (field, old, new) in fields {
        call.arg(field).arg(old).arg(new);
    }
    Ok(call.invoke_async(connection).await?)
}

/// A map to write, in full or as a delta.
pub(super) struct MapWrite<'a> {
    pub(super) mode: WriteMode<'a>,
    pub(super) version: u64,
    pub(super) fence: u64,
    pub(super) delta: &'a Delta,
    /// Sealed values in the order of `delta.changed`.
    pub(super) sealed_entries: Vec<Vec<u8>>,
    pub(super) sealed_digest: &'a [u8],
    pub(super) notice: Vec<u8>,
    /// Unix milliseconds by the clock of Redis after which the map is no longer written.
    pub(super) deadline: Option<u64>,
}

#[derive(Clone, Copy)]
pub(super) enum WriteMode<'a> {
    /// Only if the stored map has this sealed digest.
    Delta(&'a [u8]),
    Full,
    /// Write everything, even if the stored version is the same.
    Overwrite,
}

pub(super) enum WriteOutcome {
    Written,
    /// The stored map is not the one that the delta applies to.
    BaselineMismatch,
    Outdated(u64),
    Fenced,
    /// The deadline has passed.
    DeadlineExceeded,
}

impl MapWrite<'_> {
    pub(super) async fn execute(
        &self,
        keys: &RedisKeys,
        connection: &mut MultiplexedConnection,
    ) -> Result<WriteOutcome, StoreError> {
        let (mode, base) = match self.mode {
            WriteMode::Delta(base) => ("delta", base),
            WriteMode::Full => ("whole", &[][..]),
            WriteMode::Overwrite => ("again", &[][..]),
        };
        let mut call = PUBLISH_SCRIPT.prepare_invoke();
        call.key(&keys.map).key(&keys.fence);
        call.arg(mode).arg(self.version).arg(self.fence).arg(base);
        call.arg(&keys.changes_channel).arg(&self.notice[..]);
        call.arg(self.deadline.map_or(String::new(), |deadline| deadline.to_string()));
        call.arg(self.sealed_entries.len() + 2);
        call.arg(VERSION_FIELD).arg(self.version).arg(DIGEST_FIELD).arg(self.sealed_digest);
        for ((field, _), sealed) in self.delta.changed.iter().zip(&self.sealed_entries) {
            call.arg(field).arg(&sealed[..]);
        }
        for field in &self.delta.removed {
            call.arg(field);
        }
        let (outcome, number): (String, u64) = call.invoke_async(connection).await?;
        Ok(match outcome.as_str() {
            "written" => WriteOutcome::Written,
            "elsewhere" => WriteOutcome::BaselineMismatch,
            "fenced" => WriteOutcome::Fenced,
            "late" => WriteOutcome::DeadlineExceeded,
            _ => WriteOutcome::Outdated(number),
        })
    }
}

/// The clock of Redis in Unix milliseconds.
pub(super) async fn redis_now_ms(
    connection: &mut MultiplexedConnection,
) -> Result<u64, StoreError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    Ok(seconds * 1000 + micros / 1000)
}

/// A claim of the lease by the leader or a candidate.
pub(super) struct LeaseClaim<'a> {
    /// Process id and command address, sealed: whoever could forge the address would be sent the
    /// admin token.
    pub(super) holder: &'a [u8],
    pub(super) lease_ms: u64,
    pub(super) now_ms: i64,
    pub(super) last_fence: u64,
}

pub(super) enum LeaseReply {
    /// This process has the lease, with this fencing token.
    Acquired(u64),
    /// Another process has the lease; the value is its sealed `holder`.
    HeldByOther(Vec<u8>),
}

impl LeaseClaim<'_> {
    pub(super) async fn acquire(
        &self,
        keys: &RedisKeys,
        connection: &mut MultiplexedConnection,
    ) -> Result<LeaseReply, StoreError> {
        let mut call = CLAIM_LEASE_SCRIPT.prepare_invoke();
        call.key(&keys.lease).key(&keys.fence);
        call.arg(self.holder).arg(self.lease_ms).arg(self.now_ms).arg(self.last_fence);
        let (fence, holder): (u64, Vec<u8>) = call.invoke_async(connection).await?;
        Ok(if fence > 0 { LeaseReply::Acquired(fence) } else { LeaseReply::HeldByOther(holder) })
    }
}

pub(super) async fn release_lease(
    keys: &RedisKeys,
    holder: &[u8],
    connection: &mut MultiplexedConnection,
) -> Result<(), StoreError> {
    let mut call = RELEASE_LEASE_SCRIPT.prepare_invoke();
    call.key(&keys.lease).arg(holder);
    Ok(call.invoke_async(connection).await?)
}
