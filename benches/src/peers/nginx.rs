//! nginx in the roles of contenders: relay with tuned and with default buffers, cache, and file
//! server.

use std::net::SocketAddr;

use super::{Peer, Workload};
use crate::certificate::TestCertificate;
use crate::nginx_config::{file_server_block, nginx_command};
use crate::origin::{DYNAMIC_PREFIX, Origin};
use crate::process::Process;
use crate::testbed::Testbed;

struct Nginx {
    name: &'static str,
    workloads: &'static [Workload],
    /// Directives in `http`.
    http_directives: &'static str,
    /// Directives in `server`, before its locations.
    server_directives: &'static str,
    /// Whether the server has TLS and HTTP/2.
    has_tls: bool,
}

/// The cache of segments.
const SEGMENT_CACHE_DIRECTIVES: &str = "proxy_cache_path {directory}/cache levels=1:2 keys_zone=segments:10m max_size=2g \
                      inactive=1h use_temp_path=off; open_file_cache max=1000 inactive=60s;";

/// Keep-alive connections to the upstream, as guides to nginx as a proxy recommend first.
const UPSTREAM_KEEPALIVE_DIRECTIVES: &str =
    "proxy_http_version 1.1; proxy_set_header Connection '';";

pub(super) fn build_peers() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Nginx {
            name: "nginx",
            workloads: &[Workload::Relayed, Workload::Playlist, Workload::Shared, Workload::Fresh],
            http_directives: "",
            server_directives: "proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k;",
            has_tls: false,
        }),
        Box::new(Nginx {
            name: "nginx-default",
            workloads: &[Workload::Relayed, Workload::Playlist, Workload::Shared, Workload::Fresh],
            http_directives: "",
            server_directives: "",
            has_tls: false,
        }),
        Box::new(Nginx {
            name: "nginx-cache",
            workloads: &[Workload::Stored],
            http_directives: SEGMENT_CACHE_DIRECTIVES,
            server_directives: "proxy_cache segments; proxy_cache_valid 200 1h; proxy_cache_lock on;",
            has_tls: false,
        }),
        Box::new(Nginx {
            name: "nginx-cache-tls",
            workloads: &[Workload::Tls, Workload::Http2],
            http_directives: SEGMENT_CACHE_DIRECTIVES,
            server_directives: "proxy_cache segments; proxy_cache_valid 200 1h; proxy_cache_lock on;",
            has_tls: true,
        }),
        Box::new(Nginx {
            name: "nginx-cache-1s",
            workloads: &[Workload::Shared],
            http_directives: "proxy_cache_path {directory}/cache levels=1:2 keys_zone=playlists:10m max_size=1g \
                   inactive=1h use_temp_path=off;",
            server_directives: "proxy_cache playlists; proxy_cache_valid 200 1s; proxy_cache_lock on;",
            has_tls: false,
        }),
        Box::new(NginxFileServer),
    ]
}

impl Peer for Nginx {
    fn name(&self) -> &str {
        self.name
    }

    fn workloads(&self) -> &[Workload] {
        self.workloads
    }

    fn can_reach_both_origins(&self) -> bool {
        true
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let directory = testbed.create_contender_directory(self.name)?;
        let http = self.http_directives.replace("{directory}", &directory.to_string_lossy());
        let Origin { files_address, dynamic_address, .. } = &testbed.origin;
        let TestCertificate { cert_path, key_path, .. } = &testbed.certificate;
        let (tls, certificate) = if self.has_tls {
            let (cert, key) = (cert_path.display(), key_path.display());
            (" ssl http2", format!("ssl_certificate {cert}; ssl_certificate_key {key};"))
        } else {
            ("", String::new())
        };
        let http = format!(
            "{http}
 upstream files {{ server {files_address}; keepalive 128; keepalive_requests 1000000000; }}
 \
             upstream made {{ server {dynamic_address}; keepalive 128; keepalive_requests 1000000000; }}
 \
             server {{ listen {listen}{tls} backlog=4096; {certificate} {UPSTREAM_KEEPALIVE_DIRECTIVES} {}
 \
             location / {{ proxy_pass http://files; }} \
             location {DYNAMIC_PREFIX} {{ proxy_pass http://made; }} }}",
            self.server_directives,
        );
        let mut command = nginx_command(&directory, threads, &http)?;
        testbed.start_measured_process(&mut command, &directory, threads)
    }
}

/// nginx as a server of the origin's files: the cost of serving them at all.
struct NginxFileServer;

impl Peer for NginxFileServer {
    fn name(&self) -> &str {
        "nginx-file"
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Stored, Workload::Playlist, Workload::Shared]
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let directory = testbed.create_contender_directory(self.name())?;
        let mut command = nginx_command(
            &directory,
            threads,
            &file_server_block(listen, testbed.origin.files_directory()),
        )?;
        testbed.start_measured_process(&mut command, &directory, threads)
    }
}
