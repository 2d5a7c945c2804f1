//! Why a target is not fetched: the configuration key that would allow it, or the network error.
//! The reason is in the log and on the operator's terminal; responses to viewers contain no
//! address.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::support::{plain_link, run_pitwall};

const PRIVATE_ADDRESS_MESSAGE: &str = "127.0.0.1 is private: allow_private = [\"127.0.0.1/32\"]";

/// The configuration of a static source.
fn source(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nkind = \"static\"\nfeed = \"{name}\"\nurl = \"{url}\"\n{more}\n"
    )
}

#[tokio::test]
async fn a_target_that_the_policy_forbids_is_named_to_the_operator_alone() {
    let config = format!(
        "{NO_SCHEDULE_CONFIG}[upstream]\nallow_hosts = [\"127.0.0.1:7\", \"cdn.example.com\"]\n{}",
        source("cam", "http://127.0.0.1:7/a.m3u8", "")
    );
    let process = Process::start("run", &config);
    process.wait_until_up().await;
    let log = [
        format!("{PRIVATE_ADDRESS_MESSAGE} in source \"cam\" allows it"),
        format!("a target is refused: {PRIVATE_ADDRESS_MESSAGE} in [upstream] allows it"),
        "a target is refused: cdn.example.com:8443 is not in allow_hosts: \
         allow_hosts = [\"cdn.example.com:8443\"] in [upstream] allows it"
            .to_owned(),
    ];
    for _ in 0..20 {
        for url in ["http://127.0.0.1:7/hidden.ts", "https://cdn.example.com:8443/hidden.ts"] {
            let url = format!("http://{}{}", process.listen, plain_link("/relay", url));
            let response = fetch(&url).await.unwrap();
            assert_eq!(response.status(), 403);
            let body = response.text().await.unwrap();
            assert!(!body.contains("127.0.0.1") && !body.contains("allow"), "{body}");
        }
    }
    for expected in &log {
        process.wait_for_log_line(expected).await;
    }
    let logged = process.log();
    for refused in &log[1..] {
        assert_eq!(logged.matches(refused.as_str()).count(), 1, "{refused}");
    }
    assert!(!logged.contains("hidden"), "no path is logged: {logged}");
    let public = format!("http://{}/api/extractors", process.listen);
    let extractors = eventually("the API shows the reason", || async {
        let text = fetch(&public).await.ok()?.text().await.ok()?;
        text.contains("not allowed by the address policy").then_some(text)
    })
    .await;
    assert!(
        !extractors.contains("127.0.0.1") && !extractors.contains("allow_private"),
        "{extractors}"
    );

    for (command, expected) in [
        (["extract", "cam"], &log[0]),
        (
            ["sign", "http://127.0.0.1:7/a.m3u8"],
            &format!("{PRIVATE_ADDRESS_MESSAGE} in [upstream] allows it"),
        ),
        (
            ["sign", "http://localhost/a.m3u8"],
            &format!(
                "{PRIVATE_ADDRESS_MESSAGE} together with allow_hosts = [\"localhost\"] in [upstream] allows it"
            ),
        ),
    ] {
        let arguments = [&command[..], &["--config", "pitwall.toml"]].concat();
        let (code, out, err) = run_pitwall(&arguments, process.folder.path());
        assert_eq!(code, 1, "{command:?}: {out}{err}");
        assert!(err.contains(expected), "{command:?}: {err}");
        assert!(!out.contains("?u="), "{command:?} prints no link that answers 403: {out}");
    }
}

/// Serves TLS handshakes with a self-signed certificate and nothing else; the address and the
/// certificate in PEM.
fn serve_certificate(parameters: CertificateParams) -> (SocketAddr, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let (pem, chain) = (certificate.pem(), vec![CertificateDer::from(certificate.der().to_vec())]);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
            let _ = stream.flush();
        }
    });
    (address, pem)
}

fn certificate(name: &str, years: [i32; 2]) -> CertificateParams {
    let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
    [parameters.not_before, parameters.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
    parameters
}

#[tokio::test]
async fn a_connection_that_fails_says_why() {
    let _ = client();
    // A listener whose connections are never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // A subject of its own, since with the others' subject it would be taken for signed by them.
    let mut unknown = certificate("localhost", [2020, 2090]);
    unknown.distinguished_name.push(DnType::CommonName, "nobody");
    let (stranger, _) = serve_certificate(unknown);
    let (old, first) = serve_certificate(certificate("localhost", [2020, 2021]));
    let (other, second) = serve_certificate(certificate("other.test", [2020, 2090]));
    let mut authority = certificate("localhost", [2020, 2090]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (own, third) = serve_certificate(authority);
    let url = |address: SocketAddr| format!("https://localhost:{}/a.m3u8", address.port());
    let closed = free_address();
    let cases = [
        (
            "refused",
            format!("http://{closed}/a.m3u8"),
            "the upstream cannot be connected to: the connection was refused",
        ),
        (
            "refused-tls",
            format!("https://{closed}/a.m3u8"),
            "the upstream cannot be connected to: the connection was refused",
        ),
        (
            "silent",
            format!("http://{}/a.m3u8", silent.local_addr().unwrap()),
            "the upstream did not answer in time",
        ),
        ("stranger", url(stranger), "its certificate is not trusted: nobody here knows its issuer"),
        ("old", url(old), "its certificate is not trusted: it has expired"),
        ("other", url(other), "its certificate is not trusted: it is for another name"),
        ("own", url(own), "its certificate is not trusted: it is self-signed"),
    ];
    let sources = cases
        .iter()
        .map(|(name, url, _)| source(name, url, "allow_private = [\"127.0.0.0/8\", \"::1/128\"]"));
    let timeouts =
        "[upstream]\ntimeouts = { connect = \"1s\", first_byte = \"1s\", idle = \"1s\" }\n";
    let config = format!("{NO_SCHEDULE_CONFIG}{timeouts}{}", sources.collect::<String>());
    let trusted = "export SSL_CERT_FILE=\"${1%/*}/trusted.pem\"";
    let process = Process::start_after_shell_line(trusted, "run", &config, |folder| {
        fs::write(folder.join("trusted.pem"), first + &second + &third).unwrap();
    });
    process.wait_until_up().await;
    for (name, _, expected) in &cases {
        let api = format!("http://{}/api/extractors", process.listen);
        let shows_reason = || async {
            let document: serde_json::Value = fetch(&api).await.ok()?.json().await.ok()?;
            let mut extractors = document["extractors"].as_array()?.iter();
            let extractor = extractors.find(|one| one["name"] == *name)?.to_string();
            let is_shown = extractor.contains(expected);
            is_shown.then(|| assert!(!extractor.contains("localhost"), "{extractor}"))
        };
        eventually(&format!("the API shows {name}: {expected}"), shows_reason).await;
        let line =
            |line: &str| line.contains(&format!("source=\"{name}\"")) && line.contains(expected);
        assert!(process.log().lines().any(line), "{name}: {}", process.log());
    }
}
