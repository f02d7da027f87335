//! Users and groups: finding them by name, and becoming one.

use std::ffi::{CString, c_char};
use std::io;

use crate::capability::{self, Capability};

/// Longest record of the user database we accept, in bytes. Groups with very many members need much.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// A user as the system's database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    /// The user's first group.
    pub gid: u32,
}

/// Finds a user by name; `None` when there is none.
pub fn user_by_name(name: &str) -> io::Result<Option<User>> {
    let name = CString::new(name)?;
    lookup(|memory| {
        // SAFETY: `passwd` is integers and pointers, for which zero is valid.
        let mut record: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: every pointer is to a live local or to `memory`, whose length is given; the name ends with a zero.
        let error = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut record,
                memory.as_mut_ptr(),
                memory.len(),
                &raw mut found,
            )
        };
        (
            error,
            (!found.is_null()).then_some(User {
                uid: record.pw_uid,
                gid: record.pw_gid,
            }),
        )
    })
}

/// Finds a group's number by its name; `None` when there is none.
pub fn group_by_name(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    lookup(|memory| {
        // SAFETY: `group` is integers and pointers, for which zero is valid.
        let mut record: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: every pointer is to a live local or to `memory`, whose length is given; the name ends with a zero.
        let error = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut record,
                memory.as_mut_ptr(),
                memory.len(),
                &raw mut found,
            )
        };
        (error, (!found.is_null()).then_some(record.gr_gid))
    })
}

/// Asks with more and more memory until the record fits.
fn lookup<T>(mut ask: impl FnMut(&mut [c_char]) -> (i32, Option<T>)) -> io::Result<Option<T>> {
    let mut memory = vec![0; 1_024];
    loop {
        match ask(&mut memory) {
            (0, found) => return Ok(found),
            (libc::ERANGE, _) if memory.len() < RECORD_BYTES_MAX => {
                memory.resize(memory.len() * 4, 0)
            }
            // Some name services say "not found" with these.
            (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
            (error, _) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Whether the process runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Becomes another group, then another user, for all threads; whatever of the two is given. Needs privilege.
///
/// Supplementary groups are given up first: they are root's, and would outlast it. Capabilities named in `kept` outlast
/// it too, for the calling thread and those it starts later.
pub fn become_user(uid: Option<u32>, gid: Option<u32>, kept: &[Capability]) -> io::Result<()> {
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    capability::outlast_root(!kept.is_empty())?;
    if is_root() {
        // SAFETY: a list of no groups is not read.
        check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    }
    if let Some(gid) = gid {
        // SAFETY: takes a number only.
        check(unsafe { libc::setgid(gid) })?;
    }
    if let Some(uid) = uid {
        // SAFETY: takes a number only.
        check(unsafe { libc::setuid(uid) })?;
        if uid != 0 {
            capability::retain(kept)?;
        }
    }
    Ok(())
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nonsense_is_not() {
        assert_eq!(user_by_name("root").unwrap(), Some(User { uid: 0, gid: 0 }));
        assert_eq!(group_by_name("root").unwrap(), Some(0));
        assert_eq!(user_by_name("no such user").unwrap(), None);
        assert_eq!(group_by_name("no such group").unwrap(), None);
        assert!(user_by_name("ro\0ot").is_err());
    }
}
