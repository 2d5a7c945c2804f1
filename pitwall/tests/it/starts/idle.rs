//! Connections that ask for nothing end at the header deadline, however far they have come.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::generate_simple_self_signed;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;

/// Far longer than the deadline of the tests, far shorter than any other of the edge's.
const PATIENCE: Duration = Duration::from_secs(15);
const HEADER: Duration = Duration::from_secs(1);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An edge that has TLS, its certificate and this many places.
fn secured(connections: usize) -> (Process, String) {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = format!(
        "{QUIET}[edge.limits]\nheader = \"1s\"\nconnections = {connections}\n\
         [edge.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n"
    );
    let process = Process::start_under("", "run", &config, |folder| {
        fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    });
    (process, made.cert.pem())
}

/// A TLS connection, with its handshake done.
fn handshake(
    address: SocketAddr,
    certificate: &str,
    protocol: &[u8],
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = "localhost".try_into().unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// A record that says it is a ClientHello of 512 bytes.
const HELLO: [u8; 5] = [22, 3, 1, 2, 0];

/// Writes a byte now and then until the edge closes the connection, or nothing at all.
fn is_ended(mut stream: impl io::Read + io::Write, dripped: &[u8]) -> bool {
    let began = Instant::now();
    for byte in dripped {
        std::thread::sleep(HEADER / 4);
        if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
    // Tickets, settings and alerts come before the end.
    let mut buffer = [0; 1024];
    while began.elapsed() < PATIENCE {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    }
    false
}

/// Opens a connection; was it ended?
type Case = Box<dyn FnOnce() -> bool + Send>;

#[tokio::test]
async fn whoever_asks_for_nothing_is_gone_at_the_header_deadline() {
    let config = format!("{QUIET}[edge.limits]\nheader = \"1s\"\n");
    let plain = Process::start("run", &config);
    let (secured, certificate) = secured(100);
    plain.is_up().await;
    secured.is_up().await;
    let (plain_address, address) = (plain.listen, secured.listen);
    let connect = |address| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let cases: Vec<(&str, Case)> = vec![
        ("silent", Box::new(move || is_ended(connect(plain_address), b""))),
        ("drips a request", Box::new(move || is_ended(connect(plain_address), b"GET /healthz"))),
        ("silent before TLS", Box::new(move || is_ended(connect(address), b""))),
        (
            "drips a ClientHello",
            Box::new(move || is_ended(connect(address), &[&HELLO[..], &[1; 8]].concat())),
        ),
        ("silent in TLS", {
            let certificate = certificate.clone();
            Box::new(move || is_ended(handshake(address, &certificate, b"http/1.1").unwrap(), b""))
        }),
        ("silent before the preface", {
            let certificate = certificate.clone();
            Box::new(move || is_ended(handshake(address, &certificate, b"h2").unwrap(), b""))
        }),
        ("drips a preface", {
            let certificate = certificate.clone();
            Box::new(move || {
                is_ended(handshake(address, &certificate, b"h2").unwrap(), &PREFACE[..12])
            })
        }),
    ];
    let ended = cases.into_iter().map(|(what, case)| async move {
        (what, tokio::task::spawn_blocking(case).await.unwrap())
    });
    for (what, ended) in futures::future::join_all(ended).await {
        assert!(ended, "{what}: it is still open");
    }
}

/// Or whoever never ends one could have all open files of the process.
#[tokio::test]
async fn a_handshake_takes_a_place() {
    let (process, certificate) = secured(3);
    process.is_up().await;
    let address = process.listen;
    let asks = move |certificate: String| {
        let answer = handshake(address, &certificate, b"http/1.1").and_then(|mut stream| {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).map(|()| answer)
        });
        answer.is_ok_and(|answer| answer == *b"HTTP/1.1 200")
    };
    let asks = || {
        let certificate = certificate.clone();
        async move { tokio::task::spawn_blocking(move || asks(certificate)).await.unwrap() }
    };
    eventually("who looked whether it is up is gone", || async { asks().await.then_some(()) })
        .await;
    let mut waiting = Vec::new();
    eventually("no place is left", || {
        waiting.push(TcpStream::connect(address).unwrap());
        async { (!asks().await).then_some(()) }
    })
    .await;
    eventually("places are given back", || async { asks().await.then_some(()) }).await;
    drop(waiting);
}
