//! Listening stream sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::net::{self, SocketFlags, SocketType, sockopt};

use crate::address::Address;
use crate::option;
use crate::socket::Keepalive;

/// Longest accept queue we ask for when nothing is said; the kernel caps it with `net.core.somaxconn`.
pub const BACKLOG_DEFAULT: u32 = 4_096;

/// How to listen. Options that do not fit the kind of address are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Several sockets may listen on the same address; the kernel spreads connections over them.
    pub reuse_port: bool,
    /// Accepted sockets send small pieces at once (inherited, so that no call per connection is needed).
    pub nodelay: bool,
    /// A connection is accepted when its first bytes are there, or after about this many seconds; 0 is off.
    pub defer_accept_seconds: u32,
    /// Connections whose first bytes came with their SYN that may wait (TCP Fast Open); 0 is off.
    pub fast_open_queue: u32,
    /// Only connections that arrive on this network interface.
    pub interface: Option<String>,
    /// Largest TCP segment, in bytes.
    pub segment_bytes: Option<u32>,
    /// How long sent bytes may stay unacknowledged before the connection is given up, in milliseconds.
    pub user_timeout_ms: Option<u32>,
    /// Congestion control algorithm, by its kernel name.
    pub congestion: Option<String>,
    /// An IPv6 socket takes IPv6 only (`true`), IPv4 as well (`false`), or what the system says (`None`).
    pub v6_only: Option<bool>,
    /// The address need not belong to this machine, and connections to others may be accepted (IP_TRANSPARENT).
    pub transparent: bool,
    /// The address need not exist yet.
    pub free_bind: bool,
    pub receive_buffer_bytes: Option<u32>,
    pub send_buffer_bytes: Option<u32>,
    /// Accepted sockets are probed when silent (inherited).
    pub keepalive: Option<Keepalive>,
    /// SYN packets are kept for accepted sockets (`TCP_SAVE_SYN`): 1 from their IP header on, 2 whole; 0 is off.
    pub save_syn: u8,
    /// Permission bits of a unix socket's file.
    pub unix_mode: Option<u32>,
    /// Owner of a unix socket's file.
    pub unix_uid: Option<u32>,
    /// Group of a unix socket's file.
    pub unix_gid: Option<u32>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG_DEFAULT,
            reuse_port: true,
            nodelay: true,
            defer_accept_seconds: 0,
            fast_open_queue: 0,
            interface: None,
            segment_bytes: None,
            user_timeout_ms: None,
            congestion: None,
            v6_only: None,
            save_syn: 0,
            transparent: false,
            free_bind: false,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            keepalive: None,
            unix_mode: None,
            unix_uid: None,
            unix_gid: None,
        }
    }
}

/// Binds and listens. The socket is non-blocking and closed on exec.
///
/// A unix path is taken over atomically: the new socket is bound beside it and renamed onto it, so that a client
/// always finds a listener there. A file at that path which is not a socket is left alone and is an error.
pub fn listen(address: &Address, options: &ListenOptions) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(address.family(), SocketType::STREAM, flags, None)?;
    let fd = socket.as_fd();
    set_buffers(fd, options.receive_buffer_bytes, options.send_buffer_bytes)?;
    match address {
        Address::Inet(inet) => {
            set_inet(fd, *inet, options)?;
            net::bind(fd, &address.encode()?)?;
            net::listen(fd, backlog(options))?;
        }
        Address::Unix(path) => listen_at_path(fd, path, options)?,
        Address::Abstract(_) => {
            net::bind(fd, &address.encode()?)?;
            net::listen(fd, backlog(options))?;
        }
        Address::Unnamed => return Err(io::ErrorKind::InvalidInput.into()),
    }
    Ok(socket)
}

/// Changes what can be changed of a socket that listens already: its backlog, and what accepted sockets inherit.
pub fn adjust(socket: BorrowedFd<'_>, options: &ListenOptions) -> io::Result<()> {
    set_buffers(
        socket,
        options.receive_buffer_bytes,
        options.send_buffer_bytes,
    )?;
    if let Address::Inet(_) = crate::socket::local_address(socket)? {
        let seconds = i32::try_from(options.defer_accept_seconds).unwrap_or(i32::MAX);
        option::set_int(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)?;
        set_tcp(socket, options)?;
    }
    // Asked again, listen(2) changes the backlog alone.
    Ok(net::listen(socket, backlog(options))?)
}

fn backlog(options: &ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

pub(crate) fn set_buffers(
    fd: BorrowedFd<'_>,
    receive: Option<u32>,
    send: Option<u32>,
) -> io::Result<()> {
    if let Some(bytes) = receive {
        sockopt::set_socket_recv_buffer_size(fd, bytes as usize)?;
    }
    if let Some(bytes) = send {
        sockopt::set_socket_send_buffer_size(fd, bytes as usize)?;
    }
    Ok(())
}

fn set_inet(fd: BorrowedFd<'_>, address: SocketAddr, options: &ListenOptions) -> io::Result<()> {
    sockopt::set_socket_reuseaddr(fd, true)?;
    sockopt::set_socket_reuseport(fd, options.reuse_port)?;
    if let (SocketAddr::V6(_), Some(only)) = (address, options.v6_only) {
        sockopt::set_ipv6_v6only(fd, only)?;
    }
    if options.transparent {
        set_transparent(fd, address)?;
    }
    if options.free_bind {
        sockopt::set_ip_freebind(fd, true)?;
    }
    if let Some(name) = &options.interface {
        bind_to_interface(fd, name)?;
    }
    if options.nodelay {
        sockopt::set_tcp_nodelay(fd, true)?;
    }
    if options.defer_accept_seconds > 0 {
        let seconds = i32::try_from(options.defer_accept_seconds).unwrap_or(i32::MAX);
        option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)?;
    }
    set_tcp(fd, options)
}

/// Options that may also be set later.
fn set_tcp(fd: BorrowedFd<'_>, options: &ListenOptions) -> io::Result<()> {
    if options.fast_open_queue > 0 {
        let length = i32::try_from(options.fast_open_queue).unwrap_or(i32::MAX);
        option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, length)?;
    }
    if options.save_syn > 0 {
        let wanted = i32::from(options.save_syn);
        option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, wanted)?;
    }
    if let Some(bytes) = options.segment_bytes {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        option::set_int(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, bytes)?;
    }
    if let Some(ms) = options.user_timeout_ms {
        sockopt::set_tcp_user_timeout(fd, ms)?;
    }
    if let Some(name) = &options.congestion {
        sockopt::set_tcp_congestion(fd, name)?;
    }
    if let Some(keepalive) = &options.keepalive {
        crate::socket::set_keepalive(fd, keepalive)?;
    }
    Ok(())
}

pub(crate) fn set_transparent(fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => option::set_int(fd, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1),
        SocketAddr::V6(_) => option::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1),
    }
}

pub(crate) fn bind_to_interface(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    option::set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes())
}

fn listen_at_path(fd: BorrowedFd<'_>, path: &Path, options: &ListenOptions) -> io::Result<()> {
    refuse_other_files(path)?;
    let beside = beside(path);
    remove_if_present(&beside)?;
    net::bind(fd, &Address::Unix(beside.clone()).encode()?)?;
    let finished = finish_path(fd, &beside, path, options);
    if finished.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    finished
}

fn finish_path(
    fd: BorrowedFd<'_>,
    beside: &Path,
    path: &Path,
    options: &ListenOptions,
) -> io::Result<()> {
    if let Some(mode) = options.unix_mode {
        rustix::fs::chmod(beside, Mode::from_raw_mode(mode))?;
    }
    if options.unix_uid.is_some() || options.unix_gid.is_some() {
        let owner = options.unix_uid.map(Uid::from_raw);
        rustix::fs::chown(beside, owner, options.unix_gid.map(Gid::from_raw))?;
    }
    net::listen(fd, backlog(options))?;
    std::fs::rename(beside, path)
}

/// A name of our own in the same directory, since rename(2) is atomic only within a file system.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    name.into()
}

fn refuse_other_files(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes one waiting connection, non-blocking and closed on exec; `None` when none waits.
///
/// Connections that died while waiting are skipped.
#[inline]
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<(OwnedFd, Address)>> {
    loop {
        match net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, raw)) => {
                let peer = raw.map_or(Address::Unnamed, |raw| Address::decode(&raw));
                return Ok(Some((socket, peer)));
            }
            Err(Errno::AGAIN) => return Ok(None),
            // The peer gave up, or a network error arrived ahead of accept (accept(2), "Error handling").
            Err(
                Errno::INTR
                | Errno::CONNABORTED
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NONET,
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an accept failed for want of descriptors or memory, which only time or closing others can mend.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// Makes a listening socket from elsewhere ours: checks that it is one, makes it non-blocking and closed on exec, and
/// tells its address.
pub fn adopt(socket: OwnedFd) -> io::Result<(OwnedFd, Address)> {
    if sockopt::socket_type(&socket)? != SocketType::STREAM || !sockopt::socket_acceptconn(&socket)?
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the descriptor is not a listening stream socket",
        ));
    }
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    let address = crate::socket::local_address(socket.as_fd())?;
    Ok((socket, address))
}

/// A descriptor of our own for an inherited one, known by its number (`fd@3`).
///
/// The number itself stays open, since who else in the process goes by it cannot be known.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: fcntl(2) touches no memory of ours, and answers EBADF for a number that is not open.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    fn loopback() -> Address {
        Address::Inet("127.0.0.1:0".parse().unwrap())
    }

    /// Accepts soon, on a busy machine within a minute; the sockets are non-blocking.
    fn accept_soon(listener: &OwnedFd) -> (OwnedFd, Address) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            if let Some(accepted) = accept(listener.as_fd()).unwrap() {
                return accepted;
            }
            assert!(std::time::Instant::now() < deadline, "nobody came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn tcp_options_are_set_and_inherited() {
        let options = ListenOptions {
            defer_accept_seconds: 1,
            fast_open_queue: 16,
            segment_bytes: Some(1_200),
            user_timeout_ms: Some(30_000),
            receive_buffer_bytes: Some(65_536),
            keepalive: Some(Keepalive {
                idle_seconds: Some(77),
                interval_seconds: None,
                count: Some(3),
            }),
            interface: Some("lo".into()),
            ..ListenOptions::default()
        };
        let listener = listen(&loopback(), &options).unwrap();
        let address = crate::socket::local_address(listener.as_fd())
            .unwrap()
            .inet()
            .unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"first").unwrap();
        let (accepted, peer) = accept_soon(&listener);
        assert_eq!(peer, Address::Inet(client.local_addr().unwrap()));
        assert!(sockopt::tcp_nodelay(&accepted).unwrap());
        assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), 30_000);
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap().as_secs(), 77);
        let mut bytes = [0; 16];
        assert_eq!(
            crate::socket::receive(accepted.as_fd(), &mut bytes).unwrap(),
            Some(5)
        );
    }

    #[test]
    fn several_sockets_share_a_port_only_when_asked_to() {
        let first = listen(&loopback(), &ListenOptions::default()).unwrap();
        let address = crate::socket::local_address(first.as_fd()).unwrap();
        listen(&address, &ListenOptions::default()).unwrap();
        let alone = ListenOptions {
            reuse_port: false,
            ..ListenOptions::default()
        };
        assert_eq!(
            listen(&address, &alone).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_unix_path_is_taken_over_but_other_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("front.sock");
        let options = ListenOptions {
            unix_mode: Some(0o600),
            ..ListenOptions::default()
        };
        drop(listen(&Address::Unix(path.clone()), &options).unwrap());
        let listener = listen(&Address::Unix(path.clone()), &options).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        let mut client = UnixStream::connect(&path).unwrap();
        let (accepted, peer) = accept_soon(&listener);
        assert_eq!(peer, Address::Unnamed);
        crate::socket::send(accepted.as_fd(), b"welcome").unwrap();
        drop(accepted);
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "welcome");
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left beside the socket"
        );

        let file = directory.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        assert!(listen(&Address::Unix(file.clone()), &options).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn only_listening_stream_sockets_are_adopted() {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ours, address) = adopt(inherited(theirs.as_raw_fd()).unwrap()).unwrap();
        assert_eq!(address, Address::Inet(theirs.local_addr().unwrap()));
        assert!(accept(ours.as_fd()).unwrap().is_none(), "it does not block");
        let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(adopt(inherited(datagram.as_raw_fd()).unwrap()).is_err());
        assert!(inherited(-1).is_err());
        assert!(inherited(1_000_000).is_err());
    }
}
