//! Why a target is not fetched: which key would allow it, or what the network answered. The
//! operator is told all of it, in the log and on the terminal; viewers are told no address.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::support::{pitwall, plain};

const PRIVATE: &str = "127.0.0.1 is private: allow_private = [\"127.0.0.1/32\"]";

fn source(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nkind = \"static\"\nfeed = \"{name}\"\nurl = \"{url}\"\n{more}\n"
    )
}

#[tokio::test]
async fn a_target_that_the_policy_forbids_is_named_to_the_operator_alone() {
    let config = format!(
        "{QUIET}[upstream]\nallow_hosts = [\"127.0.0.1:7\", \"cdn.example.com\"]\n{}",
        source("cam", "http://127.0.0.1:7/a.m3u8", "")
    );
    let process = Process::start("run", &config);
    process.is_up().await;
    let log = [
        format!("{PRIVATE} in source \"cam\" allows it"),
        format!("a target is refused: {PRIVATE} in [upstream] allows it"),
        "a target is refused: cdn.example.com:8443 is not in allow_hosts: \
         allow_hosts = [\"cdn.example.com:8443\"] in [upstream] allows it"
            .to_owned(),
    ];
    for _ in 0..20 {
        for url in ["http://127.0.0.1:7/hidden.ts", "https://cdn.example.com:8443/hidden.ts"] {
            let url = format!("http://{}{}", process.listen, plain("/relay", url));
            let answer = fetch(&url).await.unwrap();
            assert_eq!(answer.status(), 403);
            let said = answer.text().await.unwrap();
            assert!(!said.contains("127.0.0.1") && !said.contains("allow"), "{said}");
        }
    }
    for expected in &log {
        process.says(expected).await;
    }
    let said = process.log();
    for refused in &log[1..] {
        assert_eq!(said.matches(refused.as_str()).count(), 1, "{refused}");
    }
    assert!(!said.contains("hidden"), "no path is logged: {said}");
    let public = format!("http://{}/api/extractors", process.listen);
    let told = eventually("the API tells of it", || async {
        let told = fetch(&public).await.ok()?.text().await.ok()?;
        told.contains("not allowed by the address policy").then_some(told)
    })
    .await;
    assert!(!told.contains("127.0.0.1") && !told.contains("allow_private"), "{told}");

    for (command, expected) in [
        (["extract", "cam"], &log[0]),
        (["sign", "http://127.0.0.1:7/a.m3u8"], &format!("{PRIVATE} in [upstream] allows it")),
        (
            ["sign", "http://localhost/a.m3u8"],
            &format!(
                "{PRIVATE} together with allow_hosts = [\"localhost\"] in [upstream] allows it"
            ),
        ),
    ] {
        let arguments = [&command[..], &["--config", "pitwall.toml"]].concat();
        let (code, out, err) = pitwall(&arguments, process.folder.path());
        assert_eq!(code, 1, "{command:?}: {out}{err}");
        assert!(err.contains(expected), "{command:?}: {err}");
        assert!(!out.contains("?u="), "{command:?} prints no link that answers 403: {out}");
    }
}

/// Shows a certificate to whoever connects, and says nothing more.
fn shows(parameters: CertificateParams) -> (SocketAddr, String) {
    let key = KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    let (pem, chain) = (made.pem(), vec![CertificateDer::from(made.der().to_vec())]);
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
    // Accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // By the name that all others have too, it would be taken for one that they signed.
    let mut unknown = certificate("localhost", [2020, 2090]);
    unknown.distinguished_name.push(DnType::CommonName, "nobody");
    let (stranger, _) = shows(unknown);
    let (old, first) = shows(certificate("localhost", [2020, 2021]));
    let (other, second) = shows(certificate("other.test", [2020, 2090]));
    let mut authority = certificate("localhost", [2020, 2090]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (own, third) = shows(authority);
    let here = |address: SocketAddr| format!("https://localhost:{}/a.m3u8", address.port());
    let closed = free();
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
        (
            "stranger",
            here(stranger),
            "its certificate is not trusted: nobody here knows its issuer",
        ),
        ("old", here(old), "its certificate is not trusted: it has expired"),
        ("other", here(other), "its certificate is not trusted: it is for another name"),
        ("own", here(own), "its certificate is not trusted: it is self-signed"),
    ];
    let sources = cases
        .iter()
        .map(|(name, url, _)| source(name, url, "allow_private = [\"127.0.0.0/8\", \"::1/128\"]"));
    let timeouts =
        "[upstream]\ntimeouts = { connect = \"1s\", first_byte = \"1s\", idle = \"1s\" }\n";
    let config = format!("{QUIET}{timeouts}{}", sources.collect::<String>());
    let trusted = "export SSL_CERT_FILE=\"${1%/*}/trusted.pem\"";
    let process = Process::start_under(trusted, "run", &config, |folder| {
        fs::write(folder.join("trusted.pem"), first + &second + &third).unwrap();
    });
    process.is_up().await;
    for (name, _, expected) in &cases {
        let api = format!("http://{}/api/extractors", process.listen);
        let told = || async {
            let told: serde_json::Value = fetch(&api).await.ok()?.json().await.ok()?;
            let one =
                told["extractors"].as_array()?.iter().find(|one| one["name"] == *name)?.to_string();
            one.contains(expected).then(|| assert!(!one.contains("localhost"), "{one}"))
        };
        eventually(&format!("the API tells of {name}: {expected}"), told).await;
        let line =
            |line: &str| line.contains(&format!("source=\"{name}\"")) && line.contains(expected);
        assert!(process.log().lines().any(line), "{name}: {}", process.log());
    }
}
