//! Against control planes that do what they are told, one command each.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// What a control plane does with a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// It leads.
    Leads,
    /// It answers 503 with this type.
    Refuses(&'static str),
    /// It takes the command and breaks off.
    BreaksOff,
    /// Nobody listens.
    IsGone,
}

/// A control plane, and how many commands it was sent.
async fn control_plane(does: Does) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, got) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = got.clone();
    if does == Does::IsGone {
        return (address, got);
    }
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            counted.fetch_add(1, Ordering::SeqCst);
            let (status, body) = match does {
                Does::Leads => ("200 OK", request.lines().next().unwrap_or_default().to_owned()),
                Does::Refuses(name) => ("503 Service Unavailable", name.to_owned()),
                Does::BreaksOff | Does::IsGone => continue,
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nset-cookie: a=b\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, got)
}

fn command(method: Method) -> Command {
    let path_and_query = "/api/streams/w/switch?a=b".to_owned();
    Command { method, path_and_query, headers: HeaderMap::new(), body: Vec::new() }
}

/// What is answered by control planes that do this, and how many of them got the command.
async fn ask(method: &Method, planes: &[Does]) -> (Result<String, Problem>, Vec<usize>) {
    let mut addresses = Vec::new();
    let mut counts = Vec::new();
    for does in planes {
        let (address, count) = control_plane(*does).await;
        addresses.push(address);
        counts.push(count);
    }
    let control = Control::new(addresses, Vec::new());
    let answer = control.pass_on(&command(method.clone())).await;
    let text = answer.map(|answer| String::from_utf8(answer.content().to_vec()).unwrap());
    (text, counts.iter().map(|count| count.load(Ordering::SeqCst)).collect())
}

#[tokio::test]
async fn a_command_is_done_once_by_the_one_that_leads() {
    use Does::{BreaksOff, IsGone, Leads, Refuses};
    let (post, get) = (Method::POST, Method::GET);
    let (stands_by, cut_off) = (Refuses("standing-by"), Refuses("store-unavailable"));
    let unknown = || Err(Problem::OutcomeUnknown);
    let gone = || Err(Problem::ControlUnreachable);
    let done = |method: &Method| Ok(format!("{method} /api/streams/w/switch?a=b HTTP/1.1"));
    for (method, planes, expected, got) in [
        (&post, &[Leads][..], done(&post), &[1][..]),
        (&post, &[Leads, Leads], done(&post), &[1, 0]),
        (&post, &[IsGone, Leads], done(&post), &[0, 1]),
        (&post, &[stands_by, Leads], done(&post), &[1, 1]),
        (&post, &[IsGone, stands_by, cut_off, Leads], done(&post), &[0, 1, 1, 1]),
        (&post, &[IsGone, stands_by, cut_off], Ok("store-unavailable".to_owned()), &[0, 1, 1]),
        (&post, &[stands_by, IsGone], Ok("standing-by".to_owned()), &[1, 0]),
        (&post, &[IsGone, IsGone], gone(), &[0, 0]),
        (&get, &[IsGone], gone(), &[0]),
        // It may have done it.
        (&post, &[BreaksOff, Leads], unknown(), &[1, 0]),
        (&post, &[stands_by, BreaksOff, Leads], unknown(), &[1, 1, 0]),
        (&get, &[BreaksOff, Leads], done(&get), &[1, 1]),
        (&get, &[BreaksOff, IsGone], unknown(), &[1, 0]),
        (&get, &[BreaksOff, stands_by], Ok("standing-by".to_owned()), &[1, 1]),
    ] {
        let (answer, counts) = ask(method, planes).await;
        assert_eq!(answer, expected, "{method} {planes:?}");
        assert_eq!(counts, got, "{method} {planes:?}");
    }
}

#[tokio::test]
async fn who_did_the_last_command_is_asked_first() {
    let (gone, _) = control_plane(Does::IsGone).await;
    let (standby, asked) = control_plane(Does::Refuses("standing-by")).await;
    let (leader, led) = control_plane(Does::Leads).await;
    let control = Control::new(vec![gone, standby, leader], Vec::new());
    for commands in 1..=3 {
        let answer = control.pass_on(&command(Method::POST)).await.unwrap();
        assert!(answer.fields().iter().all(|(name, _)| name != "set-cookie"));
        assert_eq!(led.load(Ordering::SeqCst), commands);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "only as long as nobody is known");
    }
}
