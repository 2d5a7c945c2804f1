//! nginx in all its roles: tuned relay, relay as it comes, cache, file server, and the origin.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Peer, Work};
use crate::certificate::Certificate;
use crate::origin::{MADE, Origin};
use crate::process::Process;
use crate::stage::Stage;

struct Nginx {
    name: &'static str,
    works: &'static [Work],
    /// What stands in `http`, and what stands in the `server` before `proxy_pass`.
    http: &'static str,
    server: &'static str,
    /// With TLS and HTTP/2.
    secure: bool,
}

/// Where segments are stored.
const STORED: &str = "proxy_cache_path {room}/cache levels=1:2 keys_zone=segments:10m max_size=2g \
                      inactive=1h use_temp_path=off; open_file_cache max=1000 inactive=60s;";

/// Kept upstream connections: what every guide to nginx as a proxy says first.
const KEEP: &str = "proxy_http_version 1.1; proxy_set_header Connection '';";

pub(super) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Nginx {
            name: "nginx",
            works: &[Work::Relayed, Work::Playlist, Work::Shared, Work::Fresh],
            http: "",
            server: "proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k;",
            secure: false,
        }),
        Box::new(Nginx {
            name: "nginx-default",
            works: &[Work::Relayed, Work::Playlist, Work::Shared, Work::Fresh],
            http: "",
            server: "",
            secure: false,
        }),
        Box::new(Nginx {
            name: "nginx-cache",
            works: &[Work::Stored],
            http: STORED,
            server: "proxy_cache segments; proxy_cache_valid 200 1h; proxy_cache_lock on;",
            secure: false,
        }),
        Box::new(Nginx {
            name: "nginx-cache-tls",
            works: &[Work::Tls, Work::Http2],
            http: STORED,
            server: "proxy_cache segments; proxy_cache_valid 200 1h; proxy_cache_lock on;",
            secure: true,
        }),
        Box::new(Nginx {
            name: "nginx-cache-1s",
            works: &[Work::Shared],
            http: "proxy_cache_path {room}/cache levels=1:2 keys_zone=playlists:10m max_size=1g \
                   inactive=1h use_temp_path=off;",
            server: "proxy_cache playlists; proxy_cache_valid 200 1s; proxy_cache_lock on;",
            secure: false,
        }),
        Box::new(Files),
    ]
}

impl Peer for Nginx {
    fn name(&self) -> &str {
        self.name
    }

    fn works(&self) -> &[Work] {
        self.works
    }

    fn reaches_both_origins(&self) -> bool {
        true
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process> {
        let room = stage.room(self.name)?;
        let http = self.http.replace("{room}", &room.to_string_lossy());
        let Origin { files, made, .. } = &stage.origin;
        let Certificate { cert, key, .. } = &stage.certificate;
        let (tls, certificate) = if self.secure {
            let (cert, key) = (cert.display(), key.display());
            (" ssl http2", format!("ssl_certificate {cert}; ssl_certificate_key {key};"))
        } else {
            ("", String::new())
        };
        let http = format!(
            "{http}
 upstream files {{ server {files}; keepalive 128; keepalive_requests 1000000000; }}
 \
             upstream made {{ server {made}; keepalive 128; keepalive_requests 1000000000; }}
 \
             server {{ listen {listen}{tls} backlog=4096; {certificate} {KEEP} {}
 \
             location / {{ proxy_pass http://files; }} \
             location {MADE} {{ proxy_pass http://made; }} }}",
            self.server,
        );
        let mut command = command(&room, threads, &http)?;
        stage.measured(&mut command, &room, threads)
    }
}

/// Everything as files: what it costs to serve it at all.
struct Files;

impl Peer for Files {
    fn name(&self) -> &str {
        "nginx-file"
    }

    fn works(&self) -> &[Work] {
        &[Work::Stored, Work::Playlist, Work::Shared]
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process> {
        let room = stage.room(self.name())?;
        let mut command = command(&room, threads, &server_of_files(listen, stage.origin.folder()))?;
        stage.measured(&mut command, &room, threads)
    }
}

pub(crate) fn server_of_files(listen: SocketAddr, folder: &Path) -> String {
    format!(
        "server {{ listen {listen} backlog=4096; root {}; open_file_cache max=1000;\n \
         types {{ video/mp2t ts; application/vnd.apple.mpegurl m3u8; }} }}",
        folder.display()
    )
}

/// nginx in the foreground with nothing but `http` of its own, all its files in `room`.
pub(crate) fn command(room: &Path, workers: usize, http: &str) -> anyhow::Result<Command> {
    let file = room.join("nginx.conf");
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = write!(temporary, "{kind}_temp_path {}; ", room.join(kind).display());
    }
    let config = format!(
        "daemon off; {user} worker_processes {workers}; worker_rlimit_nofile 20000;\n\
         pid {pid}; error_log stderr warn;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n access_log off; {temporary}\n\
         sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
         {http}\n}}\n",
        pid = room.join("nginx.pid").display(),
    );
    std::fs::write(&file, config)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(room).arg("-c").arg(&file).args(["-e", "stderr"]);
    Ok(command)
}
