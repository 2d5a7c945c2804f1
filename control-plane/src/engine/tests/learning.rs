//! How long tokens live that do not say so.

use pitwall_upstream_map::documents::ExpirySource;

use super::*;

#[tokio::test(start_paused = true)]
async fn lifetimes_are_learned_from_refusals() {
    let bench = Bench::start(&[("a", &[Run::FindsUndated(ONE, "a.example")])]);
    *bench.world.lives.lock().unwrap() = Some(120);
    bench.pass(30).await;
    let upstream = bench.explanation("world-feed").upstreams.remove(0);
    assert_eq!((upstream.expires_at, upstream.expiry), (None, ExpirySource::Unknown));
    bench.pass(120).await;
    let upstream = bench.explanation("world-feed").upstreams.remove(0);
    assert_eq!(upstream.expiry, ExpirySource::Learned);
    // From now on it is renewed before it is refused.
    for _ in 0..600 {
        bench.pass(1).await;
        assert_eq!(bench.streams()[0].health, Health::Healthy);
    }
    assert_eq!(bench.figure("pitwall_checks_total", &["a", "refused"]), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_configured_holds_until_something_is_learned() {
    let setup = Setup { settings: &[("a", "ttl = '100s'")], ..Setup::default() };
    let bench = Bench::with(&[("a", &[Run::FindsUndated(ONE, "a.example")])], &setup);
    bench.pass(300).await;
    let upstream = bench.explanation("world-feed").upstreams.remove(0);
    assert_eq!(upstream.expiry, ExpirySource::Configured);
    let runs = bench.world.runs("a");
    assert!((4..=5).contains(&runs.len()), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_outlives_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup { state: Some(state.path()), ..Setup::default() };
    let scripts: Scripts<'_> = &[("a", &[Run::FindsUndated(ONE, "a.example")])];
    let bench = Bench::with(scripts, &setup);
    *bench.world.lives.lock().unwrap() = Some(60);
    bench.pass(200).await;
    bench.stop().await;
    let bench = Bench::with(scripts, &setup);
    bench.pass(1).await;
    let upstream = bench.explanation("world-feed").upstreams.remove(0);
    assert_eq!(upstream.expiry, ExpirySource::Learned);
}
