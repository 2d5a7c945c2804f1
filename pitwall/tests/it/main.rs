//! The executable from outside: over HTTP, and on a command line.

#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

mod access;
mod api;
mod cluster;
mod commands;
mod documents;
mod edge;
mod edges;
mod extract;
mod links;
mod live;
mod longer;
mod low_latency;
mod refresh;
mod splice;
mod starts;
mod storage;
mod support;
mod transport;
mod twins;
mod viewer;
mod window;
mod words;
