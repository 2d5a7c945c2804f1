//! Integration tests of the `pitwall` executable, over HTTP and on the command line.

#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

mod access;
mod api;
mod bench;
mod canary;
mod cluster;
mod commands;
mod denied_targets;
mod documents;
mod edge;
mod edges;
mod extract;
mod live;
mod logs;
mod low_latency;
mod multivariant;
mod operator_commands;
mod public_path;
mod refresh;
mod reload;
mod segment_cache;
mod slow_readers;
mod splice;
mod startup;
mod support;
mod target_duration;
mod transport;
mod twin_sources;
mod viewer;
mod window;
