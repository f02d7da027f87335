//! Finding the key of a request: the bytes that a hashed algorithm looks at.
//!
//! Each algorithm cuts its key exactly as HAProxy does, because one byte more or less would move the request to
//! another server. All keys are pieces of the request; nothing is copied or decoded.
//!
//! `source` has no key, it uses `Pick::source`; `hash` has one that the rule language computes.

use super::BalanceSpec;
use super::{hdr, rdp_cookie, uri, url_param};

/// What the keys are cut from. A part that the request does not have, or that has not arrived, is `None`.
pub trait Request<'a> {
    /// The request target as received: a path with its query, an absolute URI, or an authority.
    fn target(&self) -> Option<&'a [u8]> {
        None
    }

    /// The whole value of the first header field of that name, whatever its case.
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        let _ = name;
        None
    }

    /// What has been buffered of the body of a POST request; `None` for other methods.
    fn post_body(&self) -> Option<&'a [u8]> {
        None
    }

    /// The first bytes of a TCP connection.
    fn opening(&self) -> Option<&'a [u8]> {
        None
    }
}

/// The key of a request, `None` when it has none: such a request is served by whoever's turn it is.
pub fn find<'a>(spec: &BalanceSpec, request: &dyn Request<'a>) -> Option<&'a [u8]> {
    match spec {
        BalanceSpec::Uri {
            length,
            depth,
            whole,
            path_only,
        } => {
            let cut = uri::Cut {
                length: *length,
                depth: *depth,
                whole: *whole,
                path_only: *path_only,
            };
            Some(cut.key(request.target()?))
        }
        BalanceSpec::UrlParam { name } => url_param::in_target(request.target()?, name)
            .or_else(|| url_param::in_body(request.post_body()?, name)),
        BalanceSpec::Header {
            name,
            use_domain_only,
        } => {
            let value = hdr::first_value(request.header(name)?);
            match value {
                b"" => None,
                _ if *use_domain_only => Some(hdr::domain(value)),
                _ => Some(value),
            }
        }
        BalanceSpec::RdpCookie { name } => rdp_cookie::value(request.opening()?, name),
        _ => None,
    }
}
