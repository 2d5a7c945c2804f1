use super::*;

/// The arguments with which this test executable runs as the worker: see [`the_worker`].
pub(crate) fn worker_arguments() -> Vec<String> {
    let test = "extract::recipe::script::tests::the_worker";
    [test, "--exact", "--nocapture", "--quiet"].map(str::to_owned).to_vec()
}

/// The worker process of the tests below; does nothing when it runs as a test.
#[test]
fn the_worker() {
    if std::env::var_os(worker::WORKER_ENV_VARIABLE).is_some() {
        let code = worker::run_script_worker();
        std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
    }
}

async fn run(code: &str) -> Result<ScriptOutput, String> {
    let variables = BTreeMap::from([("id".to_owned(), "7".to_owned())]);
    let input = ScriptInput {
        code: code.to_owned(),
        variables,
        page: "<html>".to_owned(),
        url: "https://a.example/".to_owned(),
        now: 1_767_225_600_000,
        seed: 7,
    };
    input
        .run_in_worker(&worker_arguments())
        .await
        .map_err(|failure| failure.detail.unwrap_or(failure.message))
}

#[tokio::test]
async fn scripts_see_their_globals_and_nothing_else() {
    for (code, expected) in [
        ("'a' + vars.id", "a7"),
        ("page + url", "<html>https://a.example/"),
        ("var x = 1; x + 1", "2"),
        ("true", "true"),
        ("({a: [1, 'b', 1.5, 1e12]})", r#"{"a":[1,"b",1.5,1000000000000]}"#),
        ("atob('aGk') + btoa('hi')", "hiaGk="),
        ("unescape('%41') + escape('é')", "A%E9"),
        ("new Date().toISOString()", "2026-01-01T00:00:00.000Z"),
        ("Date.now()", "1767225600000"),
        ("eval('1 + 1')", "2"),
        ("window.x = 'w'; x", "w"),
        ("new URLSearchParams('?a=1&b=x+y%26&a=%C3%B6').getAll('a').join()", "1,ö"),
        ("new URLSearchParams('b=x+y%26').get('b') + new URLSearchParams('').get('b')", "x y&null"),
        ("new URLSearchParams({a: 1, b: 'x y&ö~*'}).toString()", "a=1&b=x+y%26%C3%B6%7E*"),
        ("'' + new URLSearchParams([['b', 2], ['a', 1]])", "b=2&a=1"),
        (
            "const q = new URLSearchParams('a=1&b=2&a=3'); q.set('a', 4); q.append('c', 5); \
             q.delete('b'); [q, q.size, q.has('c'), [...q].join('|'), [...q.keys()]].join(' ')",
            "a=4&c=5 2 true a,4|c,5 a,c",
        ),
        (
            "const u = new URL('../x?t=a%20b#h', 'https://u.example:8443/a/b/'); \
             [u, u.host, u.port, u.pathname, u.search, u.hash, u.searchParams.get('t')].join(' ')",
            "https://u.example:8443/a/x?t=a%20b#h u.example:8443 8443 /a/x ?t=a%20b #h a b",
        ),
        (
            "const v = new URL(url); v.searchParams.set('t', 'x y'); v.href",
            "https://a.example/?t=x+y",
        ),
        ("try { new URL('x') } catch (e) { e.name + URL.canParse('x', url) }", "TypeErrortrue"),
        ("new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0xc3, 0xb6]))", "ö"),
        ("new TextDecoder('windows-1251').decode(new Uint8Array([0xcf, 0xf0]).buffer)", "Пр"),
        ("new TextDecoder('utf-16le').decode(new Uint16Array([0x13, 0x3e]).subarray(1))", ">"),
        ("new TextDecoder().decode(new Uint8Array(5000).fill(97)).length", "5000"),
        ("new TextDecoder().decode(new TextEncoder().encode('ö€😀'))", "ö€😀"),
        (
            "try { new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([255])) } catch (e) { e.name }",
            "TypeError",
        ),
        ("try { new TextDecoder('nothing') } catch (e) { e.name }", "RangeError"),
        ("typeof native", "undefined"),
        (
            "(function(p,a,c){return p.replace(/\\d/g, d => a[d])})('0://1', ['https','a'])",
            "https://a",
        ),
        (
            "[typeof fetch, typeof require, typeof process, typeof XMLHttpRequest].join()",
            "undefined,undefined,undefined,undefined",
        ),
    ] {
        assert_eq!(run(code).await, Ok(ScriptOutput::Text(expected.to_owned())), "{code}");
    }
    let items = ["a", "1"].map(str::to_owned).to_vec();
    assert_eq!(run("['a', 1]").await, Ok(ScriptOutput::Items(items)));
    assert_eq!(run("Math.random()").await, run("Math.random()").await, "the seed is the same");
}

#[tokio::test]
async fn scripts_that_fail_or_never_end() {
    for (code, expected) in [
        ("undefined", "no value"),
        ("x.y", "x is not defined"),
        ("throw new Error('see https://secret.example/path?t=1')", "secret.example/#"),
        ("(function f() { f() })()", "the script nested too deeply"),
        ("/^(a+)+$/.test('a'.repeat(50) + 'b'); 1", "the script took too long"),
        ("'x'.repeat(2 ** 29).length", "the script used too much memory"),
        ("'x'.repeat(2 ** 21)", "more than 1 MiB"),
    ] {
        let error = run(code).await.expect_err(code);
        assert!(error.contains(expected), "{code}: {error}");
        assert!(!error.contains("path?t"), "{error}");
    }
    // Which of the limits a loop meets first is a matter of the build's and the machine's speed.
    for code in [
        "while (true) {}",
        "for (;;) { try { for (;;) {} } catch (e) {} }",
        "var a = []; while (true) a.push(new Uint8Array(1e6))",
    ] {
        let error = run(code).await.expect_err(code);
        let limits = [
            "the script looped too often",
            "the script took too long",
            "the script used too much memory",
        ];
        assert!(limits.contains(&error.as_str()), "{code}: {error}");
    }
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(run(&deep).await.is_err());
}

#[test]
fn a_syntax_error_is_found_without_running_the_script() {
    assert!(worker::check_syntax("1 +").unwrap_err().starts_with("not a script"));
    assert!(worker::check_syntax("while (true) {}").is_ok(), "parsed, not run");
}
