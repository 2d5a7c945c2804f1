//! Connections without a complete request are closed at the header deadline, before, during and
//! after the TLS handshake.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::generate_simple_self_signed;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;

/// Time in which the edge must close: far more than [`HEADER_TIMEOUT`], far less than any other
/// timeout of the edge.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);
const HEADER_TIMEOUT: Duration = Duration::from_secs(1);
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Starts an edge with TLS and this limit of connections; the edge and its certificate in PEM.
fn start_tls_edge(connections: usize) -> (Process, String) {
    let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = format!(
        "{NO_SCHEDULE_CONFIG}[edge.limits]\nheader = \"1s\"\nconnections = {connections}\n\
         [edge.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n"
    );
    let process = Process::start_after_shell_line("", "run", &config, |directory| {
        fs::write(directory.join("cert.pem"), certified.cert.pem()).unwrap();
        fs::write(directory.join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    });
    (process, certified.cert.pem())
}

/// Connects and completes the TLS handshake, offering `protocol` by ALPN.
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
    stream.set_read_timeout(Some(CLOSE_TIMEOUT)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// The header of a TLS record with a ClientHello of 512 bytes.
const CLIENT_HELLO_HEADER: [u8; 5] = [22, 3, 1, 2, 0];

/// Writes `dripped` one byte per quarter of [`HEADER_TIMEOUT`]; whether the edge closes the
/// connection within [`CLOSE_TIMEOUT`].
fn is_closed_by_edge(mut stream: impl io::Read + io::Write, dripped: &[u8]) -> bool {
    let began = Instant::now();
    for byte in dripped {
        std::thread::sleep(HEADER_TIMEOUT / 4);
        if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
    // Session tickets, SETTINGS frames and alerts may precede the end.
    let mut buffer = [0; 1024];
    while began.elapsed() < CLOSE_TIMEOUT {
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

/// Opens a connection; whether the edge closed it.
type Case = Box<dyn FnOnce() -> bool + Send>;

#[tokio::test]
async fn connections_without_a_request_are_closed_at_the_header_deadline() {
    let config = format!("{NO_SCHEDULE_CONFIG}[edge.limits]\nheader = \"1s\"\n");
    let plain = Process::start("run", &config);
    let (secured, certificate) = start_tls_edge(100);
    plain.wait_until_up().await;
    secured.wait_until_up().await;
    let (plain_address, address) = (plain.listen, secured.listen);
    let connect = |address| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(CLOSE_TIMEOUT)).unwrap();
        stream
    };
    let cases: Vec<(&str, Case)> = vec![
        ("silent", Box::new(move || is_closed_by_edge(connect(plain_address), b""))),
        (
            "drips a request",
            Box::new(move || is_closed_by_edge(connect(plain_address), b"GET /healthz")),
        ),
        ("silent before TLS", Box::new(move || is_closed_by_edge(connect(address), b""))),
        (
            "drips a ClientHello",
            Box::new(move || {
                is_closed_by_edge(connect(address), &[&CLIENT_HELLO_HEADER[..], &[1; 8]].concat())
            }),
        ),
        ("silent in TLS", {
            let certificate = certificate.clone();
            Box::new(move || {
                is_closed_by_edge(handshake(address, &certificate, b"http/1.1").unwrap(), b"")
            })
        }),
        ("silent before the preface", {
            let certificate = certificate.clone();
            Box::new(move || {
                is_closed_by_edge(handshake(address, &certificate, b"h2").unwrap(), b"")
            })
        }),
        ("drips a preface", {
            let certificate = certificate.clone();
            Box::new(move || {
                is_closed_by_edge(
                    handshake(address, &certificate, b"h2").unwrap(),
                    &HTTP2_PREFACE[..12],
                )
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

/// A handshake counts as a connection, so that unfinished handshakes cannot exhaust the open files.
#[tokio::test]
async fn a_handshake_counts_against_the_connection_limit() {
    let (process, certificate) = start_tls_edge(3);
    process.wait_until_up().await;
    let address = process.listen;
    let is_served = move |certificate: String| {
        let response = handshake(address, &certificate, b"http/1.1").and_then(|mut stream| {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            let mut response = [0; 12];
            stream.read_exact(&mut response).map(|()| response)
        });
        response.is_ok_and(|response| response == *b"HTTP/1.1 200")
    };
    let can_connect = || {
        let certificate = certificate.clone();
        async move { tokio::task::spawn_blocking(move || is_served(certificate)).await.unwrap() }
    };
    eventually("who looked whether it is up is gone", || async {
        can_connect().await.then_some(())
    })
    .await;
    let mut waiting = Vec::new();
    eventually("no place is left", || {
        waiting.push(TcpStream::connect(address).unwrap());
        async { (!can_connect().await).then_some(()) }
    })
    .await;
    eventually("places are given back", || async { can_connect().await.then_some(()) }).await;
    drop(waiting);
}
