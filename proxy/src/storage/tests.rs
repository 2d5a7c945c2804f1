//! What all of these share: an origin, a target there, and a storage to open it in.

mod ahead;
mod broken;
mod kept;
mod origin;
mod parts;
mod passing;
mod readers;
mod refused;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytesize::ByteSize;
use http::{HeaderMap, StatusCode};
use pitwall_fetch::{Policy, Timeouts};

use super::fill::Head;
use super::*;
use crate::denials::DenialLog;
use crate::slots::Slot;
use origin::origin;

const PIECE: usize = 64 * 1024;

fn target(address: SocketAddr, path: &str) -> Target {
    Target {
        url: format!("http://{address}{path}").parse().unwrap(),
        profile: "test".into(),
        purpose: None,
        expires: None,
        policy: Policy {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            ports: vec![address.port()],
        },
        headers: HeaderMap::new(),
        token_parameters: vec!["token".into()],
        private_hosts: None,
        slot: Slot::default(),
        denials: DenialLog::default(),
        stream: Some("world".into()),
    }
}

fn storage(max_object: usize, fill_bytes: usize) -> Arc<Storage> {
    let config = CacheConfig {
        bytes: ByteSize::mib(64),
        fill_bytes: ByteSize(fill_bytes as u64),
        max_object: ByteSize(max_object as u64),
    };
    Storage::new(config, Arc::new(Fetcher::new(Timeouts::default(), vec![])))
}

fn roomy() -> Arc<Storage> {
    storage(1 << 24, 1 << 25)
}

async fn open(storage: &Arc<Storage>, target: Target) -> Result<Opened, Problem> {
    storage.open(target, Asked::default()).await
}

fn filling(opened: Result<Opened, Problem>) -> (Reader, bool) {
    match opened {
        Ok(Opened::Filling { reader, joined }) => (reader, joined),
        Ok(Opened::Stored(_)) => panic!("stored already"),
        Ok(Opened::Passing(_)) => panic!("passed through"),
        Err(problem) => panic!("{problem}"),
    }
}

async fn read_all(reader: &mut Reader) -> Result<usize, Problem> {
    let mut total = 0;
    while let Some(bytes) = reader.read().await? {
        total += bytes.len();
    }
    Ok(total)
}

/// Waits until the fill's task has put its object away.
async fn stored(storage: &Arc<Storage>, target: &Target) -> Arc<Object> {
    stored_as(storage, Key::of(target, None)).await
}

async fn stored_as(storage: &Arc<Storage>, key: Key) -> Arc<Object> {
    for _ in 0..1000 {
        if let Some(object) = storage.shelf.get(&key) {
            return object;
        }
        tokio::task::yield_now().await;
    }
    panic!("never stored");
}

fn asked(range: &str) -> Asked {
    Asked { range: Range::parse(range.as_bytes()), if_range: None }
}

/// The part as it was held, and the fetches so far.
async fn part(storage: &Arc<Storage>, address: SocketAddr, range: &str) -> (Option<String>, usize) {
    let held = |head: &Head, length| {
        (head.content_range.as_ref().map(|value| value.to_str().unwrap().to_owned()), length)
    };
    match storage.open(target(address, "/file"), asked(range)).await {
        Ok(Opened::Stored(object)) => held(&object.head, object.body().end() as usize),
        Ok(Opened::Filling { mut reader, .. }) => {
            let head = reader.opened_head();
            let length = read_all(&mut reader).await.unwrap();
            held(&head, length)
        }
        Ok(Opened::Passing(_)) => panic!("{range} was passed through"),
        Err(problem) => panic!("{range}: {problem}"),
    }
}
