//! The ceiling: serves the origin's files straight from memory, the upper bound of any proxy.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;

use super::{RawResponse, serve};

pub(crate) fn run(listen: SocketAddr, directory: &Path) -> anyhow::Result<()> {
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(directory).context("the files to serve")? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let path = format!("/{}", entry.file_name().to_string_lossy());
            files.insert(path, Bytes::from(std::fs::read(entry.path())?));
        }
    }
    serve(listen, |path| {
        let path = path.split('?').next().unwrap_or(path);
        match files.get(path) {
            Some(body) => RawResponse::new("200 OK", "video/mp2t", body.clone()),
            None => RawResponse::new("404 Not Found", "text/plain", Bytes::new()),
        }
    })
}
