use super::*;

fn parse_config(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse("test.toml", text, environment).map_err(|invalid| invalid.to_string())
}

fn assert_parse_error(text: &str, expected: &str) {
    let error = parse_config(text, &[]).err().unwrap_or_else(|| panic!("{text} is taken"));
    assert!(error.starts_with(expected), "{text}\n  says {error:?}\n  not  {expected:?}");
}

const SOURCE_TABLE: &str = "[[source]]\nname = \"a\"\nkind = \"static\"\nfeed = \"World feed\"\n\
                      url = \"https://cdn.example.com/master.m3u8\"\n";

#[test]
fn an_empty_file_is_the_default() {
    let config = parse_config("", &[]).unwrap();
    assert_eq!(config.edge.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.state.dir, Path::new("state"));
    assert!(config.upstream.allow_hosts.is_empty() && config.sources.is_empty());
}

#[test]
fn an_error_names_file_line_and_key() {
    assert_parse_error("[edge]\n\nlisen = 1\n", "test.toml:3: edge.lisen: unknown field `lisen`");
    assert_parse_error(
        "[edge]\nlisten = \"nowhere\"\n",
        "test.toml:2: edge.listen: write an address and a port: 127",
    );
    let address = "write an address and a port: 127.0.0.1:8080 (names are not taken)";
    for (value, expected) in [
        ("\"control-1:8081\"", address.to_owned()),
        ("8081", "invalid type: integer `8081`, expected an address, or a list of addr".to_owned()),
        ("[]", "an empty list: name at least one control plane".to_owned()),
        ("[\"127.0.0.1:8081\", \"control-2:8081\"]", format!("[1] \"control-2:8081\": {address}")),
        ("[8081]", "invalid type: integer `8081`, expected an address at [0]".to_owned()),
        (
            "[\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:1\"]",
            "[2] \"127.0.0.1:1\" is in the list twice".to_owned(),
        ),
    ] {
        assert_parse_error(
            &format!("[edge]\ncontrol = {value}\n"),
            &format!("test.toml:2: edge.control: {expected}"),
        );
        // In a variable a string may be without quotes.
        let variable = [("PITWALL_EDGE__CONTROL", value.trim_matches('"'))];
        if value != "8081" {
            let error = parse_config("", &variable).err().unwrap();
            assert_eq!(error, format!("environment PITWALL_EDGE__CONTROL: {expected}"));
        }
    }
    for (key, value, expected) in [
        ("threads", "-1", "invalid value: integer `-1`, expected a whole number"),
        ("threads", "\"four\"", "invalid type: string \"four\", expected a whole number"),
        ("drain", "20", "invalid type: integer `20`, expected a duration, such as \"20s\""),
        ("trusted_proxies", "\"10.0.0.2\"", "invalid type: string \"10.0.0.2\", expected a list, "),
        ("cache.bytes", "\"much\"", "invalid value: string \"much\", expected a size, such as "),
    ] {
        let text = format!("[edge]\n{key} = {value}\n");
        assert_parse_error(&text, &format!("test.toml:2: edge.{key}: {expected}"));
    }
    for key in ["event_streams", "event_streams_per_client", "blocked_reloads_per_client"] {
        assert_parse_error(
            &format!("[edge.limits]\n{key} = 0\n"),
            &format!("test.toml:2: edge.limits.{key}: "),
        );
    }
    assert_parse_error(
        "[edge]\npublic_url = \"tv.example.com\"\n",
        "test.toml:2: edge.public_url: bad URL: not an",
    );
    assert_parse_error(
        "[edge]\npublic_url = \"https://a/?b\"\n",
        "test.toml:2: edge.public_url: a URL with",
    );
    assert_parse_error("[edge]\ndrain = \"-5s\"\n", "test.toml:2: edge.drain: ");
    assert_parse_error(
        "[edge]\ntrusted_proxies = [\"all\"]\n",
        "test.toml:2: edge.trusted_proxies: ",
    );
    assert_parse_error(
        "[edge]\ntrusted_proxies = [\"0.0.0.0/0\"]\n",
        "test.toml:2: edge.trusted_proxies: ",
    );
    assert_parse_error(
        "[edge.limits]\nconnections = 0\n",
        "test.toml:2: edge.limits.connections: ",
    );
    assert_parse_error(
        "[edge.limits]\nrequests_per_client = -1\n",
        "test.toml:2: edge.limits.requests_per_c",
    );
    assert_parse_error(
        "[edge.limits]\nheader = \"5m\"\n",
        "test.toml:2: edge.limits.header: between 1s",
    );
    assert_parse_error(
        "[access]\nmode = \"closed\"\n",
        "test.toml:2: access.mode: unknown variant `closed`",
    );
    assert_parse_error(
        "[edge.playlist]\nwindow = \"0s\"\n",
        "test.toml:2: edge.playlist.window: between 10s",
    );
    assert_parse_error(
        "[edge.playlist]\nwindow = \"2days\"\n",
        "test.toml:2: edge.playlist.window: between",
    );
    assert_parse_error(
        "[edge.playlist]\nwindow = \"-5m\"\n",
        "test.toml:2: edge.playlist.window: ",
    );
    assert_parse_error("[edge.playlist]\nwindow = 300\n", "test.toml:2: edge.playlist.window: ");
    assert_parse_error("[edge.cache]\nbytes = \"many\"\n", "test.toml:2: edge.cache.bytes: ");
    assert_parse_error(
        "[edge.cache]\nbytes = \"99999999999GiB\"\n",
        "test.toml:2: edge.cache.bytes: it is more bytes than can be counted",
    );
    assert_parse_error("[edge]\nthreads = 1\nthreads = 2\n", "test.toml:3: duplicate key");
    assert_parse_error("[edges]\n", "test.toml:1: edges: unknown field `edges`");
    assert_parse_error(
        "[store]\nkind = \"papyrus\"\n",
        "test.toml:2: store.kind: unknown variant `papyrus`",
    );
    let redis = "[store]\nkind = \"redis\"\n";
    assert_parse_error(redis, "test.toml:1: store: store.kind = \"redis\" needs store.url");
    let url = |url: &str| format!("{redis}url = \"{url}\"\n");
    assert_parse_error(
        &url("http://127.0.0.1"),
        "test.toml:1: store: store.url: it begins with redis://",
    );
    assert_parse_error(&url("redis://host/x"), "test.toml:1: store: store.url: ");
    assert_parse_error(
        &format!("{}prefix = \"{{a}}\"\n", url("redis://a")),
        "test.toml:1: store: store.prefix",
    );
    let sentinels = format!("{}sentinels = [\"ftp://a\"]\n", url("redis://mymaster"));
    assert_parse_error(&sentinels, "test.toml:1: store: store.sentinels: ");
    assert_parse_error(
        "[store]\nurl = \"redis://a\"\n",
        "test.toml:1: store: store.url needs store.kind",
    );
    assert_parse_error(&url("redis://127.0.0.1"), "access.seal_key_file: a Redis store needs one");
    parse_config(
        &format!("{}[access]\nseal_key_file = \"k\"\n", url("rediss://u:p@a:6380/1")),
        &[],
    )
    .unwrap();
    assert_parse_error(
        "[upstream]\nallow_hosts = [\"http://x/\"]\n",
        "test.toml:2: upstream.allow_hosts: ",
    );
    assert_parse_error(
        "[upstream]\nallow_private = [\"0.0.0.0/0\"]\n",
        "test.toml:2: upstream.allow_private: ",
    );
    assert_parse_error(
        "[rank]\nmargin = 7\n",
        "test.toml:2: rank.margin: 7 is not between -1 and 1",
    );
    assert_parse_error("[control]\nlisten = \"here\"\n", "test.toml:2: control.listen: ");
    assert_parse_error(
        "[control]\nadvertise = \"here\"\n",
        "test.toml:2: control.advertise: \"here\" is not",
    );
    let hook = "[[webhook]]\nname = \"phone\"\nurl = \"https://ntfy.example/topic\"\n";
    parse_config(hook, &[]).unwrap();
    assert_parse_error(&format!("{hook}{hook}"), "webhook \"phone\": two webhooks have this name");
    assert_parse_error(&format!("{hook}kind = \"fax\"\n"), "test.toml:4: webhook.kind: ");
    assert_parse_error(&format!("{hook}events = [\"rain\"]\n"), "test.toml:4: webhook.events: ");
    assert_parse_error(&hook.replace("https", "ftp"), "test.toml:3: webhook.url: ");
    assert_parse_error("[rank]\nhold = \"soon\"\n", "test.toml:2: rank.hold: ");
    assert_parse_error("[edge\n", "test.toml:1: ");
    assert_parse_error(
        "[schedule]\nproviders = [\"papyrus\"]\n",
        "test.toml:2: schedule.providers: \"papyrus\" is no",
    );
    assert_parse_error(
        "[schedule]\nopenf1_url = \"ftp://x/\"\n",
        "test.toml:2: schedule.openf1_url: ",
    );
    assert_parse_error(
        "[schedule]\nproviders = [\"ics\"]\n",
        "test.toml:1: schedule: the provider ics needs ics_url",
    );
    assert_parse_error(
        "[schedule]\nics_file = \"x.ics\"\n",
        "test.toml:1: schedule: ics_url and ics_file need \"ics\"",
    );
    assert_parse_error("[source]\nname = \"a\"\n", "test.toml:1: source: write [[source]]");
}

#[test]
fn an_error_in_a_source_names_file_line_and_key() {
    let with = |line: &str| format!("{SOURCE_TABLE}{line}\n");
    parse_config(SOURCE_TABLE, &[]).unwrap();
    assert_parse_error(&with("ulr = \"x\""), "test.toml:6: source.ulr: unknown field `ulr`");
    assert_parse_error(&with("headers = { Host = \"x\" }"), "test.toml:6: source.headers");
    assert_parse_error(&with("headers = { A = \"x\\r\\nB: y\" }"), "test.toml:6: source.headers");
    assert_parse_error(&with("check = { floor = 1 }"), "test.toml:6: source.check");
    assert_parse_error(&with("check = { max_lag = \"-1s\" }"), "test.toml:6: source.check");
    assert_parse_error(&with("ttl = \"0s\""), "test.toml:6: source.ttl: ");
    assert_parse_error(&with("priority = \"high\""), "test.toml:6: source.priority: ");
    assert_parse_error(&with("every = \"soon\""), "test.toml:6: source.every: ");
    assert_parse_error(
        &with("allow_private = [\"0.0.0.0/0\"]"),
        "test.toml:6: source.allow_private",
    );
    assert_parse_error(&SOURCE_TABLE.replace("static", "papyrus"), "test.toml:3: source.kind: ");
    assert_parse_error(&SOURCE_TABLE.replace("https://", "ftp://"), "test.toml:5: source.url: ");
    assert_parse_error(
        &format!("{SOURCE_TABLE}{SOURCE_TABLE}"),
        "source \"a\": two sources have this name",
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let config = parse_config(
        "[edge]\nthreads = 1\n",
        &[
            ("PITWALL_EDGE__THREADS", "3"),
            ("PITWALL_EDGE__LISTEN", "127.0.0.1:1234"),
            ("PITWALL_EDGE__CACHE__BYTES", "64MiB"),
            ("PITWALL_UPSTREAM__ALLOW_HOSTS", "[\"cdn.example.com\"]"),
            ("PITWALL_STATE__DIR", "/var/lib/pitwall"),
            ("PITWALL_LOG", "debug"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!(config.edge.threads, 3);
    assert_eq!(config.edge.listen.port(), 1234);
    assert_eq!(config.edge.cache.bytes.as_u64(), 64 << 20);
    assert_eq!(config.upstream.allow_hosts.len(), 1);
    assert_eq!(config.state.dir, Path::new("/var/lib/pitwall"));
    for (value, addresses) in [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("\"127.0.0.1:1\"", "127.0.0.1:1"),
        ("[\"127.0.0.1:1\", \"[::1]:2\"]", "127.0.0.1:1 [::1]:2"),
    ] {
        let config = parse_config(
            "[edge]\ncontrol = \"127.0.0.1:9\"\n",
            &[("PITWALL_EDGE__CONTROL", value)],
        );
        let control = config.unwrap().edge.control;
        let control: Vec<_> = control.iter().map(ToString::to_string).collect();
        assert_eq!(control.join(" "), addresses, "{value}");
    }
    // Two variables that are only valid together, in either order.
    let mut two = [
        ("PITWALL_SCHEDULE__PROVIDERS", "[\"ics\"]"),
        ("PITWALL_SCHEDULE__ICS_URL", "https://example.com/calendar.ics"),
    ];
    for _ in 0..2 {
        assert!(parse_config("", &two).unwrap().schedule.ics.is_some());
        two.reverse();
    }
}

#[test]
fn the_override_file_is_validated_with_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let (file, config) = (directory.path().join("o.toml"), directory.path().join("pitwall.toml"));
    std::fs::write(&config, format!("[schedule]\noverride_file = {file:?}\n")).unwrap();
    for (text, expected) in [
        (None, "o.toml: No such file"),
        (
            Some("[[session]]\nid = \"2026:a:b:race\"\nstart = \"soon\"\n"),
            "o.toml:3: session.start: ",
        ),
        (Some("[[session]]\nid = \"2026:a:b:race\"\ncancelled = true\n"), ""),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let error =
            Config::load(&config).err().map_or(String::new(), |invalid| invalid.to_string());
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{error}");
    }
}

#[test]
fn an_error_in_the_environment_names_the_variable() {
    for (variable, value, expected) in [
        ("PITWALL_EDGE__LISEN", "x", "environment PITWALL_EDGE__LISEN: unknown field `lisen`"),
        ("PITWALL_EDGE__THREADS", "many", "environment PITWALL_EDGE__THREADS: invalid type"),
    ] {
        let error = parse_config("", &[(variable, value)]).err().unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_certificate_that_has_ended_and_a_disk_that_cannot_be_used_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    for (year, has_ended) in [(2021, true), (2199, false)] {
        let mut parameters = rcgen::CertificateParams::new(["tv.test".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let file = folder.path().join("pitwall.toml");
        let text = "[edge.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
            [edge.cache]\ndisk = { dir = \"key.pem/below\", bytes = \"1GiB\" }\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let said = config.warnings().iter().any(|text| {
            text.contains("pitwall.toml:2: edge.tls.cert: ") && text.contains("it has ended")
        });
        assert_eq!(said, has_ended, "{:?}", config.warnings());
        let error = config.disk_cache_error().unwrap().to_string();
        assert!(error.contains("pitwall.toml:5: edge.cache.disk: "), "{error}");
    }
}

#[test]
fn a_missing_configuration_says_how_to_get_one() {
    let error = Config::load(Path::new("/nowhere/pitwall.toml")).err().unwrap().to_string();
    assert!(
        error.contains("--config names the file, `pitwall init` writes a first one"),
        "{error}"
    );
}
