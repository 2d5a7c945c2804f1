//! Lifetimes of tokens that do not state their expiry.

use pitwall_upstream_map::documents::ExpirySource;

use super::*;

#[tokio::test(start_paused = true)]
async fn lifetimes_are_learned_from_rejections() {
    let harness =
        EngineHarness::start(&[("a", &[ScriptedRun::FindsUndated(WORLD_FEED_ONLY, "a.example")])]);
    *harness.executor.token_lifetime.lock().unwrap() = Some(120);
    harness.advance(30).await;
    let upstream = harness.explanation("world-feed").upstreams.remove(0);
    assert_eq!((upstream.expires_at, upstream.expiry), (None, ExpirySource::Unknown));
    harness.advance(120).await;
    let upstream = harness.explanation("world-feed").upstreams.remove(0);
    assert_eq!(upstream.expiry, ExpirySource::Learned);
    // From now on the token is renewed before it is rejected.
    for _ in 0..600 {
        harness.advance(1).await;
        assert_eq!(harness.streams()[0].health, Health::Healthy);
    }
    assert_eq!(harness.metric_value("pitwall_checks_total", &["a", "refused"]), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn the_configured_ttl_holds_until_a_lifetime_is_learned() {
    let options =
        HarnessOptions { settings: &[("a", "ttl = '100s'")], ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(
        &[("a", &[ScriptedRun::FindsUndated(WORLD_FEED_ONLY, "a.example")])],
        &options,
    );
    harness.advance(300).await;
    let upstream = harness.explanation("world-feed").upstreams.remove(0);
    assert_eq!(upstream.expiry, ExpirySource::Configured);
    let runs = harness.executor.run_times("a");
    assert!((4..=5).contains(&runs.len()), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn learned_lifetimes_outlive_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let options = HarnessOptions { state_dir: Some(state.path()), ..HarnessOptions::default() };
    let scripts: Scripts<'_> = &[("a", &[ScriptedRun::FindsUndated(WORLD_FEED_ONLY, "a.example")])];
    let harness = EngineHarness::start_with(scripts, &options);
    *harness.executor.token_lifetime.lock().unwrap() = Some(60);
    harness.advance(200).await;
    harness.stop().await;
    let harness = EngineHarness::start_with(scripts, &options);
    harness.advance(1).await;
    let upstream = harness.explanation("world-feed").upstreams.remove(0);
    assert_eq!(upstream.expiry, ExpirySource::Learned);
}
