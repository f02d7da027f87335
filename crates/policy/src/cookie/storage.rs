//! Whether a shared cache might keep a response, as HAProxy judges it (RFC 9111 section 3; manual, "option checkcache").

use plimsoll_wire::head::Head;

/// What caches on the way may do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// It may be stored.
    pub allowed: bool,
    /// Its cookies may be stored with it, and would reach other clients.
    pub with_cookies: bool,
}

impl Storage {
    /// Of the response to a request with this method.
    pub fn of(head: &Head, method: &[u8]) -> Self {
        let usual = matches!(
            head.status,
            200 | 203 | 204 | 206 | 300 | 301 | 404 | 405 | 410 | 414 | 501
        );
        let safe = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
        let mut storage = Self::both(usual && safe);
        if head
            .value(b"pragma")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"no-cache"))
        {
            return Self::both(false);
        }
        let (mut fresh, mut stale) = (false, false);
        let directives = head
            .values(b"cache-control")
            .flat_map(|value| value.split(|&byte| byte == b','));
        for directive in directives.map(<[u8]>::trim_ascii) {
            let lower = directive.to_ascii_lowercase();
            match lower.as_slice() {
                b"public" => storage = Self::both(true),
                b"max-age=0" => stale = true,
                b"no-cache=\"set-cookie\"" => storage.with_cookies = false,
                b"private" | b"no-cache" | b"no-store" | b"s-maxage=0" => {
                    storage = Self::both(false);
                }
                text if [&b"private="[..], b"no-cache=", b"no-store="]
                    .iter()
                    .any(|start| text.starts_with(start)) =>
                {
                    storage = Self::both(false);
                }
                text if text.starts_with(b"s-maxage") => (fresh, stale) = (true, false),
                text if text.starts_with(b"max-age") => fresh = true,
                _ => {}
            }
        }
        let known: [&[u8]; 3] = [b"expires", b"etag", b"last-modified"];
        fresh |= known.into_iter().any(|name| head.value(name).is_some());
        if stale {
            return Self::both(false);
        }
        storage.allowed &= fresh;
        storage
    }

    /// Whether a cookie in the response could come to somebody else.
    pub fn shares_cookies(self) -> bool {
        self.allowed && self.with_cookies
    }

    fn both(allowed: bool) -> Self {
        Self {
            allowed,
            with_cookies: allowed,
        }
    }
}
