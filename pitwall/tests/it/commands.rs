//! Output and exit codes of the executable.

use std::net::TcpListener;

use crate::support::{run_pitwall, start_and_read_line};

#[test]
fn check_names_file_line_and_key() {
    let directory = tempfile::tempdir().unwrap();
    for (text, code, out, err) in [
        ("", 0, "p.toml: fine, 0 sources\n", ""),
        (
            "[edge]\nlisen = \"x\"\n",
            2,
            "",
            "pitwall: p.toml:2: edge.lisen: unknown field `lisen`, expected one of",
        ),
    ] {
        std::fs::write(directory.path().join("p.toml"), text).unwrap();
        let (got, stdout, stderr) = run_pitwall(&["check", "--config", "p.toml"], directory.path());
        assert_eq!((got, stdout.as_str()), (code, out));
        assert!(stderr.starts_with(err), "{stderr}");
    }
    let (code, _, stderr) = run_pitwall(&["check"], directory.path());
    assert_eq!((code, stderr.starts_with("pitwall: conf/pitwall.toml: ")), (2, true), "{stderr}");
    std::fs::create_dir(directory.path().join("sources")).unwrap();
    std::fs::write(directory.path().join("p.toml"), "").unwrap();
    std::fs::write(directory.path().join("sources/a.toml"), "name = \"a\"\nkind = \"x\"\n")
        .unwrap();
    let (code, _, stderr) = run_pitwall(&["check", "--config", "p.toml"], directory.path());
    assert!(code == 2 && stderr.contains("sources/a.toml:2: kind: "), "{code} {stderr}");
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let (code, _, stderr) = run_pitwall(&["demo", "--listen", &address], directory.path());
    assert_eq!(code, 2);
    let expected = format!("pitwall: edge.listen: cannot listen on {address}: ");
    assert!(stderr.starts_with(&expected), "{stderr}");
}

#[test]
fn the_demo_prints_its_url_when_a_session_is_live() {
    let address = crate::support::free_address().to_string();
    let (mut demo, line) = start_and_read_line(&["demo", "--listen", &address]);
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert_eq!(line, format!("A session is live: http://{address}"));
}

#[test]
fn the_version_names_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let (code, version, _) = run_pitwall(&["--version"], directory.path());
    let commit = version.trim().split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    let commit = commit.unwrap_or_default();
    let is_hash = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(code == 0 && (is_hash || commit == "unknown"), "{version}");
}

#[test]
fn links_of_a_person_are_printed_whole() {
    let directory = tempfile::tempdir().unwrap();
    let key = "a".repeat(40);
    std::fs::write(directory.path().join("keys"), format!("anna: {key}\n")).unwrap();
    let config = "[access]\nmode = \"key\"\nkey_file = \"keys\"\n\
                  [edge]\npublic_url = \"https://tv.example/club/\"\n";
    std::fs::write(directory.path().join("pitwall.toml"), config).unwrap();
    let link = |name| run_pitwall(&["link", name, "--config", "pitwall.toml"], directory.path());
    let (code, links, errors) = link("anna");
    assert_eq!((code, errors.as_str()), (0, ""));
    let expected = [
        format!("page\thttps://tv.example/club/?key={key}"),
        format!("IPTV list\thttps://tv.example/club/iptv/playlist.m3u?key={key}"),
        format!("calendar\thttps://tv.example/club/calendar.ics?key={key}"),
    ];
    assert_eq!(links.lines().collect::<Vec<_>>(), expected);
    let (code, _, errors) = link("ben");
    assert_eq!(code, 2);
    assert!(errors.contains("no key has the name \"ben\"; names: anna"), "{errors}");
    assert!(!errors.contains(&key), "{errors}");
}

#[tokio::test]
async fn a_test_is_sent_to_each_webhook() {
    let received = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let record = received.clone();
    let router = axum::Router::new().route(
        "/fine",
        axum::routing::post(async move |body: String| *record.lock().unwrap() = body),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let directory = tempfile::tempdir().unwrap();
    let webhook = |name: &str| {
        format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"http://{address}/{name}\"\n\
             events = [\"failover\"]\nallow_private = [\"127.0.0.0/8\"]\n"
        )
    };
    for (config, expected_code, expected) in [
        (webhook("fine"), 0, "fine\tdelivered: answered with 200\n"),
        (
            webhook("fine") + &webhook("lost"),
            1,
            "fine\tdelivered: answered with 200\nlost\tnot delivered: answered with 404\n",
        ),
        (String::new(), 1, ""),
    ] {
        std::fs::write(directory.path().join("pitwall.toml"), config).unwrap();
        let path = directory.path().to_owned();
        let run = move || run_pitwall(&["notify", "--test", "--config", "pitwall.toml"], &path);
        let (code, output, errors) = tokio::task::spawn_blocking(run).await.unwrap();
        assert_eq!((code, output.as_str()), (expected_code, expected), "{errors}");
    }
    let body: serde_json::Value = serde_json::from_str(&received.lock().unwrap()).unwrap();
    assert_eq!(body["event"], "test");
}

#[test]
fn a_first_configuration_passes_its_check_and_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let init = |arguments: &[&str]| {
        let arguments = [&["init"], arguments].concat();
        run_pitwall(&arguments, directory.path())
    };
    let playlist = "http://192.168.1.2:8000/live.m3u8";
    for (arguments, code, expected) in [
        (&["--source", "nonsense", "--dir", "a"][..], 1, "--source \"nonsense\""),
        (&["--source", playlist, "--feed", "—", "--dir", "a"], 1, "--feed \"—\""),
        (
            &["--source", playlist, "--access", "key", "--dir", "a"],
            0,
            "a/pitwall.toml: fine, 1 source",
        ),
        (
            &["--source", playlist, "--dir", "a"],
            1,
            "a/pitwall.toml exists already: nothing was written; another folder: --dir",
        ),
        (&["--listen", "127.0.0.1:0", "--dir", "b"], 0, "b/pitwall.toml: fine, 0 sources"),
        (
            &["--listen", "127.0.0.1:0", "--dir", "c"],
            0,
            "(umask 077; openssl rand -hex 32 > c/admin.token), and in c/pitwall.toml [access] \
             admin_token_file = \"admin.token\"",
        ),
    ] {
        let (got, output, errors) = init(arguments);
        assert_eq!(got, code, "{arguments:?}: {output}{errors}");
        assert!((output + &errors).contains(expected), "{arguments:?}: {expected}");
    }
    let (code, links, _) =
        run_pitwall(&["link", "me", "--config", "a/pitwall.toml"], directory.path());
    assert!(code == 0 && links.contains("/?key="), "{links}");
    let key = std::fs::metadata(directory.path().join("a/access.key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
}
