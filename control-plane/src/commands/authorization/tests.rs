//! [`CommandAuthorizer`] with commands that were tampered with on their way.

use std::sync::Arc;

use axum::response::IntoResponse as _;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;

use super::*;

const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_700_000_000;
const PATH: &str = "/api/streams/w/switch?a=b";

fn authorizer(time: &Arc<Mutex<Timestamp>>) -> CommandAuthorizer {
    let token = Some(AdminToken::new(TOKEN).unwrap());
    CommandAuthorizer::new(watch::Sender::new(token).subscribe(), Clock::manual(time.clone()))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn request(method: Method, path: &str, authorization: &str, body: &str) -> Request {
    let request = Request::builder().method(method).uri(path);
    let request = match authorization {
        "" => request,
        value => request.header(header::AUTHORIZATION, value),
    };
    request.body(Body::from(body.to_owned())).unwrap()
}

/// The name of the problem, or the body of the authorized request.
async fn authorize(authorizer: &CommandAuthorizer, request: Request) -> Result<String, String> {
    match authorizer.authorize(request).await {
        Ok(request) => {
            let body = to_bytes(request.into_body(), 1024).await.unwrap();
            Ok(String::from_utf8(body.to_vec()).unwrap())
        }
        Err(problem) => {
            let response = problem.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            let body = to_bytes(response.into_body(), 4096).await.unwrap();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            Err(problem["type"].as_str().unwrap().replace("urn:pitwall:problem:", ""))
        }
    }
}

#[tokio::test]
async fn only_the_command_that_was_signed_is_authorized() {
    let time = Arc::new(Mutex::new(at(NOW)));
    let sign = |token: &[u8], time| {
        let key = CommandKey::of_admin_token(token);
        let signature = key.sign(&Method::POST, PATH, &HeaderMap::new(), b"{}", time);
        signature.to_header().to_str().unwrap().to_owned()
    };
    let signed = sign(TOKEN, NOW);
    let parts: Vec<&str> = signed.split('.').collect();
    let with_part = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part;
        parts.join(".")
    };
    let without_part = |index: usize| {
        let mut parts = parts.clone();
        parts.remove(index);
        parts.join(".")
    };
    let (another_hash, token) = ("0".repeat(64), String::from_utf8(TOKEN.to_vec()).unwrap());
    let (post, missing, invalid) = (Method::POST, "admin-token-missing", "admin-token-invalid");
    for (what, method, path, authorization, body, expected) in [
        ("as signed", &post, PATH, signed.clone(), "{}", Ok("{}")),
        ("the method", &Method::GET, PATH, signed.clone(), "{}", Err(invalid)),
        ("the path", &post, "/api/streams/v/switch?a=b", signed.clone(), "{}", Err(invalid)),
        ("the query", &post, "/api/streams/w/switch?a=c", signed.clone(), "{}", Err(invalid)),
        ("no query", &post, "/api/streams/w/switch", signed.clone(), "{}", Err(invalid)),
        ("the body", &post, PATH, signed.clone(), "{\"pin\":false}", Err(invalid)),
        ("no body", &post, PATH, signed.clone(), "", Err(invalid)),
        (
            "the time",
            &post,
            PATH,
            signed.replace(&NOW.to_string(), &(NOW + 1).to_string()),
            "{}",
            Err(invalid),
        ),
        ("the nonce", &post, PATH, with_part(1, &"0".repeat(32)), "{}", Err(invalid)),
        ("the body's hash", &post, PATH, with_part(2, &another_hash), "{}", Err(invalid)),
        ("the signature", &post, PATH, with_part(3, &another_hash), "{}", Err(invalid)),
        ("another token", &post, PATH, sign(&TOKEN[1..], NOW), "{}", Err(invalid)),
        ("no signature", &post, PATH, without_part(3), "{}", Err(invalid)),
        ("no nonce", &post, PATH, without_part(1), "{}", Err(invalid)),
        ("nothing", &post, PATH, String::new(), "{}", Err(missing)),
        ("60 s old", &post, PATH, sign(TOKEN, NOW - 60), "{}", Ok("{}")),
        ("61 s old", &post, PATH, sign(TOKEN, NOW - 61), "{}", Err("signature-expired")),
        ("60 s ahead", &post, PATH, sign(TOKEN, NOW + 60), "{}", Ok("{}")),
        ("61 s ahead", &post, PATH, sign(TOKEN, NOW + 61), "{}", Err("signature-expired")),
        ("the end of time", &post, PATH, sign(TOKEN, i64::MAX), "{}", Err("signature-expired")),
        ("its beginning", &post, PATH, sign(TOKEN, i64::MIN), "{}", Err("signature-expired")),
        ("an operator's", &post, PATH, format!("Bearer {token}"), "{}", Ok("{}")),
    ] {
        let request = request(method.clone(), path, &authorization, body);
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(authorize(&authorizer(&time), request).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_signature_is_accepted_once() {
    let time = Arc::new(Mutex::new(at(NOW)));
    let authorizer = authorizer(&time);
    let key = CommandKey::of_admin_token(TOKEN);
    // Signed by a clock that is ahead, so that its time is accepted for longest.
    let signed = key.sign(&Method::POST, PATH, &HeaderMap::new(), b"", NOW + 60).to_header();
    let send = || request(Method::POST, PATH, signed.to_str().unwrap(), "");
    for (seconds, expected) in [
        (0, Ok(String::new())),
        (0, Err("signature-replayed".to_owned())),
        (120, Err("signature-replayed".to_owned())),
        (121, Err("signature-expired".to_owned())),
    ] {
        *time.lock().unwrap() = at(NOW + seconds);
        assert_eq!(authorize(&authorizer, send()).await, expected, "after {seconds} s");
    }
    let another = key.sign(&Method::POST, PATH, &HeaderMap::new(), b"", NOW + 200).to_header();
    *time.lock().unwrap() = at(NOW + 200);
    let another = request(Method::POST, PATH, another.to_str().unwrap(), "");
    assert_eq!(authorize(&authorizer, another).await, Ok(String::new()));
    assert_eq!(authorizer.used_nonces.lock().unwrap().len(), 1, "the first one has expired");
}
