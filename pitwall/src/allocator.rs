//! The allocator, and how soon it gives memory back.
//!
//! mimalloc keeps what is freed until later allocations happen to purge it, and lets the kernel
//! back memory with huge pages, so that a server that many slow viewers have just left keeps their
//! memory for as long as it is idle. Its options are read from the environment before `main`, and
//! setting them later would need `unsafe` and miss the huge pages: a server therefore begins again,
//! once, with these variables. One that an operator has set stays as it is.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Freed memory is returned at once, in pages of the system's ordinary size.
const OPTIONS: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];
/// The executable of this process where its file was replaced meanwhile. A process that is started
/// by this name is listed as `exe`.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Replaces this process with itself where options are missing in its environment. Must be called
/// before anything is opened or begun. Returns where they are set, or where there is no `/proc`.
pub(crate) fn restart_with_options() {
    let missing: Vec<_> =
        OPTIONS.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("pitwall"));
    let executable = env::current_exe().ok().filter(|path| path.is_file());
    let executable = executable.unwrap_or_else(|| PathBuf::from(OWN_EXECUTABLE));
    // If the process cannot be replaced, it works as well, with more memory.
    let _ = Command::new(executable).arg0(name).args(arguments).envs(missing).exec();
}
