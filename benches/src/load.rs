//! The load generator: one thread with many keep-alive connections, each of which sends its next
//! request as soon as its last response is complete. Bodies are counted and discarded in the kernel
//! (`MSG_TRUNC`), so that the client takes as little processor time as possible.
//!
//! - [`connection`]: one connection.
//! - [`fetch`]: one request whose response is kept.
//! - [`load_state`]: what the connections share.
//! - [`response`]: the response parser.

mod connection;
mod fetch;
mod load_state;
mod response;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use connection::Connection;
pub(crate) use fetch::{fetch, fetch_over_tls};
pub(crate) use load_state::ExpectedLength;
use load_state::LoadState;
use response::ResponseParser;

/// Time allowed at the end of a run for the responses in flight.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest extension of a measurement in which fewer responses than connections have arrived.
const SLOW_RUN_EXTENSION: Duration = Duration::from_secs(10);

const EXTENSION_POLL_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct LoadGenerator<'a> {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    state: LoadState<'a>,
}

/// The responses of one run.
#[derive(Clone, Debug)]
pub(crate) struct LoadResult {
    pub(crate) seconds: f64,
    pub(crate) responses: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    /// From a request to the first byte of its response, in nanoseconds.
    pub(crate) first_byte_delay: Histogram<u64>,
    /// From a request to the last byte of its response, in nanoseconds.
    pub(crate) last_byte_delay: Histogram<u64>,
}

impl LoadResult {
    fn new() -> anyhow::Result<Self> {
        let minute = 60_000_000_000;
        let mut histogram = Histogram::new_with_bounds(1_000, minute, 3)?;
        histogram.auto(true);
        Ok(Self {
            seconds: 0.0,
            responses: 0,
            bytes: 0,
            first_byte_delay: histogram.clone(),
            last_byte_delay: histogram,
        })
    }
}

impl<'a> LoadGenerator<'a> {
    /// Opens the connections; `request` writes the next path to request on the connection of the
    /// given number.
    pub(crate) fn connect(
        address: SocketAddr,
        connections: usize,
        expect: ExpectedLength,
        request: impl FnMut(usize, &mut String) + 'a,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..connections)
            .map(|number| Connection::open(address, poll.registry(), Token(number)))
            .collect::<anyhow::Result<_>>()?;
        let state = LoadState::new(address, expect, Box::new(request), LoadResult::new()?);
        Ok(Self { poll, events: Events::with_capacity(1024), connections, state })
    }

    /// Sends requests on all connections for `duration`.
    ///
    /// # Errors
    /// When a response is not as expected, or no body bytes arrive at all.
    pub(crate) fn run(&mut self, duration: Duration) -> anyhow::Result<LoadResult> {
        self.state.result = LoadResult::new()?;
        self.state.is_repeating = true;
        let started = Instant::now();
        let deadline = started + duration;
        for connection in &mut self.connections {
            connection.drive(&mut self.state, self.poll.registry())?;
        }
        self.drive_until(|_| false, deadline)?;
        // A slow contender gets time for about one response per connection, since fewer responses
        // say little about its latency.
        let enough = self.connections.len() as u64;
        let extended_deadline = deadline + SLOW_RUN_EXTENSION;
        while self.state.result.responses < enough && Instant::now() < extended_deadline {
            self.drive_until(|_| false, Instant::now() + EXTENSION_POLL_INTERVAL)?;
        }
        let mut result = std::mem::replace(&mut self.state.result, LoadResult::new()?);
        result.seconds = started.elapsed().as_secs_f64();
        if result.bytes == 0 {
            bail!("no content arrived in {:.1} s", result.seconds);
        }
        Ok(result)
    }

    /// Sends one request per connection and waits for all responses.
    ///
    /// # Errors
    /// When a response is not as expected, or one is incomplete after `timeout`.
    pub(crate) fn run_once(&mut self, timeout: Duration) -> anyhow::Result<LoadResult> {
        self.state.result = LoadResult::new()?;
        self.state.is_repeating = true;
        let started = Instant::now();
        for connection in &mut self.connections {
            connection.start_request(&mut self.state);
        }
        self.state.is_repeating = false;
        for connection in &mut self.connections {
            connection.drive(&mut self.state, self.poll.registry())?;
        }
        self.drive_until(Self::is_idle, started + timeout)?;
        let mut result = std::mem::replace(&mut self.state.result, LoadResult::new()?);
        result.seconds = started.elapsed().as_secs_f64();
        if !Self::is_idle(&self.connections) {
            bail!("only {} complete responses in {:.1} s", result.responses, result.seconds);
        }
        Ok(result)
    }

    /// Waits for the responses in flight, so that they do not disturb the next measurement.
    pub(crate) fn drain(mut self) -> anyhow::Result<()> {
        self.state.is_repeating = false;
        self.drive_until(Self::is_idle, Instant::now() + DRAIN_TIMEOUT)
    }

    fn is_idle(connections: &[Connection]) -> bool {
        connections.iter().all(Connection::is_idle)
    }

    fn drive_until(
        &mut self,
        done: impl Fn(&[Connection]) -> bool,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        while !done(&self.connections) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.context("waiting for the contender")?,
            }
            for event in &self.events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    connection.drive(&mut self.state, self.poll.registry())?;
                }
            }
        }
        Ok(())
    }
}
