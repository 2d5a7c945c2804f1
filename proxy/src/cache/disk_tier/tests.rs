use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::HeaderMap;
use axum::routing::get;
use bytesize::ByteSize;
use prometheus::Registry;
use tempfile::TempDir;

use super::*;
use crate::cache::SegmentCache;
use crate::cache::tests::{open, segment_cache_with_disk, target};
use crate::cache::{OpenedObject, RangeRequest};
use crate::http::problem::Problem;
use crate::metrics::Metrics;

/// An origin whose objects are named `BYTES[-CACHE_CONTROL][-NAME]`.
struct TestOrigin {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

async fn respond(
    State(requests): State<Arc<AtomicUsize>>,
    UrlPath(name): UrlPath<String>,
) -> (HeaderMap, Vec<u8>) {
    requests.fetch_add(1, Ordering::SeqCst);
    let mut headers = HeaderMap::new();
    for (part, value) in [
        ("nostore", "max-age=9, No-Store"),
        ("private", "private=\"x\""),
        ("public", "public, max-age=9"),
    ] {
        if name.contains(part) {
            headers.insert("cache-control", value.parse().unwrap());
        }
    }
    headers.insert("etag", "\"v1\"".parse().unwrap());
    let size = name.split('-').next().unwrap().parse().unwrap();
    (headers, name.bytes().cycle().take(size).collect())
}

async fn start_origin() -> TestOrigin {
    let requests = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route("/{name}", get(respond)).with_state(requests.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    TestOrigin { address, requests }
}

fn disk_tier(directory: &Path, bytes: u64) -> Arc<DiskTier> {
    let metrics = Metrics::new(&Registry::new()).unwrap().disk;
    DiskTier::open(&DiskConfig { dir: directory.to_owned(), bytes: ByteSize(bytes) }, metrics)
}

async fn eventually(what: &str, is_done: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never: {what}");
}

/// Fetches an object, and returns its body.
async fn fetch(
    cache: &Arc<SegmentCache>,
    address: SocketAddr,
    name: &str,
) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    match open(cache, target(address, &format!("/{name}"))).await? {
        OpenedObject::Hit(object) => {
            body.extend_from_slice(&object.body().slice_at(0, u64::MAX).unwrap_or_default());
        }
        OpenedObject::Inflight { mut reader, .. } => {
            while let Some(bytes) = reader.read().await? {
                body.extend_from_slice(&bytes);
            }
        }
        OpenedObject::Bypass(_) => panic!("{name} bypasses the cache"),
    }
    Ok(body)
}

fn key_of(address: SocketAddr, name: &str) -> ObjectKey {
    ObjectKey::of(&target(address, &format!("/{name}")), None)
}

/// A directory with these objects, fetched one after the other and written.
async fn written(origin: &TestOrigin, bytes: u64, names: &[&str]) -> (TempDir, Arc<DiskTier>) {
    let directory = tempfile::tempdir().unwrap();
    let tier = disk_tier(directory.path(), bytes);
    let cache = segment_cache_with_disk(Some(tier.clone()));
    for name in names {
        let _ = fetch(&cache, origin.address, name).await.unwrap();
        let key = key_of(origin.address, name);
        eventually(name, || tier.lock_index().contains(&key)).await;
    }
    (directory, tier)
}

/// A tier on a directory that an earlier one has just left.
async fn reopened(directory: &TempDir, earlier: Arc<DiskTier>, bytes: u64) -> Arc<DiskTier> {
    drop(earlier);
    for _ in 0..500 {
        let lock = File::open(directory.path().join(LOCK_FILE)).unwrap();
        if lock.try_lock().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    disk_tier(directory.path(), bytes)
}

#[tokio::test]
async fn a_restart_finds_objects_and_asks_no_origin() {
    let origin = start_origin().await;
    let names = ["9000-a", "70000-public"];
    let (directory, earlier) = written(&origin, 1 << 20, &names).await;
    let tier = reopened(&directory, earlier, 1 << 20).await;
    let cache = segment_cache_with_disk(Some(tier.clone()));
    for name in names {
        let key = key_of(origin.address, name);
        eventually(name, || tier.lock_index().contains(&key)).await;
        let body = fetch(&cache, origin.address, name).await.unwrap();
        let expected: Vec<u8> = name.bytes().cycle().take(body.len()).collect();
        assert_eq!(name.split('-').next().unwrap(), body.len().to_string());
        assert!(body == expected, "{name}");
        let object = tier.read(key).await.unwrap();
        assert_eq!(object.metadata.etag.unwrap(), "\"v1\"");
    }
    assert_eq!(origin.requests.load(Ordering::SeqCst), names.len());
    // What came from disk is not written once more.
    assert_eq!(tier.metrics.writes.of(DiskWriteResult::Stored).get(), 0);
}

#[tokio::test]
async fn only_what_may_be_kept_is_stored() {
    let origin = start_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let tier = disk_tier(directory.path(), 1 << 20);
    let cache = segment_cache_with_disk(Some(tier.clone()));
    let cases = [
        ("16-key", false),
        ("64-key", false),
        ("9000-nostore", false),
        ("9000-private", false),
        ("65-map", true),
        ("9000-public", true),
    ];
    for (name, _) in cases {
        let _ = fetch(&cache, origin.address, name).await.unwrap();
    }
    // Objects are written one after the other: once this one is there, all before it are.
    let _ = fetch(&cache, origin.address, "9000-last").await.unwrap();
    let last = key_of(origin.address, "9000-last");
    eventually("written", || tier.lock_index().contains(&last)).await;
    for (name, expected) in cases {
        let key = key_of(origin.address, name);
        assert_eq!(tier.lock_index().contains(&key), expected, "{name}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_never_served() {
    let origin = start_origin().await;
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 7] = [
        ("empty", Vec::clear),
        ("cut short", |file| file.truncate(file.len() - 1)),
        ("cut in the header", |file| file.truncate(60)),
        ("longer", |file| file.push(0)),
        ("a bit of the body", |file| *file.last_mut().unwrap() ^= 1),
        ("a bit of the header", |file| file[60] ^= 1),
        ("another format", |file| file[0] ^= 1),
    ];
    for (what, damage) in damages {
        let requests = origin.requests.load(Ordering::SeqCst);
        let (_directory, tier) = written(&origin, 1 << 20, &["9000-a"]).await;
        let key = key_of(origin.address, "9000-a");
        let path = tier.path_of(&key);
        let mut file = fs::read(&path).unwrap();
        damage(&mut file);
        fs::write(&path, file).unwrap();
        let cache = segment_cache_with_disk(Some(tier.clone()));
        let body = fetch(&cache, origin.address, "9000-a").await.unwrap();
        assert_eq!(body.len(), 9000, "{what}");
        assert_eq!(origin.requests.load(Ordering::SeqCst), requests + 2, "{what}");
        assert_eq!(tier.metrics.reads.of(DiskReadResult::Damaged).get(), 1, "{what}");
    }
}

#[tokio::test]
async fn the_oldest_objects_leave_first_and_the_limit_holds() {
    let origin = start_origin().await;
    let names = ["9000-a", "9000-b", "9000-c", "9000-d", "5000-e"];
    // An object of 9000 bytes takes three blocks.
    let (directory, tier) = written(&origin, 9 * 4096, &names).await;
    let listed = |tier: &Arc<DiskTier>| -> Vec<&str> {
        let index = tier.lock_index();
        let keys = names.iter().filter(|name| index.contains(&key_of(origin.address, name)));
        keys.copied().collect()
    };
    assert_eq!(listed(&tier), ["9000-c", "9000-d", "5000-e"]);
    assert_eq!(tier.lock_index().used_bytes(), 8 * 4096);
    for name in names {
        let is_there = tier.path_of(&key_of(origin.address, name)).exists();
        assert_eq!(is_there, listed(&tier).contains(&name), "{name}");
    }
    // Files that are written within one tick of the file system's clock have the same time.
    for (second, name) in (1..).zip(listed(&tier)) {
        let path = tier.path_of(&key_of(origin.address, name));
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }
    // A smaller limit after a restart.
    let tier = reopened(&directory, tier, 5 * 4096).await;
    eventually("listed", || listed(&tier).len() == 2).await;
    assert_eq!(listed(&tier), ["9000-d", "5000-e"]);
    // A larger object than all the room.
    let cache = segment_cache_with_disk(Some(tier.clone()));
    let _ = fetch(&cache, origin.address, "90000-f").await.unwrap();
    eventually("skipped", || tier.metrics.writes.of(DiskWriteResult::Skipped).get() == 1).await;
    assert_eq!(listed(&tier), ["9000-d", "5000-e"]);
}

/// What a full disk does, a file in the way of a directory does too: writing fails.
#[tokio::test]
async fn a_disk_that_cannot_be_written_turns_the_tier_off() {
    let origin = start_origin().await;
    let (_directory, tier) = written(&origin, 1 << 20, &["9000-a"]).await;
    let cache = segment_cache_with_disk(Some(tier.clone()));
    let folder =
        |name: &str| tier.path_of(&key_of(origin.address, name)).parent().unwrap().to_owned();
    let other = (0..).map(|n| format!("9000-n{n}")).find(|name| folder(name) != folder("9000-a"));
    let other = other.unwrap();
    fs::write(folder(&other), "").unwrap();
    assert_eq!(fetch(&cache, origin.address, &other).await.unwrap().len(), 9000);
    eventually("off", || tier.is_off.load(Ordering::Acquire)).await;
    assert_eq!(fetch(&cache, origin.address, "9000-c").await.unwrap().len(), 9000);
    assert_eq!(tier.metrics.writes.of(DiskWriteResult::Failed).get(), 1);
    // What is there is still read.
    assert!(tier.read(key_of(origin.address, "9000-a")).await.is_some());
}

#[tokio::test]
async fn two_processes_do_not_share_a_directory() {
    let origin = start_origin().await;
    let (directory, tier) = written(&origin, 1 << 20, &["9000-a"]).await;
    let second = disk_tier(directory.path(), 1 << 20);
    let a = key_of(origin.address, "9000-a");
    assert!(second.read(a).await.is_none());
    assert!(tier.read(a).await.is_some());
    drop(tier);
    eventually("the second has it when the first has ended", || second.lock_index().contains(&a))
        .await;
    assert!(!second.is_off.load(Ordering::Acquire));
}

#[tokio::test]
async fn a_purge_and_an_end_remove_objects() {
    let origin = start_origin().await;
    let names = ["9000-a", "9000-b"];
    let (directory, tier) = written(&origin, 1 << 20, &names).await;
    let [a, b] = names.map(|name| key_of(origin.address, name));
    let cache = segment_cache_with_disk(Some(tier.clone()));
    let url = ObjectKey::purge_key_of(&target(origin.address, "/9000-a"));
    assert_eq!(cache.purge(&PurgeScope::Urls(vec![url])), 1);
    assert!(!tier.path_of(&a).exists() && tier.path_of(&b).exists());
    assert_eq!(cache.purge(&PurgeScope::Stream("world".into())), 1);
    assert!(!tier.path_of(&b).exists());

    // An object whose time is over is not served, and not found by a restart.
    let lookup = cache.open_object(target(origin.address, "/9000-c"), RangeRequest::default());
    drop(lookup.await.unwrap());
    let c = key_of(origin.address, "9000-c");
    eventually("written", || tier.lock_index().contains(&c)).await;
    let object = cache.objects.find_fresh(&c).unwrap();
    let stale = FileHeader::of(&c, &object, unix_seconds());
    let parts = encode_object(&stale, &object.body()).unwrap();
    object_file::write_whole(&tier.new_path(&c), &tier.path_of(&c), &parts).unwrap();
    assert!(tier.read(c).await.is_none());
    assert!(!tier.path_of(&c).exists());
    object_file::write_whole(&tier.new_path(&c), &tier.path_of(&c), &parts).unwrap();
    drop(cache);
    let tier = reopened(&directory, tier, 1 << 20).await;
    eventually("removed", || !tier.path_of(&c).exists()).await;
}
