//! The request's target and its `Host` (RFC 9112 sections 3.2 and 3.3): each sound, and both of one mind.
//!
//! A server that looks at one must not be led elsewhere than a proxy that looked at the other.

use std::ops::Range;

use super::Limits;
use super::framing::Kinds;
use super::request::RequestError;
use crate::head::{FieldKind, Head, Slice};
use crate::uri::{self, Form, Target};

/// Checks target and host against each other.
pub(super) fn check(head: &mut Head, kinds: Kinds, limits: &Limits) -> Result<(), RequestError> {
    let host = match kinds.contains(FieldKind::Host) {
        true => one_host(head)?,
        false => None,
    };
    let is_connect = head.method() == b"CONNECT";
    if head.target().first() == Some(&b'/') && !is_connect {
        return Ok(());
    }
    let target = uri::split(head.target());
    let authority = target.authority.unwrap_or_default();
    if !limits.lenient && !uri::is_plain_authority(authority) {
        return Err(RequestError::InvalidAuthority);
    }
    match (target.form, is_connect) {
        (Form::Asterisk, false) if target.path == Some(b"*") && may_ask_asterisk(head.method()) => {
            Ok(())
        }
        (Form::Absolute, false) => absolute(head, host, limits),
        (Form::Authority, true) => connect(head, host, limits),
        _ => Err(RequestError::WrongTargetForm),
    }
}

/// `*` is for OPTIONS (RFC 9112 section 3.2.4), and for methods that this proxy does not know.
fn may_ask_asterisk(method: &[u8]) -> bool {
    !matches!(
        method,
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"TRACE" | b"CONNECT"
    )
}

/// The index of the one `Host` field; repetitions of the same value are removed.
fn one_host(head: &mut Head) -> Result<Option<usize>, RequestError> {
    let mut first = None;
    for index in 0..head.fields.len() {
        let field = head.fields[index];
        if field.kind != FieldKind::Host {
            continue;
        }
        let value = head.bytes(field.value);
        match first {
            None if !uri::is_plain_authority(value) => return Err(RequestError::InvalidHost),
            None => first = Some(index),
            Some(known) => {
                let known = &head.fields[known];
                if !head.bytes(known.value).eq_ignore_ascii_case(value) {
                    return Err(RequestError::ConflictingHosts);
                }
                head.fields[index].kind = FieldKind::Removed;
            }
        }
    }
    Ok(first)
}

/// CONNECT needs a port, and a host that agrees; a default port is dropped from `Host`.
fn connect(head: &mut Head, host: Option<usize>, limits: &Limits) -> Result<(), RequestError> {
    let (name, port) = uri::split_port(head.target());
    if port.unwrap_or_default().is_empty() && !limits.lenient {
        return Err(RequestError::InvalidAuthority);
    }
    let Some(index) = host else { return Ok(()) };
    let field = head.fields[index].value;
    let (host_name, host_port) = uri::split_port(head.bytes(field));
    let is_default = uri::is_default_port(None, port);
    let ports_agree = match host_port {
        None | Some(b"") => is_default,
        _ => host_port == port,
    };
    if !(ports_agree && host_name.eq_ignore_ascii_case(name)) {
        return if limits.lenient {
            Ok(())
        } else {
            Err(RequestError::HostMismatch)
        };
    }
    if is_default && host_port.is_some_and(|port| !port.is_empty()) {
        head.fields[index].value.end = field.start + host_name.len() as u32;
    }
    Ok(())
}

/// An absolute target must agree with `Host` up to a default port; it loses one, and gains a path where there is nothing.
fn absolute(head: &mut Head, host: Option<usize>, limits: &Limits) -> Result<(), RequestError> {
    let target = uri::split(head.target());
    let authority = target.authority.unwrap_or_default();
    let (name, port) = uri::split_port(authority);
    let agrees = host.is_none_or(|index| agree(&target, head.bytes(head.fields[index].value)));
    if !agrees || !uri::is_plain_authority(authority) {
        // Let through as it is, a doubtful authority must not become the host.
        return if limits.lenient {
            Ok(())
        } else {
            Err(RequestError::HostMismatch)
        };
    }
    let drops_port = port.is_some() && uri::is_default_port(target.scheme, port);
    let start = target.authority_start;
    let rest = start + authority.len();
    // A query without a path is passed on as it is.
    let adds_path = rest == head.target().len() && head.method() != b"OPTIONS";
    if !drops_port && !adds_path {
        return Ok(());
    }
    let kept = if drops_port { name } else { authority }.len();
    normalize(head, start..start + kept, rest, adds_path);
    if host.is_some() {
        let start = head.target.start + start as u32;
        let normal = Slice {
            start,
            end: start + kept as u32,
        };
        for field in head
            .fields
            .iter_mut()
            .filter(|field| field.kind == FieldKind::Host)
        {
            field.value = normal;
        }
    }
    Ok(())
}

/// Rewrites the target: up to the end of `authority`, a path if one is missing, and what came from `rest` on.
fn normalize(head: &mut Head, authority: Range<usize>, rest: usize, adds_path: bool) {
    let old = head.target.range();
    let start = head.arena.len();
    head.arena
        .extend_from_within(old.start..old.start + authority.end);
    if adds_path {
        head.arena.push(b'/');
    }
    head.arena.extend_from_within(old.start + rest..old.end);
    head.target = Slice::new(start, head.arena.len());
}

/// Whether `Host` names the target's authority, a default port on either side aside.
fn agree(target: &Target<'_>, host: &[u8]) -> bool {
    let authority = target.authority.unwrap_or_default();
    if host.eq_ignore_ascii_case(authority) {
        return true;
    }
    let ((name, port), (host_name, host_port)) =
        (uri::split_port(authority), uri::split_port(host));
    name.eq_ignore_ascii_case(host_name)
        && uri::is_default_port(target.scheme, port)
        && uri::is_default_port(target.scheme, host_port)
}
