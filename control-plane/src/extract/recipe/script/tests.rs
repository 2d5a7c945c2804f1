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
        ("while (true) {}", "the script looped too often"),
        ("for (;;) { try { for (;;) {} } catch (e) {} }", "the script looped too often"),
        ("(function f() { f() })()", "the script nested too deeply"),
        ("/^(a+)+$/.test('a'.repeat(50) + 'b'); 1", "the script took too long"),
        ("'x'.repeat(2 ** 29).length", "the script used too much memory"),
        ("var a = []; while (true) a.push(new Uint8Array(1e6))", "too much memory"),
        ("'x'.repeat(2 ** 21)", "more than 1 MiB"),
    ] {
        let error = run(code).await.expect_err(code);
        assert!(error.contains(expected), "{code}: {error}");
        assert!(!error.contains("path?t"), "{error}");
    }
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(run(&deep).await.is_err());
}

#[test]
fn a_syntax_error_is_found_without_running_the_script() {
    assert!(worker::check_syntax("1 +").unwrap_err().starts_with("not a script"));
    assert!(worker::check_syntax("while (true) {}").is_ok(), "parsed, not run");
}
