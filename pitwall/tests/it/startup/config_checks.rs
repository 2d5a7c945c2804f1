//! `pitwall check` reports what `pitwall run` refuses, with file, line and key.

use super::*;

/// Runs the executable in `/` until it exits, or kills it after 20 s, when a start was not refused;
/// exit code and output.
fn run_briefly(command: &str, directory: &Path) -> (Option<i32>, String) {
    let output = Command::new("timeout")
        .args(["--signal=KILL", "20"])
        .arg(env!("CARGO_BIN_EXE_pitwall"))
        .args([command, "--config"])
        .arg(directory.join("pitwall.toml"))
        .env("PITWALL_EDGE__LISTEN", free_address().to_string())
        .env("PITWALL_EDGE__ADMIN", free_address().to_string())
        .env("PITWALL_LOG", "error")
        .current_dir("/")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout) + &text(output.stderr))
}

/// A directory with a file for each kind of secret, two certificates and a configuration.
fn config_folder(config: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    for (name, letter) in [("key", "k"), ("seal", "s"), ("token", "t"), ("hook", "h")] {
        write(name, &letter.repeat(40));
    }
    write("short", "short");
    for name in ["one", "other"] {
        let certified = rcgen::generate_simple_self_signed([format!("{name}.test")]).unwrap();
        write(format!("{name}.cert").as_str(), &certified.cert.pem());
        write(format!("{name}.key").as_str(), &certified.signing_key.serialize_pem());
    }
    write("races.ics", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n");
    write("overrides.toml", "");
    write("pitwall.toml", config);
    directory
}

#[test]
fn a_check_refuses_what_a_start_refuses() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let webhook = "[[webhook]]\nname = \"phone\"\nurl = \"https://ntfy.example/x\"\n";
    // Each configuration with the location and reason of its error; FOLDER is its directory.
    for (config, expected) in [
        (
            "[access]\nadmin_token_file = \"no\"\n",
            "pitwall.toml:2: access.admin_token_file: FOLDER/no: No such file",
        ),
        (
            "[access]\nadmin_token_file = \"short\"\n",
            "pitwall.toml:2: access.admin_token_file: FOLDER/short: a token has at least 32",
        ),
        (
            "[access]\nadmin_token_file = \".\"\n",
            "pitwall.toml:2: access.admin_token_file: FOLDER: Is a directory",
        ),
        (
            "[access]\nseal_key_file = \"no\"\n",
            "pitwall.toml:2: access.seal_key_file: FOLDER/no: No such file",
        ),
        (
            "[access]\nseal_key_file = \"short\"\n",
            "pitwall.toml:2: access.seal_key_file: FOLDER/short holds a key of less than",
        ),
        (
            "[access]\nseal_key_file = \"seal\"\nadmin_token_file = \"seal\"\n",
            "pitwall.toml:3: access.admin_token_file: FOLDER/seal: it is the seal key",
        ),
        ("[access]\nmode = \"key\"\n", "access.key_file: mode = \"key\" needs one"),
        (
            "[access]\nmode = \"key\"\nkey_file = \"no\"\n",
            "pitwall.toml:3: access.key_file: FOLDER/no: No such file",
        ),
        ("[access]\nkey_file = \"key\"\n", "access.mode: access.key_file needs mode = \"key\""),
        (
            "[edge.tls]\ncert = \"no\"\nkey = \"one.key\"\n",
            "pitwall.toml:2: edge.tls.cert: FOLDER/no: ",
        ),
        (
            "[edge.tls]\ncert = \"one.cert\"\nkey = \"no\"\n",
            "pitwall.toml:3: edge.tls.key: FOLDER/no: ",
        ),
        (
            "[edge.tls]\ncert = \"one.cert\"\nkey = \"other.key\"\n",
            "pitwall.toml:3: edge.tls.key: FOLDER/other.key: ",
        ),
        (
            "[edge.tls]\ncert = \"one.key\"\nkey = \"other.key\"\n",
            "pitwall.toml:2: edge.tls.cert: FOLDER/one.key: holds no certificate",
        ),
        (
            format!("{webhook}secret_file = \"no\"\n").as_str(),
            "pitwall.toml:4: webhook.0.secret_file: FOLDER/no: No such file",
        ),
        (
            format!("{webhook}secret_file = \"short\"\n").as_str(),
            "pitwall.toml:4: webhook.0.secret_file: FOLDER/short: holds less than 32",
        ),
        (
            format!("{webhook}{webhook}").as_str(),
            "two webhooks have this name: FOLDER/pitwall.toml:1 and FOLDER/pitwall.toml:4",
        ),
        (
            "[schedule]\nproviders = []\noverride_file = \"no\"\n",
            "pitwall.toml:3: schedule.override_file: FOLDER/no: No such file",
        ),
        (
            "[schedule]\nproviders = []\noverride_file = \".\"\n",
            "pitwall.toml:3: schedule.override_file: FOLDER: Is a directory",
        ),
        ("[state]\ndir = \"short\"\n", "pitwall.toml:2: state.dir: FOLDER/short"),
        ("[state]\ndir = \"short/below\"\n", "pitwall.toml:2: state.dir: FOLDER/short/below"),
        (
            "[control]\nlisten = \"192.0.2.1:1\"\n",
            "pitwall.toml:2: control.listen: cannot listen on 192.0.2.1:1: ",
        ),
        (
            format!("[control]\nlisten = \"{taken}\"\nadmin = \"{taken}\"\n").as_str(),
            format!("pitwall.toml:3: control.admin: {taken} is taken by control.listen").as_str(),
        ),
        (
            "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\n",
            "access.seal_key_file: a Redis store needs one",
        ),
        (
            "[edge]\npublic_url = \"https://a.example/live/\"\n",
            "pitwall.toml:2: edge.public_url: /live is a path of Pitwall's own: take another",
        ),
    ] {
        let directory = config_folder(config);
        let expected = expected.replace("FOLDER", &directory.path().display().to_string());
        for command in ["check", "run"] {
            let (code, output) = run_briefly(command, directory.path());
            assert_eq!(code, Some(2), "{command} {config}: {output}");
            assert!(
                output.contains(&expected),
                "{command} {config}\n  says {output}\n  not {expected}"
            );
            let state = directory.path().join("state");
            assert!(command == "run" || !state.exists(), "{config}: a check left a key behind");
        }
    }
}

/// These errors only disable a source, the calendar, a webhook or the saved state: `run` logs them
/// and starts, whereas `check` fails.
#[tokio::test]
async fn a_check_refuses_what_a_start_goes_on_without() {
    const STATIC: &str = "[[source]]\nname = \"cam\"\nkind = \"static\"\nfeed = \"A\"\n";
    let private = |keys: &str| format!("allow_private = [\"192.168.1.5/32\"] in {keys} allows it");
    for (config, location, reason) in [
        (
            format!("{STATIC}url = \"http://192.168.1.5/a.m3u8\"\n"),
            "pitwall.toml:1: source: ",
            format!("192.168.1.5 is private: {}", private("source \"cam\"")),
        ),
        (
            "[schedule]\nproviders = [\"ics\"]\nics_url = \"http://192.168.1.5/a.ics\"\n"
                .to_owned(),
            "pitwall.toml:3: schedule.ics_url: ",
            format!("192.168.1.5 is private: {}", private("[schedule]")),
        ),
        (
            "[[webhook]]\nname = \"phone\"\nurl = \"http://192.168.1.5/a\"\n".to_owned(),
            "pitwall.toml:3: webhook.0.url: ",
            format!("192.168.1.5 is private: {}", private("webhook \"phone\"")),
        ),
        (
            "[schedule]\nproviders = [\"ics\"]\nics_file = \"no.ics\"\n".to_owned(),
            "pitwall.toml:3: schedule.ics_file: ",
            "/no.ics: No such file".to_owned(),
        ),
        (
            "[access]\nseal_key_file = \"seal\"\n[state]\ndir = \"short\"\n".to_owned(),
            "pitwall.toml:4: state.dir: ",
            "/short: nothing can be kept there: ".to_owned(),
        ),
    ] {
        let directory = config_folder(&config);
        let (code, output) = run_briefly("check", directory.path());
        assert_eq!(code, Some(2), "{config}: {output}");
        assert!(output.contains(location) && output.contains(&reason), "{config}: {output}");
        let process = Process::start_in(directory, "", "run");
        process.wait_for_log_line(&reason).await;
        process.wait_until_up().await;
    }
}

/// The working directory is another one, as for a system service; an error contains the path that
/// was tried.
#[test]
fn every_relative_path_is_relative_to_the_configuration() {
    let config = "[edge.tls]\ncert = \"one.cert\"\nkey = \"one.key\"\n\
        [access]\nmode = \"key\"\nkey_file = \"key\"\nseal_key_file = \"seal\"\n\
        admin_token_file = \"token\"\n\
        [schedule]\nproviders = [\"ics\"]\nics_file = \"races.ics\"\n\
        override_file = \"overrides.toml\"\n[state]\ndir = \"kept\"\n\
        [extract]\nyt_dlp = \"./yt-dlp\"\nstreamlink = \"bin/streamlink\"\n\
        [extract.browser]\nenabled = true\nexecutable = \"./chromium\"\n\
        [[webhook]]\nname = \"a\"\nurl = \"https://ntfy.example/x\"\nsecret_file = \"hook\"\n";
    let source = |kind: &str, more: &str| {
        format!("[[source]]\nname = \"{kind}\"\nkind = \"{kind}\"\nfeed = \"A\"\n{more}\n")
    };
    let page = "url = \"https://club.example/live\"";
    let sources: String =
        ["yt-dlp", "streamlink", "browser"].map(|kind| source(kind, page)).concat();
    let directory = config_folder(format!("{config}{sources}").as_str());
    let programs = ["yt-dlp", "bin/streamlink", "chromium"];
    fs::create_dir(directory.path().join("bin")).unwrap();
    for program in programs {
        let path = directory.path().join(program);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (code, output) = run_briefly("check", directory.path());
    assert!(code == Some(0) && output.lines().count() == 1, "{output}");

    let files =
        ["one.cert", "one.key", "key", "seal", "token", "races.ics", "overrides.toml", "hook"];
    for name in files.into_iter().chain(programs) {
        let (path, away) = (directory.path().join(name), directory.path().join("away"));
        fs::rename(&path, &away).unwrap();
        let (code, output) = run_briefly("check", directory.path());
        fs::rename(&away, &path).unwrap();
        // A missing program is no error, since another machine may have it.
        let expected = if programs.contains(&name) { 0 } else { 2 };
        assert_eq!(code, Some(expected), "{name}: {output}");
        let tried = path.display().to_string();
        assert!(output.contains(&tried), "{name}: {output}");
    }
}
