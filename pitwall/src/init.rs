//! `pitwall init`: writes a first configuration, from options or by asking.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum as _;
use pitwall_fetch::parse_url;
use pitwall_upstream_map::StreamId;

use crate::cli::{AccessChoice, InitOptions};
use crate::commands;
use crate::config::ADDRESS_SYNTAX_HINT;
use crate::terminal::{print_error, print_prompt, print_text};

const DEFAULT_LISTEN_ADDRESS: &str = "127.0.0.1:8080";
const DEFAULT_FEED: &str = "World feed";

/// What the configuration says.
struct Answers {
    source: Option<String>,
    feed: String,
    listen: SocketAddr,
    access: AccessChoice,
}

/// Writes `pitwall.toml`, and with access mode `key` a key file, into a folder; checks the result
/// and prints the next command.
///
/// # Errors
/// An option or answer is invalid, a file exists already or cannot be written, or the configuration
/// does not pass its check.
pub(crate) fn write_first_config(options: &InitOptions) -> anyhow::Result<()> {
    let directory = &options.dir;
    let config = directory.join("pitwall.toml");
    let key_file = directory.join("access.key");
    for path in [&config, &key_file] {
        if path.exists() {
            bail!("{} exists already: nothing was written; another folder: --dir", path.display());
        }
    }
    let answers = Answers::collect(options)?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    if answers.access == AccessChoice::Key {
        let key: [u8; 32] = rand::random();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        create_file(&key_file, 0o600, &format!("me: {key}\n"))?;
    }
    create_file(&config, 0o644, &answers.to_toml())?;
    commands::check_config(&config)?;
    if answers.source.is_some() {
        print_text(&format!(
            "Does it play: pitwall extract first --check --config {}",
            config.display()
        ));
    }
    if answers.access == AccessChoice::Key {
        print_text(&format!("Your links: pitwall link me --config {}", config.display()));
    }
    print_text(&format!(
        "An admin token for commands and /control: (umask 077; openssl rand -hex 32 > {}), and in {} [access] \
         admin_token_file = \"admin.token\"",
        directory.join("admin.token").display(),
        config.display()
    ));
    print_text(&format!("Start it: pitwall run --config {}", config.display()));
    Ok(())
}

/// Never replaces a file.
fn create_file(path: &Path, mode: u32, content: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| path.display().to_string())
}

/// Asks until the answer can be used.
fn ask<T>(
    question: &str,
    default: &str,
    parse: impl Fn(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let default_hint = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    loop {
        print_prompt(&format!("{question}{default_hint}: "));
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("no answer: nothing was written");
        }
        let answer = line.trim();
        match parse(if answer.is_empty() { default } else { answer }) {
            Ok(parsed) => return Ok(parsed),
            Err(error) => print_error(&error),
        }
    }
}

fn parse_source(text: &str) -> anyhow::Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_url(text)?;
    Ok(Some(text.to_owned()))
}

fn parse_feed(text: &str) -> anyhow::Result<String> {
    StreamId::of_feed(text).context("it has no letter or digit to make an id of")?;
    Ok(text.to_owned())
}

impl Answers {
    /// Takes the options, and asks for what they do not say if somebody is there to answer.
    fn collect(options: &InitOptions) -> anyhow::Result<Self> {
        let is_interactive = options.source.is_none()
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal();
        let source = match &options.source {
            Some(url) => parse_source(url).with_context(|| format!("--source {url:?}"))?,
            None if is_interactive => {
                ask("URL of a playlist (.m3u8), or nothing", "", parse_source)?
            }
            None => None,
        };
        let feed = match (&options.feed, &source) {
            (Some(feed), _) => parse_feed(feed).with_context(|| format!("--feed {feed:?}"))?,
            (None, Some(_)) if is_interactive => {
                ask("What does it show", DEFAULT_FEED, parse_feed)?
            }
            (None, _) => DEFAULT_FEED.to_owned(),
        };
        let parse_listen = |text: &str| text.parse().context(ADDRESS_SYNTAX_HINT);
        let listen = match options.listen {
            Some(listen) => listen,
            None if is_interactive => {
                ask("Address to listen on", DEFAULT_LISTEN_ADDRESS, parse_listen)?
            }
            None => parse_listen(DEFAULT_LISTEN_ADDRESS)?,
        };
        let access = match options.access {
            Some(access) => access,
            None if is_interactive => {
                let question = "Who may watch: open (everybody), or key (who has one)";
                ask(question, "open", |answer| {
                    AccessChoice::from_str(answer, true).map_err(|_| anyhow!("write open or key"))
                })?
            }
            None => AccessChoice::Open,
        };
        Ok(Self { source, feed, listen, access })
    }

    fn to_toml(&self) -> String {
        let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut lines = vec![
            "# All keys: docs/configure.md. A change takes effect without a restart, unless the"
                .to_owned(),
            "# log says otherwise.".to_owned(),
            "[edge]".to_owned(),
            format!("listen = {}", text(&self.listen.to_string())),
            String::new(),
            "[schedule]".to_owned(),
            "# [\"jolpica\", \"openf1\"] is the calendar of Formula 1, [\"ics\"] any iCalendar."
                .to_owned(),
            "providers = []".to_owned(),
        ];
        if self.access == AccessChoice::Key {
            let access = ["", "[access]", "mode = \"key\"", "# Lines NAME: KEY."];
            lines.extend(access.map(str::to_owned));
            lines.push("key_file = \"access.key\"".to_owned());
        }
        if let Some(url) = &self.source {
            lines.extend(
                ["", "[[source]]", "name = \"first\"", "kind = \"static\""].map(str::to_owned),
            );
            lines.push(format!("feed = {}", text(&self.feed)));
            lines.push(format!("url = {}", text(url)));
            if let Some(range) = private_range(url) {
                lines.push("# The address is private, which has to be allowed.".to_owned());
                lines.push(format!("allow_private = [{}]", text(&range)));
            }
        }
        lines.join("\n") + "\n"
    }
}

/// The range that a source at this URL has to allow, where the URL has a private address.
fn private_range(url: &str) -> Option<String> {
    let url = parse_url(url).ok()?;
    let host = url.host_str()?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let address: std::net::IpAddr = match address {
        Some(address) => address,
        None if host == "localhost" => std::net::Ipv4Addr::LOCALHOST.into(),
        None => return None,
    };
    (!pitwall_fetch::address::is_public(address)).then(|| address.to_string())
}
