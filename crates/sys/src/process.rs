//! Living as a service: in the background, in a cage.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
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

/// Leaves the terminal: a session of its own, and nothing on the standard streams.
pub fn detach() -> io::Result<()> {
    // A group leader cannot begin a session; it has been started by something that did so already.
    let _ = rustix::process::setsid();
    silence()
}

/// Points the standard streams at /dev/null.
pub fn silence() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
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
