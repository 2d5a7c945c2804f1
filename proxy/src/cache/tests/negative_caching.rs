use super::*;

#[tokio::test]
async fn an_error_response_keeps_its_status() {
    let (address, _) = origin().await;
    let problem = open(&large_cache(), target(address, "/gone")).await.err().unwrap();
    assert_eq!(problem, Problem::UpstreamStatus(StatusCode::GONE));
}

#[tokio::test]
async fn an_error_response_is_cached_for_a_moment() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    for _ in 0..20 {
        assert!(open(&cache, target(address, "/gone")).await.is_err());
    }
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    tokio::time::pause();
    tokio::time::advance(negative_cache::PROBLEM_TTL).await;
    tokio::time::resume();
    assert!(open(&cache, target(address, "/gone")).await.is_err());
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}
