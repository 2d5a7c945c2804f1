//! [`ControlPlaneClient`] against scripted control planes, each with one behaviour.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use pitwall_upstream_map::CommandSignature;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// What a control plane behavior with a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ControlPlaneBehavior {
    /// It responds 200 with the request line.
    Leads,
    /// It responds 503 with this body.
    Refuses(&'static str),
    /// It receives the command and closes the connection.
    Disconnects,
    /// Its address refuses connections.
    NotListening,
}

/// Starts a control plane; gives its address and how many commands it has received.
async fn control_plane(behavior: ControlPlaneBehavior) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = received.clone();
    if behavior == ControlPlaneBehavior::NotListening {
        return (address, received);
    }
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            counter.fetch_add(1, Ordering::SeqCst);
            let (status, body) = match behavior {
                ControlPlaneBehavior::Leads => {
                    ("200 OK", request.lines().next().unwrap_or_default().to_owned())
                }
                ControlPlaneBehavior::Refuses(name) => ("503 Service Unavailable", name.to_owned()),
                ControlPlaneBehavior::Disconnects | ControlPlaneBehavior::NotListening => continue,
            };
            let length = body.len();
            let response = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nset-cookie: a=b\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            connection.write_all(response.as_bytes()).await.unwrap();
        }
    });
    (address, received)
}

fn command(method: Method) -> CommandRequest {
    let path_and_query = "/api/streams/w/switch?a=b".to_owned();
    let (headers, body) = (HeaderMap::new(), Vec::new());
    let request_id = RequestId::of_headers(&headers);
    CommandRequest { method, path_and_query, headers, body, request_id }
}

/// The body or problem that forwarding gives, and how many commands each control plane received.
async fn forward(
    method: &Method,
    planes: &[ControlPlaneBehavior],
) -> (Result<String, Problem>, Vec<usize>) {
    let mut addresses = Vec::new();
    let mut counts = Vec::new();
    for behavior in planes {
        let (address, count) = control_plane(*behavior).await;
        addresses.push(address);
        counts.push(count);
    }
    let control = ControlPlaneClient::new(addresses, Vec::new());
    let response = control.forward_command(&command(method.clone())).await;
    let text = response.map(|response| String::from_utf8(response.content().to_vec()).unwrap());
    (text, counts.iter().map(|count| count.load(Ordering::SeqCst)).collect())
}

#[tokio::test]
async fn a_command_is_executed_at_most_once_by_the_leader() {
    use ControlPlaneBehavior::{Disconnects, Leads, NotListening, Refuses};
    let (post, get) = (Method::POST, Method::GET);
    let (standby, without_store) = (Refuses("standing-by"), Refuses("store-unavailable"));
    let unknown = || Err(Problem::CommandOutcomeUnknown);
    let gone = || Err(Problem::ControlUnreachable);
    let done = |method: &Method| Ok(format!("{method} /api/streams/w/switch?a=b HTTP/1.1"));
    for (method, planes, expected, received) in [
        (&post, &[Leads][..], done(&post), &[1][..]),
        (&post, &[Leads, Leads], done(&post), &[1, 0]),
        (&post, &[NotListening, Leads], done(&post), &[0, 1]),
        (&post, &[standby, Leads], done(&post), &[1, 1]),
        (&post, &[NotListening, standby, without_store, Leads], done(&post), &[0, 1, 1, 1]),
        (
            &post,
            &[NotListening, standby, without_store],
            Ok("store-unavailable".to_owned()),
            &[0, 1, 1],
        ),
        (&post, &[standby, NotListening], Ok("standing-by".to_owned()), &[1, 0]),
        (&post, &[NotListening, NotListening], gone(), &[0, 0]),
        (&get, &[NotListening], gone(), &[0]),
        // A control plane that disconnects may have executed the command.
        (&post, &[Disconnects, Leads], unknown(), &[1, 0]),
        (&post, &[standby, Disconnects, Leads], unknown(), &[1, 1, 0]),
        (&get, &[Disconnects, Leads], done(&get), &[1, 1]),
        (&get, &[Disconnects, NotListening], unknown(), &[1, 0]),
        (&get, &[Disconnects, standby], Ok("standing-by".to_owned()), &[1, 1]),
    ] {
        let (response, counts) = forward(method, planes).await;
        assert_eq!(response, expected, "{method} {planes:?}");
        assert_eq!(counts, received, "{method} {planes:?}");
    }
}

#[tokio::test]
async fn the_control_plane_of_the_last_command_is_tried_first() {
    let (unreachable, _) = control_plane(ControlPlaneBehavior::NotListening).await;
    let (standby, refused) = control_plane(ControlPlaneBehavior::Refuses("standing-by")).await;
    let (leader, executed) = control_plane(ControlPlaneBehavior::Leads).await;
    let control = ControlPlaneClient::new(vec![unreachable, standby, leader], Vec::new());
    for commands in 1..=3 {
        let response = control.forward_command(&command(Method::POST)).await.unwrap();
        assert!(response.fields().iter().all(|(name, _)| name != "set-cookie"));
        assert_eq!(executed.load(Ordering::SeqCst), commands);
        assert_eq!(refused.load(Ordering::SeqCst), 1, "only before the leader is known");
    }
}

/// The bytes of each request that a control plane receives, which answers each with 204.
async fn recording_control_plane() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let recorded = received.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).await.unwrap();
            recorded.lock().unwrap().extend_from_slice(&request[..length]);
            let response = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            connection.write_all(response).await.unwrap();
        }
    });
    (address, received)
}

#[tokio::test]
async fn a_command_is_signed_and_the_admin_token_is_not_sent() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let key = CommandKey::of_admin_token(TOKEN.as_bytes());
    for (authorization, path, is_signed) in [
        (format!("Bearer {TOKEN}"), "/api/streams/w/switch?a=b", true),
        // The path is signed as it is sent.
        (format!("bearer  {TOKEN} "), "/api/streams/a|b/./switch?a=\"b\"", true),
        (format!("Basic {TOKEN}"), "/api/streams/w/switch", false),
        (TOKEN.to_owned(), "/api/streams/w/switch", false),
        ("Bearer".to_owned(), "/api/streams/w/switch", false),
    ] {
        let (address, received) = recording_control_plane().await;
        let control = ControlPlaneClient::new(vec![address], Vec::new());
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, authorization.parse().unwrap()),
            (header::COOKIE, format!("a={TOKEN}").parse().unwrap()),
            (header::IF_MATCH, HeaderValue::from_static("\"v1\"")),
        ]);
        let (method, path_and_query, body) = (Method::POST, path.to_owned(), b"{}".to_vec());
        let request_id = RequestId::of_headers(&headers);
        let command = CommandRequest { method, path_and_query, headers, body, request_id };
        control.forward_command(&command).await.unwrap();
        let sent = String::from_utf8(received.lock().unwrap().clone()).unwrap();
        assert!(!sent.contains(TOKEN), "{authorization}: {sent}");
        let field = sent.lines().find_map(|line| line.strip_prefix("authorization: "));
        let headers = field.map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
        let mut headers = HeaderMap::from_iter(headers);
        let signature = CommandSignature::of_headers(&headers);
        assert!(sent.contains("if-match: \"v1\"\r\n"), "{sent}");
        headers.insert(header::IF_MATCH, HeaderValue::from_static("\"v1\""));
        let path = sent.split(' ').nth(1).unwrap();
        let is_accepted = signature.is_some_and(|signature| {
            key.has_signed(&signature, &Method::POST, path, &headers) && signature.is_of_body(b"{}")
        });
        assert_eq!(is_accepted, is_signed, "{authorization}: {sent}");
    }
}
