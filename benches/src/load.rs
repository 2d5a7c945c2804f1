//! The load generator: one thread, many keep-alive connections, each asking again as soon as it
//! was answered. Bodies are counted and thrown away in the kernel, so that the client takes as
//! little of the machine as a client can.

mod connection;
mod fetch;
mod response;
mod turn;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use connection::Connection;
pub(crate) use fetch::{fetch, fetch_over_tls};
use response::Response;
pub(crate) use turn::Expect;
use turn::Turn;

/// How long the answers that are under way at the end may take.
const FINISHING: Duration = Duration::from_secs(5);

/// How much longer than asked for a measurement may take when hardly anything comes.
const PATIENCE: Duration = Duration::from_secs(10);

const SLICE: Duration = Duration::from_millis(20);

pub(crate) struct Load<'a> {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    turn: Turn<'a>,
}

/// What came in one run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) seconds: f64,
    pub(crate) responses: u64,
    /// Of bodies.
    pub(crate) bytes: u64,
    /// From a request to the first byte of its response, in nanoseconds.
    pub(crate) first_byte: Histogram<u64>,
    /// From a request to the last byte of its response, in nanoseconds.
    pub(crate) whole: Histogram<u64>,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        let minute = 60_000_000_000;
        let mut histogram = Histogram::new_with_bounds(1_000, minute, 3)?;
        histogram.auto(true);
        Ok(Self {
            seconds: 0.0,
            responses: 0,
            bytes: 0,
            first_byte: histogram.clone(),
            whole: histogram,
        })
    }
}

impl<'a> Load<'a> {
    /// Connects; `request` writes the next path to ask for on the connection of that number.
    pub(crate) fn connect(
        address: SocketAddr,
        connections: usize,
        expect: Expect,
        request: impl FnMut(usize, &mut String) + 'a,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..connections)
            .map(|number| Connection::open(address, poll.registry(), Token(number)))
            .collect::<anyhow::Result<_>>()?;
        let turn = Turn::new(address, expect, Box::new(request), Tally::new()?);
        Ok(Self { poll, events: Events::with_capacity(1024), connections, turn })
    }

    /// Asks and reads for this long.
    pub(crate) fn run(&mut self, duration: Duration) -> anyhow::Result<Tally> {
        self.turn.tally = Tally::new()?;
        self.turn.asking = true;
        let started = Instant::now();
        let deadline = started + duration;
        for connection in &mut self.connections {
            connection.drive(&mut self.turn, self.poll.registry())?;
        }
        self.drive_until(|_| false, deadline)?;
        // A slow one is given time for an answer on every connection, or nearly.
        let (enough, patience) = (self.connections.len() as u64, deadline + PATIENCE);
        while self.turn.tally.responses < enough && Instant::now() < patience {
            self.drive_until(|_| false, Instant::now() + SLICE)?;
        }
        let mut tally = std::mem::replace(&mut self.turn.tally, Tally::new()?);
        tally.seconds = started.elapsed().as_secs_f64();
        if tally.bytes == 0 {
            bail!("nothing came in {:.1} s", tally.seconds);
        }
        Ok(tally)
    }

    /// Every connection asks once; the answers are waited for.
    pub(crate) fn once(&mut self, patience: Duration) -> anyhow::Result<Tally> {
        self.turn.tally = Tally::new()?;
        self.turn.asking = true;
        let started = Instant::now();
        for connection in &mut self.connections {
            connection.ask(&mut self.turn);
        }
        self.turn.asking = false;
        for connection in &mut self.connections {
            connection.drive(&mut self.turn, self.poll.registry())?;
        }
        self.drive_until(Self::is_idle, started + patience)?;
        let mut tally = std::mem::replace(&mut self.turn.tally, Tally::new()?);
        tally.seconds = started.elapsed().as_secs_f64();
        if !Self::is_idle(&self.connections) {
            bail!("{} answers in {:.1} s", tally.responses, tally.seconds);
        }
        Ok(tally)
    }

    /// Waits for what is under way, so that nothing of it runs into the next measurement.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.turn.asking = false;
        self.drive_until(Self::is_idle, Instant::now() + FINISHING)
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
                    connection.drive(&mut self.turn, self.poll.registry())?;
                }
            }
        }
        Ok(())
    }
}
