//! Persistence cookies: what leads a client back to its server (manual, "cookie" in section 4.2).
//!
//! [`CookieSpec::read_request`] finds the server a request's cookie names, [`CookieSpec::write_response`] puts, changes
//! or removes the cookie of the response; both leave what the log shows in [`CookieFacts`]. What is absent: choosing
//! another server where that one will not do.

mod date;
mod dynamic;
mod field;
mod storage;

pub(crate) use dynamic::compute;
pub(crate) use field::pairs;
pub use storage::Storage;

use plimsoll_wire::head::Head;

use crate::log::{CookieSeen, CookieSet};
use crate::model::{Server, ServerId};
use field::{Edit, edit_pairs};

/// What parts the server's name from dates, and from the application's own value in `prefix` mode.
const DATE_MARK: u8 = b'|';
const PREFIX_MARK: u8 = b'~';

/// A cookie from so far in the future is not believed: somebody's clock is wrong.
const FUTURE_S_MAX: u64 = 86_400;

/// `cookie NAME …`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieSpec {
    pub name: Box<str>,
    pub mode: CookieMode,
    /// The cookie is for us alone: servers do not see it.
    pub indirect: bool,
    /// A response with our cookie must not be stored by caches.
    pub no_cache: bool,
    /// A cookie that the server sets itself is left alone.
    pub preserve: bool,
    /// Only answers to POST get a cookie.
    pub post_only: bool,
    /// Longest time without use, and from the first use, in seconds; 0: no limit.
    pub idle_s_max: u64,
    pub life_s_max: u64,
    /// Values of servers that have none are computed.
    pub dynamic: bool,
    /// What follows the path: `; domain=…; HttpOnly; Secure; …`.
    pub attributes: Box<str>,
}

/// Who makes the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieMode {
    /// Servers do; it is only read.
    #[default]
    Passive,
    /// `insert`: we do.
    Insert,
    /// `prefix`: servers do, and we put the server's name before their value.
    Prefix,
    /// `rewrite`: servers do, and we replace their value.
    Rewrite,
}

/// What is known of the cookie of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieFacts {
    pub seen: CookieSeen,
    pub set: CookieSet,
    /// The client gets the server that it asked for, that a rule names, or that a stick table remembers: it needs no
    /// cookie to come back.
    pub direct: bool,
    /// Persistence is not to be had (`ignore-persist`).
    pub ignored: bool,
    /// When the cookie was given and last renewed, in seconds since 1970; 0: it does not say.
    first_s: u64,
    last_s: u64,
}

impl CookieFacts {
    /// The server that the cookie names was given up; `elsewhere`: another one takes the request.
    pub fn leave(&mut self, elsewhere: bool) {
        self.direct = false;
        if elsewhere && self.seen == CookieSeen::Valid {
            self.seen = CookieSeen::Down;
        }
    }
}

/// What decides whether the server that a cookie names may be used.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub servers: &'a [Server],
    /// Whether a server takes the requests of clients that are bound to it, whatever its weight.
    pub keeps_clients: &'a dyn Fn(ServerId) -> bool,
    /// Servers that are down keep their clients (`option persist`, `force-persist`).
    pub force: bool,
    /// Nobody is to be bound (`ignore-persist`).
    pub ignore: bool,
    /// A rule has named the server already (`use-server`).
    pub assigned: bool,
    pub unix_s: u64,
}

impl CookieSpec {
    /// Whether cookies are shown in logs: those that only servers touch are not.
    fn is_shown(&self) -> bool {
        self.mode != CookieMode::Passive || self.indirect
    }

    /// Finds the server that the request's cookie names, and takes the cookie out where servers must not see it.
    pub fn read_request(
        &self,
        head: &mut Head,
        asked: &Asked<'_>,
    ) -> (CookieFacts, Option<ServerId>) {
        let mut facts = CookieFacts {
            ignored: asked.ignore,
            direct: asked.assigned,
            ..CookieFacts::default()
        };
        if self.is_shown() {
            (facts.seen, facts.set) = (CookieSeen::None, CookieSet::None);
        }
        let mut found = None;
        edit_pairs(head, b"cookie", |pair| {
            if pair.name != self.name.as_bytes() {
                return Edit::Keep;
            }
            let value = self.read_value(pair.value, asked, &mut facts, &mut found);
            match self.mode {
                CookieMode::Prefix if value < pair.value.len() => Edit::Strip(value + 1),
                CookieMode::Insert if self.indirect => Edit::Remove,
                _ => Edit::Keep,
            }
        });
        if !self.is_shown() {
            facts.seen = CookieSeen::Unchecked;
        }
        (facts, found)
    }

    /// Reads one value; returns where the part that is ours ends.
    fn read_value(
        &self,
        value: &[u8],
        asked: &Asked<'_>,
        facts: &mut CookieFacts,
        found: &mut Option<ServerId>,
    ) -> usize {
        let mark = match self.mode {
            CookieMode::Prefix => PREFIX_MARK,
            _ => DATE_MARK,
        };
        let end = memchr::memchr(mark, value).unwrap_or(value.len());
        if self.mode != CookieMode::Prefix && end < value.len() {
            let mut dates = value[end + 1..].splitn(2, |&byte| byte == DATE_MARK);
            facts.last_s = dates.next().map_or(0, date::read);
            facts.first_s = dates.next().map_or(0, date::read);
        }
        let outlived = self.outlived(facts, asked.unix_s);
        if let Some(seen) = outlived {
            (facts.seen, facts.first_s, facts.last_s) = (seen, 0, 0);
        }
        let name = if outlived.is_some() {
            b""
        } else {
            &value[..end]
        };
        let mut chosen = None;
        let unheard = asked.ignore || asked.assigned || found.is_some();
        if !name.is_empty() && !unheard {
            let named = |server: &Server| {
                server
                    .cookie
                    .as_deref()
                    .is_some_and(|cookie| cookie.as_bytes() == name)
            };
            let ids = asked
                .servers
                .iter()
                .enumerate()
                .filter(|(_, server)| named(server));
            for id in ids.map(|(index, _)| ServerId(index as u32)) {
                let keeps = (asked.keeps_clients)(id);
                facts.seen = if keeps {
                    CookieSeen::Valid
                } else {
                    CookieSeen::Down
                };
                if keeps || asked.force {
                    chosen = Some(id);
                    break;
                }
            }
        }
        let told = matches!(
            facts.seen,
            CookieSeen::Down | CookieSeen::Expired | CookieSeen::Old
        );
        if chosen.is_none() && !told {
            facts.seen = match unheard {
                true => CookieSeen::Unused,
                false => CookieSeen::Invalid,
            };
        }
        if chosen.is_some() {
            (*found, facts.direct) = (chosen, true);
        }
        end
    }

    /// Whether the cookie has outlived its time, or its time has not come.
    fn outlived(&self, facts: &CookieFacts, unix_s: u64) -> Option<CookieSeen> {
        let beyond = |date_s: u64, max_s: u64| {
            date_s > 0
                && max_s > 0
                && (unix_s.saturating_sub(date_s) > max_s
                    || date_s.saturating_sub(unix_s) > FUTURE_S_MAX)
        };
        if beyond(facts.first_s, self.life_s_max) {
            return Some(CookieSeen::Old);
        }
        beyond(facts.last_s, self.idle_s_max).then_some(CookieSeen::Expired)
    }

    /// Puts the cookie of `server` into a response, or changes or removes what the server has set.
    ///
    /// Returns `false` where there is no room for it.
    pub fn write_response(
        &self,
        head: &mut Head,
        method: &[u8],
        server: &Server,
        facts: &mut CookieFacts,
        unix_s: u64,
    ) -> bool {
        if facts.ignored {
            return true;
        }
        let provided = self.change_servers(head, server, facts);
        let Some(provided) = provided else {
            return false;
        };
        if self.inserts(method, provided, facts, unix_s) {
            let mut text = Vec::new();
            self.write_cookie(server, facts, unix_s, &mut text);
            let cacheable = self.no_cache && Storage::of(head, method).allowed;
            if !head.add(b"set-cookie", &text) {
                return false;
            }
            facts.set = match server.cookie.is_some() && facts.direct {
                true => CookieSet::Updated,
                false => CookieSet::Inserted,
            };
            if cacheable && !head.add(b"cache-control", b"private") {
                return false;
            }
        }
        if !self.is_shown() {
            facts.set = CookieSet::Unchecked;
        }
        true
    }

    /// Looks at the cookies that the server set; returns whether one is ours and stays, `None` without room.
    fn change_servers(
        &self,
        head: &mut Head,
        server: &Server,
        facts: &mut CookieFacts,
    ) -> Option<bool> {
        let mut provided = false;
        let own = server.cookie.as_deref().map(str::as_bytes);
        edit_pairs(head, b"set-cookie", |pair| {
            if pair.name != self.name.as_bytes() {
                return Edit::Keep;
            }
            let removed = self.mode == CookieMode::Insert || facts.direct && self.indirect;
            provided = false;
            let (set, edit) = match (self.mode, own) {
                _ if self.preserve => (CookieSet::Provided, Edit::Keep),
                _ if removed => (CookieSet::Deleted, Edit::Remove),
                (CookieMode::Rewrite, Some(own)) => {
                    (CookieSet::Rewritten, Edit::Replace(own.to_vec()))
                }
                (CookieMode::Prefix, Some(own)) => {
                    let value = [own, &[PREFIX_MARK], pair.value].concat();
                    (CookieSet::Rewritten, Edit::Replace(value))
                }
                _ => (CookieSet::Provided, Edit::Keep),
            };
            provided = set == CookieSet::Provided;
            facts.set = set;
            edit
        })
        .then_some(provided)
    }

    /// Whether this response gets a cookie of ours.
    fn inserts(&self, method: &[u8], provided: bool, facts: &CookieFacts, unix_s: u64) -> bool {
        let CookieFacts {
            first_s, last_s, ..
        } = *facts;
        // A date is renewed, given where it lacks, and taken back where there is no limit any more.
        let renews = (self.idle_s_max > 0 || last_s > 0) && (last_s == 0 || last_s < unix_s);
        let dates = renews || (self.life_s_max > 0) != (first_s > 0);
        self.mode == CookieMode::Insert
            && !(provided && self.preserve)
            && (!facts.direct || dates)
            && (!self.post_only || method == b"POST")
    }

    fn write_cookie(&self, server: &Server, facts: &CookieFacts, unix_s: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        match &server.cookie {
            // Some backup servers have no cookie: the client forgets the one it had.
            None => out.extend_from_slice(b"; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/"),
            Some(cookie) => {
                out.extend_from_slice(cookie.as_bytes());
                if self.idle_s_max > 0 || self.life_s_max > 0 {
                    out.push(DATE_MARK);
                    date::write(unix_s + 3, out);
                }
                if self.life_s_max > 0 {
                    out.push(DATE_MARK);
                    let known = facts.first_s > 0;
                    date::write(if known { facts.first_s } else { unix_s + 3 }, out);
                }
                out.extend_from_slice(b"; path=/");
            }
        }
        out.extend_from_slice(self.attributes.as_bytes());
    }
}

#[cfg(test)]
mod tests;
