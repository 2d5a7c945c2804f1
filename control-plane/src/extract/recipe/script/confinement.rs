//! Landlock (Linux 5.13 and later) keeps the worker process from files, from the network and from
//! other processes, should a script break out of its engine.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus,
    Scope,
};

/// The newest rights that are taken away where the kernel knows them (Linux 6.12).
const LANDLOCK_ABI: ABI = ABI::V6;

/// Takes from this thread, and from all that it starts, every right to open a file, to use TCP and
/// to reach other processes, as far as the kernel can. `false`: this kernel cannot.
pub(super) fn confine_thread() -> bool {
    let confine = || -> Result<RulesetStatus, RulesetError> {
        let restricted = Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
            .handle_access(AccessNet::from_all(LANDLOCK_ABI))?
            .scope(Scope::from_all(LANDLOCK_ABI))?
            .create()?
            .restrict_self()?;
        Ok(restricted.ruleset)
    };
    confine().is_ok_and(|status| status != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;
    use std::thread;
    use std::{env, fs, io};

    use super::*;

    fn error_of<T>(result: io::Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    /// Only the thread that is confined and those that it starts lose their rights.
    #[test]
    fn a_confined_thread_opens_no_file_and_no_connection() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        let path = secret.path().to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let confined = thread::spawn(move || {
            if !confine_thread() {
                return None;
            }
            let in_child = thread::spawn(move || {
                [
                    error_of(fs::read(&path)),
                    error_of(fs::write(env::temp_dir().join("confined"), "")),
                    error_of(fs::read_dir("/")),
                    error_of(TcpStream::connect(address)),
                ]
            });
            Some(in_child.join().unwrap())
        });
        // A kernel without Landlock, or before 6.7 without rights for TCP, has nothing to show.
        if let Some([read, write, list, connect]) = confined.join().unwrap() {
            assert_eq!([read, write, list], [Some(ErrorKind::PermissionDenied); 3]);
            assert!(matches!(connect, None | Some(ErrorKind::PermissionDenied)));
        }
        assert!(fs::read(secret.path()).is_ok(), "another thread is not confined");
    }
}
