//! nginx's configuration file, for contenders and for the origin.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// A `server` block that serves the files in `folder`.
pub(crate) fn file_server_block(listen: SocketAddr, folder: &Path) -> String {
    format!(
        "server {{ listen {listen} backlog=4096; root {}; open_file_cache max=1000;\n \
         types {{ video/mp2t ts; application/vnd.apple.mpegurl m3u8; }} }}",
        folder.display()
    )
}

/// nginx in the foreground with these directives in `http`, its own files in `directory`.
pub(crate) fn nginx_command(
    directory: &Path,
    workers: usize,
    http: &str,
) -> anyhow::Result<Command> {
    let file = directory.join("nginx.conf");
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = write!(temporary, "{kind}_temp_path {}; ", directory.join(kind).display());
    }
    let config = format!(
        "daemon off; {user} worker_processes {workers}; worker_rlimit_nofile 20000;\n\
         pid {pid}; error_log stderr warn;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n access_log off; {temporary}\n\
         sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
         {http}\n}}\n",
        pid = directory.join("nginx.pid").display(),
    );
    std::fs::write(&file, config)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(directory).arg("-c").arg(&file).args(["-e", "stderr"]);
    Ok(command)
}
