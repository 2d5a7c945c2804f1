//! [`Channel`]: messages and descriptors between the old process and the new one.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

/// The sockets of a process and its process file.
const DESCRIPTORS_MAX: usize = 16;
const MESSAGE_MAX_BYTES: usize = 4096;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub(super) enum Message {
    /// The old process offers its sockets, by configuration key, and its process file, if it has
    /// one. The descriptors come along in this order.
    Offer { listeners: Vec<String>, has_process_file: bool },
    /// The new process has started, and is this one.
    Started { pid: i32 },
    /// The new process can use configuration and secrets, and has read no state.
    Prepared,
    /// The old process has saved its state, and writes none any more. `map_version`: of the map that
    /// it serves.
    StateReleased { map_version: u64 },
    /// The new process accepts connections.
    Listening,
}

/// One end of a socket pair that keeps the bounds of messages.
pub(super) struct Channel(OwnedFd);

impl Channel {
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(ours), theirs))
    }

    pub(super) fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many sockets"));
        }
        // A peer that has ended is an error, not a signal.
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives a message.
    ///
    /// # Errors
    /// `UnexpectedEof` when the peer has ended, `TimedOut` when it says nothing in time.
    pub(super) fn receive(&self, limit: Duration) -> io::Result<(Message, Vec<OwnedFd>)> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(limit))?;
        let mut bytes = [0; MESSAGE_MAX_BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let buffers = &mut [IoSliceMut::new(&mut bytes)];
        // Programs that this process starts must not inherit the sockets.
        let received = recvmsg(&self.0, buffers, &mut control, RecvFlags::CMSG_CLOEXEC);
        let length = match received.map_err(io::Error::from) {
            Ok(received) if received.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(received) => received.bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        let message = serde_json::from_slice(bytes.get(..length).unwrap_or_default())?;
        Ok((message, descriptors))
    }
}

impl From<OwnedFd> for Channel {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn messages_arrive_with_their_descriptors() {
        let (ours, theirs) = Channel::pair().unwrap();
        let theirs = Channel::from(theirs);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let offer =
            Message::Offer { listeners: vec!["edge.listen".into()], has_process_file: false };
        ours.send(&offer, &[listener.as_fd()]).unwrap();
        ours.send(&Message::StateReleased { map_version: 7 }, &[]).unwrap();
        let second = Duration::from_secs(1);
        let (message, mut descriptors) = theirs.receive(second).unwrap();
        assert_eq!((message, descriptors.len()), (offer, 1));
        let taken_over = TcpListener::from(descriptors.remove(0));
        assert_eq!(taken_over.local_addr().unwrap(), listener.local_addr().unwrap());
        let (message, descriptors) = theirs.receive(second).unwrap();
        assert_eq!((message, descriptors.len()), (Message::StateReleased { map_version: 7 }, 0));
        let silent = theirs.receive(Duration::from_millis(1)).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        drop(ours);
        assert_eq!(theirs.receive(second).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
