//! An upgrade without a restart: on SIGUSR2 a process starts its executable again, and hands
//! listeners and state over to it.
//!
//! - [`startup`]: what a process has before it listens: sockets that it binds or takes over, and the
//!   state directory.
//! - [`predecessor`]: the new process's side. [`successor`]: the old one's.
//! - [`channel`]: their messages, and descriptors, over a socket pair, which is the standard input of
//!   the new process.
//! - [`process_file`]: who owns a state directory.
//!
//! | old process | new process |
//! |---|---|
//! | starts the new one, offers its sockets | leaves its parent, reads configuration and secrets |
//! | | is prepared |
//! | gives up the lease, saves its state, writes no file any more | |
//! | releases the state | reads it, waits for the map, |
//! | | listens |
//! | closes its sockets, serves its connections to their end | |
//!
//! The new process is no child of the old one but of the service manager, which is to notice when it
//! ends: the process that the old one starts starts another one, and ends.
//!
//! Both share the sockets, so that no connection waits in a queue that is closed. Until the new
//! process listens, whatever happens to it, the old one takes its state back and goes on.

mod channel;
mod predecessor;
mod process_file;
mod startup;
mod successor;

pub(crate) use self::process_file::{ProcessStatus, executable_identity};
pub(crate) use self::startup::{Announcement, Startup};
pub(crate) use self::successor::{Handover, HandoverParts};
