//! What a request says of its user: `Authorization`, or `Proxy-Authorization` from a client that takes us for its proxy
//! (RFC 7617, RFC 6750).

use data_encoding::BASE64;
use plimsoll_wire::head::Head;

use crate::context::Context;

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    Bearer,
}

/// The content of an `Authorization` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    Basic { user: Vec<u8>, password: Vec<u8> },
    Bearer(Vec<u8>),
}

/// Whether the client takes us for its proxy: it sends whole targets, and the frontend has been told that this means so
/// (`option http-use-proxy-header`).
pub(crate) fn is_proxied(context: &Context<'_>, head: &Head) -> bool {
    let frontend = context
        .plane
        .model
        .frontends
        .get(context.frontend.0 as usize);
    let target = head.target();
    frontend.is_some_and(|frontend| frontend.use_proxy_connection_header)
        && !target.starts_with(b"/")
        && !target.starts_with(b"*")
}

/// The scheme of a field's value and what stands behind it, without the blanks between them.
pub(crate) fn split(value: &[u8]) -> Option<(Scheme, &[u8])> {
    let end = value.iter().position(|byte| *byte == b' ')?;
    let (name, rest) = value.split_at(end);
    let start = rest.iter().position(|byte| *byte != b' ');
    let rest = &rest[start.unwrap_or(rest.len())..];
    if name.eq_ignore_ascii_case(b"basic") {
        Some((Scheme::Basic, rest))
    } else if name.eq_ignore_ascii_case(b"bearer") {
        Some((Scheme::Bearer, rest))
    } else {
        None
    }
}

impl Credentials {
    /// What a request says, if it says it in a form that is known.
    pub(crate) fn of(context: &Context<'_>, head: &Head) -> Option<Self> {
        let name: &[u8] = match is_proxied(context, head) {
            true => b"proxy-authorization",
            false => b"authorization",
        };
        Self::read(head.values(name).next()?)
    }

    fn read(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = split(value)?;
        if scheme == Scheme::Bearer {
            return Some(Self::Bearer(rest.to_vec()));
        }
        let mut user = BASE64.decode(rest).ok()?;
        // What stands behind a zero byte is not looked at.
        let end = user.iter().position(|byte| *byte == 0);
        user.truncate(end.unwrap_or(user.len()));
        let colon = user.iter().position(|byte| *byte == b':')?;
        let password = user.split_off(colon + 1);
        user.pop();
        Some(Self::Basic { user, password })
    }

    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Basic { .. } => Scheme::Basic,
            Self::Bearer(_) => Scheme::Bearer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_apart() {
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.into(),
            password: password.into(),
        };
        for (value, expected) in [
            ("Basic YW5uOnNlY3JldA==", Some(basic("ann", "secret"))),
            ("bASIC   YTpiOmM=", Some(basic("a", "b:c"))),
            ("Basic Og==", Some(basic("", ""))),
            ("Basic YW5u", None),
            ("Basic YW5uOnNlY3JldA", None),
            ("Basic", None),
            ("Basic ", None),
            ("Digest YW5uOnNlY3JldA==", None),
            (
                "bearer  a.b c",
                Some(Credentials::Bearer(b"a.b c".to_vec())),
            ),
            ("", None),
            (" x", None),
        ] {
            assert_eq!(Credentials::read(value.as_bytes()), expected, "{value}");
        }
    }
}
