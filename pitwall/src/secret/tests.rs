use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_seal_key_is_made_once_and_is_private() {
    let state = tempfile::tempdir().unwrap();
    let access = AccessConfig::default();
    let made =
        load_seal_keys(&access, state.path(), &ConfigKeyLocations::default(), StartMode::Start)
            .unwrap();
    assert_eq!(
        load_seal_keys(&access, state.path(), &ConfigKeyLocations::default(), StartMode::Start)
            .unwrap()
            .current,
        made.current
    );
    let permissions = fs::metadata(state.path().join("seal.key")).unwrap().permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);
}

/// Links in use must not end because only half of a state directory was restored.
#[test]
fn a_seal_key_that_is_missing_beside_other_state_is_not_replaced() {
    let state = tempfile::tempdir().unwrap();
    let access = AccessConfig::default();
    let load = |mode| load_seal_keys(&access, state.path(), &ConfigKeyLocations::default(), mode);
    assert!(load(StartMode::Check).is_ok());
    assert!(load(StartMode::Join).err().unwrap().to_string().contains("PITWALL_STATE__DIR"));
    assert!(!state.path().join("seal.key").exists(), "neither leaves anything behind");
    fs::write(state.path().join("history.json"), "{}").unwrap();
    for mode in [StartMode::Check, StartMode::Start] {
        let error = load(mode).err().unwrap().to_string();
        assert!(error.contains("missing beside history.json: restore it from a backup"), "{error}");
    }
    fs::write(state.path().join("seal.key"), "").unwrap();
    let error = load(StartMode::Start).err().unwrap().to_string();
    assert!(error.contains("holds no key: restore it from a backup, or delete it"), "{error}");
}

#[test]
fn a_short_or_missing_seal_key_is_a_configuration_error() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("key");
    let access = AccessConfig { seal_key_file: Some(path.clone()), ..AccessConfig::default() };
    let key = "k".repeat(32);
    for (content, expected) in [
        (None, "No such file"),
        (Some("short".to_owned()), "less than 32 bytes"),
        (Some("\n\n".to_owned()), "holds no key"),
        (Some(format!("{key}\nshort")), "less than 32 bytes"),
        (Some(format!("{key}\n{key}\n{key}\n")), "more than two keys"),
    ] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error =
            load_seal_keys(&access, state.path(), &ConfigKeyLocations::default(), StartMode::Start)
                .err()
                .unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_admin_token_is_long_enough_and_no_seal_key() {
    let state = tempfile::tempdir().unwrap();
    let file = |name: &str| state.path().join(name);
    let (token, seal) = ("t".repeat(40), "s".repeat(40));
    fs::write(file("seal"), format!("{seal}\n{token}\n")).unwrap();
    fs::write(file("token"), format!("{token}\n")).unwrap();
    fs::write(file("fine"), "f".repeat(40)).unwrap();
    fs::write(file("short"), "short").unwrap();
    fs::write(file("words"), format!("{token} {token}")).unwrap();
    assert!(
        load_admin_token(&AccessConfig::default(), &ConfigKeyLocations::default())
            .unwrap()
            .edge_token()
            .is_none()
    );
    for (name, expected) in [
        ("fine", None),
        ("missing", Some("No such file")),
        ("short", Some("at least 32 characters")),
        ("words", Some("one word")),
        ("token", Some("is the seal key")),
    ] {
        let access = AccessConfig {
            seal_key_file: Some(file("seal")),
            admin_token_file: Some(file(name)),
            ..AccessConfig::default()
        };
        match (load_admin_token(&access, &ConfigKeyLocations::default()), expected) {
            (Ok(token), None) => {
                assert!(token.edge_token().is_some() && token.command_token().unwrap().is_some());
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (got, _) => panic!("{name}: {:?}", got.map(|token| token.0.is_some())),
        }
    }
}

#[test]
fn a_key_for_viewers_is_long_enough_and_no_other_secret() {
    let state = tempfile::tempdir().unwrap();
    let file = |name: &str| state.path().join(name);
    let key = |letter: &str| letter.repeat(40);
    for (name, content) in [
        ("seal", key("s")),
        ("token", key("t")),
        ("key", format!("{}\n", key("k"))),
        ("rotated", format!("{}\n{}\n", key("n"), key("k"))),
        ("three", format!("{}\n{}\n{}", key("a"), key("b"), key("c"))),
        ("named", format!("# friends\nanna: {}\nben:{}\n{}\n", key("n"), key("b"), key("k"))),
        ("twice", format!("anna: {}\nanna: {}", key("n"), key("b"))),
        ("same", format!("anna: {}\nben: {}", key("n"), key("n"))),
        ("nameless", format!(": {}", key("n"))),
        ("empty", "\n".to_owned()),
        ("short", "short".to_owned()),
        ("words", format!("{}&admin=1", key("w"))),
    ] {
        fs::write(file(name), content).unwrap();
    }
    use AccessMode::{Key, Open};
    for (mode, name, expected) in [
        (Open, None, None),
        (Open, Some("key"), Some("access.mode: access.key_file needs mode")),
        (Key, None, Some("access.key_file: mode = \"key\" needs one")),
        (Key, Some("key"), None),
        (Key, Some("rotated"), None),
        (Key, Some("named"), None),
        (Key, Some("twice"), Some("line 2: this name has a key already")),
        (Key, Some("same"), Some("line 2: this key is there already")),
        (Key, Some("nameless"), Some("line 1: a name before a colon is text")),
        (Key, Some("missing"), Some("No such file")),
        (Key, Some("three"), Some("one key, and perhaps")),
        (Key, Some("empty"), Some("one key, and perhaps")),
        (Key, Some("short"), Some("at least 32 characters")),
        (Key, Some("words"), Some("letters, digits and -._~ only")),
        (Key, Some("seal"), Some("also in access.seal_key_file")),
        (Key, Some("token"), Some("also in access.admin_token_file")),
    ] {
        let config = AccessConfig {
            mode,
            key_file: name.map(file),
            seal_key_file: Some(file("seal")),
            admin_token_file: Some(file("token")),
        };
        match (load_access(&config, &ConfigKeyLocations::default()), expected) {
            (Ok(access), None) => {
                assert_eq!(matches!(access, AccessControl::Key(_)), mode == Key, "{name:?}");
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (got, _) => panic!("{name:?}: {:?}", got.is_ok()),
        }
    }
}

#[test]
fn the_second_line_is_the_previous_seal_key() {
    let (old, new) = ("o".repeat(40), "n".repeat(40));
    let keys = parse_seal_keys(format!("{new}\n{old}\n").as_bytes(), String::new()).unwrap();
    assert_eq!(keys.current, hash_secret(new.as_bytes()));
    assert_eq!(keys.previous, Some(hash_secret(old.as_bytes())));
}
