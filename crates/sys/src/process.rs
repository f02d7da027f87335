//! Living as a service: in the background, in a cage.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// Which of the two processes after a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    Parent { child_id: u32 },
    Child,
}

/// Makes a second process of this one (fork). Refused when the process has more than one thread, because the child
/// would have only the calling one, with every lock the others held locked for ever.
pub fn fork() -> io::Result<Forked> {
    if thread_count()? != 1 {
        return Err(io::Error::other(
            "a process with several threads cannot be forked",
        ));
    }
    // SAFETY: there is one thread, so the child is a complete copy and may do whatever the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent {
            child_id: child.unsigned_abs(),
        }),
    }
}

fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Lets programs that are started from now on have this descriptor, under its number.
pub fn inherit(descriptor: impl AsFd) -> io::Result<()> {
    let flags = rustix::io::fcntl_getfd(&descriptor)?;
    let kept = flags.difference(rustix::io::FdFlags::CLOEXEC);
    Ok(rustix::io::fcntl_setfd(descriptor, kept)?)
}

/// Says whether programs that are started from now on have a descriptor, known by its number.
pub fn set_inherited(descriptor: i32, inherited: bool) -> io::Result<()> {
    let flags = if inherited { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: fcntl(2) touches no memory of ours, and answers EBADF for a number that is not open.
    match unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The descriptor that the program before this one left to it under a number. To be asked for once for each number, as
/// early as possible: from then on it is ours alone.
///
/// # Errors
/// When the number is not open, or one of the three standard streams.
pub fn claim(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    set_inherited(descriptor, false)?;
    // SAFETY: the number is open, as the call has just shown; it was agreed upon with the program that left it, so that
    // nothing in this one goes by it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Becomes another program, under the same number, with every signal blocked that is blocked now. Returns only when that
/// fails.
pub fn replace(file: &Path, name: &OsStr, words: &[OsString]) -> io::Error {
    let text = |text: &OsStr| CString::new(text.as_bytes());
    let Ok(file) = text(file.as_os_str()) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let words = std::iter::once(name).chain(words.iter().map(OsString::as_os_str));
    let Ok(words) = words.map(text).collect::<Result<Vec<_>, _>>() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the array ends with a null pointer, all others point to texts that end with a zero and live until the end.
    unsafe { libc::execv(file.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// How a process that we started ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Status(u8),
    Signal(i32),
}

/// Waits for the end of a process that we started, under whatever program.
///
/// # Errors
/// When it is not ours, or somebody has waited for it already.
pub fn wait(process: u32) -> io::Result<Ended> {
    let id = known(process)?;
    loop {
        match rustix::process::waitpid(Some(id), rustix::process::WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Ended::Signal(signal));
                }
                if let Some(code) = status.exit_status() {
                    return Ok(Ended::Status(code as u8));
                }
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a process that we started, at once.
pub fn kill(process: u32) -> io::Result<()> {
    let id = known(process)?;
    Ok(rustix::process::kill_process(
        id,
        rustix::process::Signal::KILL,
    )?)
}

fn known(process: u32) -> io::Result<rustix::process::Pid> {
    let id = i32::try_from(process).ok();
    let id = id.and_then(rustix::process::Pid::from_raw);
    id.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What swallows everything and says nothing, for [`detach`]. A process that is about to change its root opens it before.
pub fn null() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// Leaves the terminal: a session of its own, and the standard streams lead to `null`.
pub fn detach(null: &File) -> io::Result<()> {
    // A group leader cannot begin a session; it has been started by something that did so already.
    let _ = rustix::process::setsid();
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    rustix::stdio::dup2_stderr(null)?;
    Ok(())
}

/// Makes `directory` the root of the file system for this process, and goes there. Needs privilege.
pub fn change_root(directory: &Path) -> io::Result<()> {
    rustix::process::chroot(directory)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// The name of this machine.
pub fn host_name() -> io::Result<OsString> {
    // The kernel's limit is 64 bytes and a zero.
    let mut name = vec![0_u8; 65];
    // SAFETY: pointer and length describe a live buffer.
    if unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let length = name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(name.len());
    name.truncate(length);
    Ok(OsString::from_vec(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name() {
        let known = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(host_name().unwrap().to_str(), Some(known.trim_end()));
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stopped.recv());
        assert!(fork().is_err());
        drop(stop);
        assert!(other.join().unwrap().is_err());
    }
}
