use super::*;

#[tokio::test]
async fn a_refusal_keeps_its_meaning() {
    let (address, _) = origin().await;
    let problem = open(&roomy(), target(address, "/gone")).await.err().unwrap();
    assert_eq!(problem, Problem::UpstreamStatus(StatusCode::GONE));
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_moment() {
    let (address, origin) = origin().await;
    let storage = roomy();
    for _ in 0..20 {
        assert!(open(&storage, target(address, "/gone")).await.is_err());
    }
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    tokio::time::pause();
    tokio::time::advance(REFUSED).await;
    tokio::time::resume();
    assert!(open(&storage, target(address, "/gone")).await.is_err());
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}
