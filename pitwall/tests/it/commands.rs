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
