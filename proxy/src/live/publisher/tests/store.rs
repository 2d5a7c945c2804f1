//! The store as an edge sees it: the shared registry, which may lose what it was told, and the
//! edge's own registry with its disk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pitwall_upstream_map::store::{
    CurrentMap, NextNumbers, RegistrySnapshot, SpliceDecision, SpliceProposal, SpliceRegistry,
    Store, StoreError,
};
use pitwall_upstream_map::{MapReach, MemoryStore, UpstreamMap};

/// How many numbers an edge reserves with each write to its disk: few, so that they are used up.
const RESERVED_NUMBERS: u64 = 8;

/// The splice registry that the edges share.
#[derive(Clone, Default)]
pub(super) struct SharedRegistry {
    pub(super) registry: Arc<Mutex<Arc<SpliceRegistry>>>,
    /// Messages that have not arrived yet.
    late: Arc<Mutex<Vec<SpliceProposal>>>,
}

impl SharedRegistry {
    pub(super) fn current(&self) -> Arc<SpliceRegistry> {
        self.registry.lock().unwrap().clone()
    }

    /// Delivers the late messages, if there are any.
    pub(super) fn deliver_late(&self) -> bool {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        late.iter().for_each(|proposal| drop(self.propose(proposal)));
        !late.is_empty()
    }

    /// Decides a proposal, and checks the rules by which edges rely on decisions.
    fn propose(&self, proposal: &SpliceProposal) -> SpliceDecision {
        let registry = self.current();
        let (stream, rendition) = (proposal.stream.clone(), proposal.rendition.clone());
        let before = registry.propose(&SpliceProposal::query(stream, rendition, 0));
        let after = registry.propose(proposal);
        let is_same_switch =
            (after.generation, &after.switch_record) == (before.generation, &before.switch_record);
        assert!(is_same_switch || after.generation > before.generation, "{before:?}, {after:?}");
        if is_same_switch && before.splice_record.is_some() {
            assert_eq!(before.splice_record, after.splice_record, "a splice has changed");
        }
        assert!(after.next_number >= before.next_number, "{before:?}, {after:?}");
        if after.next_number > before.next_number {
            let proposed_by = (proposal.generation, &proposal.switch_record);
            let in_force = (after.generation, &after.switch_record);
            assert_eq!(proposed_by, in_force, "published by a switch that is over");
            assert!(after.splice_record.is_some(), "published without a splice");
        }
        after
    }
}

/// What becomes of the next message of an edge, whose sender gives it up in any case.
#[derive(Clone, Copy, Debug)]
pub(super) enum MessageFault {
    /// It arrives, and the decision is lost.
    ReplyLost,
    /// It arrives later.
    Late,
}

/// The store as one edge sees it.
pub(super) struct FaultyStore {
    shared_registry: SharedRegistry,
    own_registry: Mutex<Arc<SpliceRegistry>>,
    pub(super) reachable: AtomicBool,
    fault: Mutex<Option<MessageFault>>,
    message_failed: AtomicBool,
    disk: Mutex<RegistrySnapshot>,
    /// The next numbers that are in the journal on disk, and those that are about to be.
    journal: Mutex<NextNumbers>,
    /// What of the journal outlives the machine.
    journal_synced: Mutex<NextNumbers>,
    journal_pending: Mutex<NextNumbers>,
    /// The number below which numbers are reserved on disk.
    reserved_below: AtomicU64,
    write_requested: AtomicBool,
    memory_store: Arc<MemoryStore>,
}

impl FaultyStore {
    pub(super) fn new(shared_registry: &SharedRegistry) -> Arc<Self> {
        Arc::new(Self {
            shared_registry: shared_registry.clone(),
            own_registry: Mutex::default(),
            reachable: AtomicBool::new(true),
            fault: Mutex::default(),
            message_failed: AtomicBool::default(),
            disk: Mutex::default(),
            journal: Mutex::default(),
            journal_synced: Mutex::default(),
            journal_pending: Mutex::default(),
            reserved_below: AtomicU64::default(),
            write_requested: AtomicBool::default(),
            memory_store: MemoryStore::new(),
        })
    }

    pub(super) fn fail_next_message(&self, fault: Option<MessageFault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Whether a message has failed since this was asked last.
    pub(super) fn take_message_failed(&self) -> bool {
        self.message_failed.swap(false, Ordering::SeqCst)
    }

    /// The process is killed, and starts with what is on its disk. Its wall clock has stood still,
    /// while that of the simulation has not.
    pub(super) fn restart(&self) {
        let registry = SpliceRegistry::restore(self.disk.lock().unwrap().clone());
        registry.raise_next_numbers(self.journal.lock().unwrap().clone());
        *self.own_registry.lock().unwrap() = Arc::new(registry);
        self.journal_pending.lock().unwrap().clear();
        self.write_requested.store(false, Ordering::SeqCst);
        self.reserved_below.store(0, Ordering::SeqCst);
    }

    /// Whether all that nobody waited for is on disk.
    pub(super) fn is_written(&self) -> bool {
        !self.write_requested.load(Ordering::SeqCst) && self.is_journal_written()
    }

    pub(super) fn is_journal_written(&self) -> bool {
        self.journal_pending.lock().unwrap().is_empty()
    }

    /// The machine has lost its power, and what of the journal was not synced. Returns the number
    /// that is left.
    pub(super) fn lose_unsynced(&self) -> u64 {
        let synced = self.journal_synced.lock().unwrap().clone();
        let numbers = synced.values().flat_map(HashMap::values).copied();
        let next_number = numbers.max().unwrap_or_default();
        *self.journal.lock().unwrap() = synced;
        next_number
    }

    pub(super) fn sync_journal(&self) {
        self.journal_synced.lock().unwrap().clone_from(&self.journal.lock().unwrap());
    }

    /// The journal is written: that takes no longer than time takes to go on.
    pub(super) fn finish_journal(&self) {
        self.journal.lock().unwrap().extend(self.journal_pending.lock().unwrap().drain());
    }

    fn note_number(&self, proposal: &SpliceProposal, next_number: u64) {
        let numbers = HashMap::from([(proposal.rendition.clone(), next_number)]);
        self.journal_pending.lock().unwrap().insert(proposal.stream.clone(), numbers);
    }

    /// A write that nobody waits for reaches the disk.
    pub(super) fn finish_write(&self, next_number: u64) {
        self.finish_journal();
        if self.write_requested.swap(false, Ordering::SeqCst) {
            self.write_disk(next_number);
        }
    }

    fn write_disk(&self, next_number: u64) {
        *self.disk.lock().unwrap() = self.own_registry().snapshot(RESERVED_NUMBERS);
        self.reserved_below.fetch_max(next_number + RESERVED_NUMBERS, Ordering::SeqCst);
    }

    fn own_registry(&self) -> Arc<SpliceRegistry> {
        self.own_registry.lock().unwrap().clone()
    }

    fn is_reserved(&self, next_number: u64) -> bool {
        next_number <= self.reserved_below.load(Ordering::SeqCst)
    }

    /// The decision of all edges, as `RedisStore` asks for it; `None` if the message fails.
    async fn propose_shared(&self, proposal: &SpliceProposal) -> Option<SpliceDecision> {
        let fault = self.fault.lock().unwrap().take();
        let send = |proposal: SpliceProposal| {
            std::future::ready(match fault {
                None => Ok(self.shared_registry.propose(&proposal)),
                Some(MessageFault::ReplyLost) => {
                    self.shared_registry.propose(&proposal);
                    Err(())
                }
                Some(MessageFault::Late) => {
                    self.shared_registry.late.lock().unwrap().push(proposal);
                    Err(())
                }
            })
        };
        let own_registry = self.own_registry();
        let Ok((decision, changed)) = own_registry.propose_shared(proposal, send).await else {
            self.message_failed.store(true, Ordering::SeqCst);
            return None;
        };
        let is_reserved = self.is_reserved(decision.next_number + RESERVED_NUMBERS / 2);
        if changed || !is_reserved {
            self.write_requested.store(true, Ordering::SeqCst);
        }
        self.note_number(proposal, decision.known_next_number);
        Some(decision)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn publish(&self, map: UpstreamMap) -> Result<MapReach, StoreError> {
        self.memory_store.publish(map).await
    }

    fn current_map(&self) -> &CurrentMap {
        self.memory_store.current_map()
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        if self.reachable.load(Ordering::SeqCst)
            && let Some(decision) = self.propose_shared(proposal).await
        {
            return decision;
        }
        let decision = self.own_registry().propose_locally(proposal);
        // Before it is published it is reserved.
        if proposal.start.is_some() || !self.is_reserved(decision.next_number) {
            self.write_disk(decision.next_number);
        }
        self.note_number(proposal, decision.next_number);
        self.finish_journal();
        decision
    }
}
