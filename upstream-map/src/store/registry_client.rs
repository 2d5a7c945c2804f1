//! Splice proposals over Redis to a shared [`SpliceRegistry`]. A viewer's request waits for the
//! reply, so the time is short: while Redis is slow or down, each edge decides alone from earlier
//! decisions, and proposes its decision when Redis is back.
//!
//! [`SpliceRegistry`]: super::splice_registry::SpliceRegistry

use std::convert::Infallible;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::StoreError;
use super::entry_cipher::SYNTHETIC_IV_LENGTH;
use super::known_records::{KnownRecord, KnownRecords};
use super::peer_numbers::{PeerNextNumbers, notice_text};
use super::record_compression::{compress, decompress};
use super::redis::RedisStore;
use super::redis_connector::NoticeStream;
use super::redis_scripts::{self, KNOWN_RECORD, SpliceDecisionReply, SpliceProposalArgs};
use super::splice_decision::SpliceDecision;
use super::splice_proposal::SpliceProposal;
use super::splice_registry::IDLE_STREAM_TTL;
use crate::stream::StreamId;

/// Timeout of a proposal; a healthy Redis needs a hundredth of it.
const REGISTRY_REPLY_TIMEOUT: Duration = Duration::from_millis(150);
/// Interval of probes of a Redis that was slow or down.
const REGISTRY_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Connection to a responsive Redis. When Redis does not reply, one viewer waits for the timeout;
/// then no proposal is sent until a probe is answered in time.
pub(super) struct RegistryClient {
    connection: watch::Sender<Option<MultiplexedConnection>>,
    unresponsive: watch::Sender<bool>,
    /// What the other edges have published.
    pub(super) peer_numbers: PeerNextNumbers,
    known_records: KnownRecords,
}

impl Default for RegistryClient {
    fn default() -> Self {
        Self {
            connection: watch::Sender::new(None),
            unresponsive: watch::Sender::new(false),
            peer_numbers: PeerNextNumbers::default(),
            known_records: KnownRecords::default(),
        }
    }
}

impl RegistryClient {
    async fn wait_for_connection(&self) -> Option<MultiplexedConnection> {
        let mut connection = self.connection.subscribe();
        let connected = connection.wait_for(Option::is_some).await;
        connected.ok().and_then(|connected| connected.clone())
    }

    fn is_unresponsive(&self) -> bool {
        *self.unresponsive.borrow()
    }

    fn mark_unresponsive(&self) {
        self.unresponsive.send_replace(true);
    }

    /// Probes a connection until it is lost, and reads what the other edges publish meanwhile.
    async fn supervise_connection(
        &self,
        mut connection: MultiplexedConnection,
        mut notices: Option<NoticeStream>,
        process_id: &str,
    ) {
        let mut lost = self.connection.subscribe();
        let mut unresponsive = self.unresponsive.subscribe();
        let probe = async {
            loop {
                let ping = redis::cmd("PING");
                let reply =
                    timeout(REGISTRY_REPLY_TIMEOUT, ping.query_async::<()>(&mut connection)).await;
                match reply {
                    Ok(Ok(())) => {
                        self.unresponsive.send_replace(false);
                        // The wait cannot fail: the sender lives as long as `self`.
                        let _ = unresponsive.wait_for(|unresponsive| *unresponsive).await;
                    }
                    Ok(Err(_)) => return,
                    Err(_) => self.mark_unresponsive(),
                }
                sleep(REGISTRY_PROBE_INTERVAL.mul_f64(0.5 + rand::random::<f64>())).await;
            }
        };
        let read_notices = async {
            let Some(notices) = &mut notices else { return std::future::pending().await };
            while let Some(notice) = notices.next().await {
                self.peer_numbers.record_notice(&notice, process_id);
            }
        };
        tokio::select! {
            () = probe => {}
            () = read_notices => {}
            _ = lost.wait_for(Option::is_none) => {}
        }
    }
}

impl RedisStore {
    /// Keeps a connection for proposals open.
    pub(super) async fn run_registry_connection(&self) -> Infallible {
        loop {
            let connected = match self.connector.subscribe(&self.keys.numbers_channel).await {
                Ok((connection, notices)) => Ok((connection, Some(notices))),
                // Without the channel, which an ACL may forbid, edges still decide together.
                Err(error) => {
                    tracing::debug!(%error, "what other edges publish cannot be heard");
                    self.connector.connect().await.map(|connection| (connection, None))
                }
            };
            match connected {
                Ok((connection, notices)) => {
                    self.registry_client.connection.send_replace(Some(connection.clone()));
                    self.registry_client
                        .supervise_connection(connection, notices, &self.process_id)
                        .await;
                    self.registry_client.connection.send_replace(None);
                }
                Err(error) => {
                    tracing::debug!(%error, "the splice registry cannot connect to the store")
                }
            }
            sleep(REGISTRY_PROBE_INTERVAL.mul_f64(0.5 + rand::random::<f64>())).await;
        }
    }

    /// Decides a proposal with the other edges, or alone if Redis does not reply in time.
    pub(super) async fn decide_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        if !self.registry_client.is_unresponsive() {
            let shared_decision = self
                .splice_registry
                .propose_shared(proposal, |proposal| self.send_proposal(proposal));
            match timeout(REGISTRY_REPLY_TIMEOUT, shared_decision).await {
                Ok(Ok((decision, changed))) => {
                    self.metrics.splice_proposals.with_label_values(&["together"]).inc();
                    self.registry_file.reserve_ahead(
                        &proposal.stream,
                        decision.next_number,
                        changed,
                    );
                    self.registry_file.request_number_write(
                        &proposal.stream,
                        &proposal.rendition,
                        decision.known_next_number,
                    );
                    return decision;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a splice proposal failed");
                    self.registry_client.connection.send_replace(None);
                }
                Err(_) => {}
            }
            self.registry_client.mark_unresponsive();
            self.metrics.splice_proposals.with_label_values(&["late"]).inc();
        } else {
            self.metrics.splice_proposals.with_label_values(&["alone"]).inc();
        }
        let decision = self.splice_registry.propose_locally(proposal);
        self.registry_file
            .ensure_reserved(&proposal.stream, decision.next_number, proposal.start.is_some())
            .await;
        self.registry_file
            .record_number(&proposal.stream, &proposal.rendition, decision.next_number)
            .await;
        decision
    }

    async fn send_proposal(&self, proposal: SpliceProposal) -> Result<SpliceDecision, StoreError> {
        // Each number that is published names the switch under which it is. Redis has that record,
        // or has lost it and is sent all of it.
        if proposal.start.is_none() && !proposal.is_restored {
            let decision = self.invoke_proposal(&proposal, Some(SYNTHETIC_IV_LENGTH)).await?;
            if proposal.switch_record.is_empty() || decision.generation >= proposal.generation {
                return Ok(decision);
            }
        }
        self.invoke_proposal(&proposal, None).await
    }

    /// Sends a proposal, with no more than `switch_record_limit` bytes of its sealed switch record.
    async fn invoke_proposal(
        &self,
        proposal: &SpliceProposal,
        switch_record_limit: Option<usize>,
    ) -> Result<SpliceDecision, StoreError> {
        let disconnected = || StoreError::Unreachable("there is no connection".to_owned());
        let mut connection =
            self.registry_client.wait_for_connection().await.ok_or_else(disconnected)?;
        let field = |what| rendition_associated_data(&proposal.stream, &proposal.rendition, what);
        let switch_field = switch_associated_data(&proposal.stream);
        let seal = |field: &str, plain: &[u8]| match plain {
            [] => Vec::new(),
            plain => self.cipher.seal(field, plain),
        };
        let limit = |mut sealed: Vec<u8>| {
            sealed.truncate(switch_record_limit.unwrap_or(usize::MAX));
            sealed
        };
        let switch_record_previous_key = match proposal.switch_record.as_slice() {
            [] => Vec::new(),
            plain => self.cipher.seal_with_previous_key(&switch_field, plain),
        };
        let known_records = &self.registry_client.known_records;
        let known = known_records.get(&proposal.stream, &proposal.rendition);
        let args = SpliceProposalArgs {
            rendition: &proposal.rendition,
            generation: proposal.generation,
            next_number: proposal.next_number,
            tail_record: seal(&field("newest"), &compress(&proposal.tail_record)),
            switch_record: limit(seal(&switch_field, &proposal.switch_record)),
            switch_record_previous_key: limit(switch_record_previous_key),
            start: proposal
                .start
                .as_ref()
                .map(|start| (start.published, seal(&field("part"), &compress(&start.record)))),
            is_restored: proposal.is_restored,
            reserved_below: proposal.reserved_below,
            generation_age: proposal.generation_age,
            numbers_channel: &self.keys.numbers_channel,
            number_notice: notice_text(&self.process_id, proposal),
            ttl_ms: u64::try_from(IDLE_STREAM_TTL.as_millis()).unwrap_or(u64::MAX),
            known_record_prefix: &known.sealed_prefix,
        };
        let key = self.keys.splice_key(proposal.stream.as_str());
        let SpliceDecisionReply {
            generation,
            switch_record,
            splice_record: start,
            next_number,
            tail_record,
            reserved_below,
            generation_age,
            tail_age,
        } = redis_scripts::propose_splice(&key, &args, &mut connection).await?;
        let mut uses_previous_key = false;
        // A record that this process cannot open counts as missing.
        let mut open = |field: &str, sealed: Option<Vec<u8>>| {
            let sealed = sealed.filter(|sealed| !sealed.is_empty())?;
            let Some(opened) = self.cipher.open(field, &sealed) else {
                self.warn_of_foreign_seal_key("what another edge publishes is");
                return None;
            };
            uses_previous_key |= opened.uses_previous_key;
            Some(opened.plaintext)
        };
        let is_known = start.as_deref() == Some(KNOWN_RECORD);
        let splice_record = if is_known {
            Some(known.record.to_vec())
        } else {
            let sealed = start.clone().unwrap_or_default();
            let opened = open(&field("part"), start).map(decompress);
            let known = opened.as_ref().map(|record| KnownRecord::new(&sealed, record.clone()));
            known_records.set(&proposal.stream, &proposal.rendition, known);
            opened
        };
        let decision = SpliceDecision {
            generation: generation.unwrap_or_default(),
            switch_record: open(&switch_field, switch_record).unwrap_or_default(),
            splice_record,
            next_number: next_number.unwrap_or_default(),
            known_next_number: next_number.unwrap_or_default(),
            superseded_below: 0,
            tail_record: open(&field("newest"), tail_record).map(decompress).unwrap_or_default(),
            reserved_below: reserved_below.unwrap_or_default(),
            generation_age,
            tail_age,
            is_shared: true,
        };
        if uses_previous_key {
            // It is read again until it is sealed with the current key.
            known_records.set(&proposal.stream, &proposal.rendition, None);
        }
        if uses_previous_key
            && let Err(error) = self.reseal_splices(&proposal.stream, &mut connection).await
        {
            tracing::debug!(%error, "splice records are still sealed with the previous key");
        }
        Ok(decision)
    }

    /// Seals the splice records of a stream with the current key: a record is written once and may
    /// be read for days, also by edges that no longer have the previous key.
    async fn reseal_splices(
        &self,
        stream: &StreamId,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        let key = self.keys.splice_key(stream.as_str());
        let command = redis::cmd("HGETALL").arg(&key).to_owned();
        let all: Vec<(String, Vec<u8>)> = command.query_async(connection).await?;
        let outdated = all.into_iter().filter_map(|(name, sealed)| {
            let field = match name.split_once('/') {
                Some((what @ ("part" | "newest"), rendition)) => {
                    rendition_associated_data(stream, rendition, what)
                }
                None if name == "change" => switch_associated_data(stream),
                _ => return None,
            };
            let opened =
                self.cipher.open(&field, &sealed).filter(|opened| opened.uses_previous_key)?;
            let resealed = self.cipher.seal(&field, &opened.plaintext);
            Some((name, sealed, resealed))
        });
        redis_scripts::replace_unchanged_fields(&key, outdated.collect(), connection).await
    }
}

/// Associated data with which records of a rendition are sealed.
fn rendition_associated_data(
    stream: &StreamId,
    rendition: impl std::fmt::Display,
    what: &str,
) -> String {
    format!("splice/{stream}/{rendition}/{what}")
}

fn switch_associated_data(stream: &StreamId) -> String {
    format!("splice/{stream}/change")
}
