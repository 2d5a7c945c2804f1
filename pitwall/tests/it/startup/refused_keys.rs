//! The log line of a refused key, and the filter of docs/operate.md that reads it.

use std::fs;

use regex::Regex;

use super::Process;
use crate::support::{client, eventually};

const CONFIG: &str = "[schedule]\nproviders = []\n[access]\nmode = \"key\"\nkey_file = \"keys\"\n\
                      admin_token_file = \"token\"\n[edge]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";

/// The filter's expression, with fail2ban's `<HOST>` as a group.
fn documented_filter() -> Regex {
    let text = include_str!("../../../../docs/operate.md");
    let expression = text.lines().find_map(|line| line.strip_prefix("failregex = ")).unwrap();
    Regex::new(&expression.replace("<HOST>", r"(?P<host>\S+)")).unwrap()
}

#[tokio::test]
async fn each_refused_key_is_a_line_that_the_documented_filter_matches() {
    let process = Process::start_after_shell_line("", "run", CONFIG, |directory| {
        let anna = format!("anna: {}\n", "a".repeat(40));
        fs::write(directory.join("keys"), anna).unwrap();
        fs::write(directory.join("token"), "t".repeat(40)).unwrap();
    });
    process.wait_until_up().await;
    let request = |path: &str, address: &str, token: &str| {
        let request = client().get(format!("http://{}{path}", process.listen));
        let request = request.header("x-forwarded-for", address.to_owned());
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        async move { request.send().await.unwrap().status().as_u16() }
    };
    for (path, address, token, is_let_in) in [
        // Who shows nothing has tried nothing, and who shows the right one has tried nothing wrong.
        ("/api/streams", "203.0.113.8", "", false),
        ("/api/streams", "203.0.113.8", &*"t".repeat(40), true),
        ("/api/streams?key=guess", "203.0.113.7", "", false),
        ("/api/streams?key=guess", "203.0.113.7", "", false),
        ("/api/streams?key=another", "203.0.113.7", "", false),
        ("/api/streams", "198.51.100.1", "a-guessed-token", false),
        ("/live/a/index.m3u8?key=guess", "2001:db8::1", "", false),
    ] {
        assert_eq!(request(path, address, token).await != 401, is_let_in, "{path}");
    }
    let filter = documented_filter();
    eventually("every refusal is logged", || async {
        let log = process.log();
        let hosts = log.lines().filter_map(|line| Some(filter.captures(line)?["host"].to_owned()));
        let hosts: Vec<String> = hosts.collect();
        (hosts == ["203.0.113.7", "203.0.113.7", "203.0.113.7", "198.51.100.1", "2001:db8::1"])
            .then_some(())
    })
    .await;
}
