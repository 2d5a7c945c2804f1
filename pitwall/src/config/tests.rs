use super::*;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse("test.toml", text, environment).map_err(|invalid| invalid.to_string())
}

fn check(text: &str, expected: &str) {
    let error = parse(text, &[]).err().unwrap_or_else(|| panic!("{text} is taken"));
    assert!(error.starts_with(expected), "{text}\n  says {error:?}\n  not  {expected:?}");
}

const SOURCE: &str = "[[source]]\nname = \"a\"\nkind = \"static\"\nfeed = \"World feed\"\n\
                      url = \"https://cdn.example.com/master.m3u8\"\n";

#[test]
fn an_empty_file_is_the_default() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config.edge.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.state.dir, Path::new("state"));
    assert!(config.upstream.allow_hosts.is_empty() && config.sources.is_empty());
}

#[test]
fn mistakes_are_named_by_file_line_and_key() {
    check("[edge]\n\nlisen = 1\n", "test.toml:3: edge.lisen: unknown field `lisen`");
    check(
        "[edge]\nlisten = \"nowhere\"\n",
        "test.toml:2: edge.listen: write an address and a port: 127",
    );
    let address = "write an address and a port: 127.0.0.1:8080 (names are not taken)";
    for (value, says) in [
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
        check(
            &format!("[edge]\ncontrol = {value}\n"),
            &format!("test.toml:2: edge.control: {says}"),
        );
        // A text may be without quotes there.
        let variable = [("PITWALL_EDGE__CONTROL", value.trim_matches('"'))];
        if value != "8081" {
            let error = parse("", &variable).err().unwrap();
            assert_eq!(error, format!("environment PITWALL_EDGE__CONTROL: {says}"));
        }
    }
    check("[edge]\nthreads = -1\n", "test.toml:2: edge.threads: ");
    check(
        "[edge]\npublic_url = \"tv.example.com\"\n",
        "test.toml:2: edge.public_url: bad URL: not an",
    );
    check("[edge]\npublic_url = \"https://a/?b\"\n", "test.toml:2: edge.public_url: a URL with");
    check("[edge]\ndrain = \"-5s\"\n", "test.toml:2: edge.drain: ");
    check("[edge]\ntrusted_proxies = [\"all\"]\n", "test.toml:2: edge.trusted_proxies: ");
    check("[edge]\ntrusted_proxies = [\"0.0.0.0/0\"]\n", "test.toml:2: edge.trusted_proxies: ");
    check("[edge.limits]\nconnections = 0\n", "test.toml:2: edge.limits.connections: ");
    check("[edge.limits]\nrequests_per_client = -1\n", "test.toml:2: edge.limits.requests_per_c");
    check("[edge.limits]\nheader = \"5m\"\n", "test.toml:2: edge.limits.header: between 1s");
    check("[access]\nmode = \"closed\"\n", "test.toml:2: access.mode: unknown variant `closed`");
    check("[edge.playlist]\nwindow = \"0s\"\n", "test.toml:2: edge.playlist.window: between 10s");
    check("[edge.playlist]\nwindow = \"2days\"\n", "test.toml:2: edge.playlist.window: between");
    check("[edge.playlist]\nwindow = \"-5m\"\n", "test.toml:2: edge.playlist.window: ");
    check("[edge.playlist]\nwindow = 300\n", "test.toml:2: edge.playlist.window: ");
    check("[edge.cache]\nbytes = \"many\"\n", "test.toml:2: edge.cache.bytes: ");
    check("[edge]\nthreads = 1\nthreads = 2\n", "test.toml:3: duplicate key");
    check("[edges]\n", "test.toml:1: edges: unknown field `edges`");
    check("[store]\nkind = \"papyrus\"\n", "test.toml:2: store.kind: unknown variant `papyrus`");
    let redis = "[store]\nkind = \"redis\"\n";
    check(redis, "test.toml:1: store: store.kind = \"redis\" needs store.url");
    let url = |url: &str| format!("{redis}url = \"{url}\"\n");
    check(&url("http://127.0.0.1"), "test.toml:1: store: store.url: it begins with redis://");
    check(&url("redis://host/x"), "test.toml:1: store: store.url: ");
    check(&format!("{}prefix = \"{{a}}\"\n", url("redis://a")), "test.toml:1: store: store.prefix");
    let sentinels = format!("{}sentinels = [\"ftp://a\"]\n", url("redis://mymaster"));
    check(&sentinels, "test.toml:1: store: store.sentinels: ");
    check("[store]\nurl = \"redis://a\"\n", "test.toml:1: store: store.url needs store.kind");
    check(&url("redis://127.0.0.1"), "access.seal_key_file: a Redis store needs one");
    parse(&format!("{}[access]\nseal_key_file = \"k\"\n", url("rediss://u:p@a:6380/1")), &[])
        .unwrap();
    check("[upstream]\nallow_hosts = [\"http://x/\"]\n", "test.toml:2: upstream.allow_hosts: ");
    check("[upstream]\nallow_private = [\"0.0.0.0/0\"]\n", "test.toml:2: upstream.allow_private: ");
    check("[rank]\nmargin = 7\n", "test.toml:2: rank.margin: 7 is not between -1 and 1");
    check("[control]\nlisten = \"here\"\n", "test.toml:2: control.listen: ");
    check("[control]\nadvertise = \"here\"\n", "test.toml:2: control.advertise: \"here\" is not");
    let hook = "[[webhook]]\nname = \"phone\"\nurl = \"https://ntfy.example/topic\"\n";
    parse(hook, &[]).unwrap();
    check(&format!("{hook}{hook}"), "webhook \"phone\": two webhooks have this name");
    check(&format!("{hook}kind = \"fax\"\n"), "test.toml:4: webhook.kind: ");
    check(&format!("{hook}events = [\"rain\"]\n"), "test.toml:4: webhook.events: ");
    check(&hook.replace("https", "ftp"), "test.toml:3: webhook.url: ");
    check("[rank]\nhold = \"soon\"\n", "test.toml:2: rank.hold: ");
    check("[edge\n", "test.toml:1: ");
    check(
        "[schedule]\nproviders = [\"papyrus\"]\n",
        "test.toml:2: schedule.providers: \"papyrus\" is no",
    );
    check("[schedule]\nopenf1_url = \"ftp://x/\"\n", "test.toml:2: schedule.openf1_url: ");
    check(
        "[schedule]\nproviders = [\"ics\"]\n",
        "test.toml:1: schedule: the provider ics needs ics_url",
    );
    check(
        "[schedule]\nics_file = \"x.ics\"\n",
        "test.toml:1: schedule: ics_url and ics_file need \"ics\"",
    );
    check("[source]\nname = \"a\"\n", "test.toml:1: source: write [[source]]");
}

#[test]
fn mistakes_in_sources_too() {
    let with = |line: &str| format!("{SOURCE}{line}\n");
    parse(SOURCE, &[]).unwrap();
    check(&with("ulr = \"x\""), "test.toml:6: source.ulr: unknown field `ulr`");
    check(&with("headers = { Host = \"x\" }"), "test.toml:6: source.headers");
    check(&with("headers = { A = \"x\\r\\nB: y\" }"), "test.toml:6: source.headers");
    check(&with("check = { floor = 1 }"), "test.toml:6: source.check");
    check(&with("check = { max_lag = \"-1s\" }"), "test.toml:6: source.check");
    check(&with("ttl = \"0s\""), "test.toml:6: source.ttl: ");
    check(&with("priority = \"high\""), "test.toml:6: source.priority: ");
    check(&with("every = \"soon\""), "test.toml:6: source.every: ");
    check(&with("allow_private = [\"0.0.0.0/0\"]"), "test.toml:6: source.allow_private");
    check(&SOURCE.replace("static", "papyrus"), "test.toml:3: source.kind: ");
    check(&SOURCE.replace("https://", "ftp://"), "test.toml:5: source.url: ");
    check(&format!("{SOURCE}{SOURCE}"), "source \"a\": two sources have this name");
}

#[test]
fn the_environment_wins() {
    let config = parse(
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
        let config =
            parse("[edge]\ncontrol = \"127.0.0.1:9\"\n", &[("PITWALL_EDGE__CONTROL", value)]);
        let control = config.unwrap().edge.control;
        let control: Vec<_> = control.iter().map(ToString::to_string).collect();
        assert_eq!(control.join(" "), addresses, "{value}");
    }
    // Two that are only right together, in either order.
    let mut two = [
        ("PITWALL_SCHEDULE__PROVIDERS", "[\"ics\"]"),
        ("PITWALL_SCHEDULE__ICS_URL", "https://example.com/calendar.ics"),
    ];
    for _ in 0..2 {
        assert!(parse("", &two).unwrap().schedule.ics.is_some());
        two.reverse();
    }
}

#[test]
fn the_override_file_is_judged_with_the_rest() {
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
fn mistakes_in_the_environment_name_the_variable() {
    for (variable, value, expected) in [
        ("PITWALL_EDGE__LISEN", "x", "environment PITWALL_EDGE__LISEN: unknown field `lisen`"),
        ("PITWALL_EDGE__THREADS", "many", "environment PITWALL_EDGE__THREADS: invalid type"),
    ] {
        let error = parse("", &[(variable, value)]).err().unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
}
