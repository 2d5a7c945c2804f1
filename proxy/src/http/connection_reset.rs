//! Resets the connection of a response that breaks off, where its end would else look like that of
//! a whole one: to a client of HTTP/1.0 a body of unknown length ends when the connection is closed.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use pingora::protocols::http::ServerSession;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Has the kernel reset the connection of an HTTP/1 request when it is closed, and drop what has
/// not been sent.
///
/// # Errors
/// The kernel refuses it, as where there is no free file descriptor.
pub fn reset_on_close(session: &ServerSession) -> io::Result<()> {
    let Some(stream) = session.stream() else { return Ok(()) };
    Ok(set_socket_linger(duplicate_socket(stream.id())?, Some(Duration::ZERO))?)
}

/// A descriptor of the same socket. Pingora gives out only its number, from which no descriptor can
/// be made, except by sending it.
fn duplicate_socket(socket: RawFd) -> io::Result<OwnedFd> {
    let (from, to) = UnixStream::pair()?;
    let message = [ControlMessage::ScmRights(&[socket])];
    let byte = [IoSlice::new(&[0])];
    sendmsg::<()>(from.as_raw_fd(), &byte, &message, MsgFlags::empty(), None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut received = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0];
    recvmsg(&to, &mut [IoSliceMut::new(&mut buffer)], &mut received, RecvFlags::CMSG_CLOEXEC)?;
    let rights = received.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    rights.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_duplicate_is_the_same_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let duplicate = duplicate_socket(accepted.as_raw_fd()).unwrap();
        set_socket_linger(duplicate, Some(Duration::ZERO)).unwrap();
        drop(accepted);
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
