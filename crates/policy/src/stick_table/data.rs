//! The data that a table may keep with a key, in the order in which `show table` prints them.

use std::fmt;

/// Most elements of an array (`gpc(100)`), so that an entry fits a message to a peer.
pub const ARRAY_MAX: u32 = 100;

/// One kind of data (manual, section 11.1, `store`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Data {
    ServerId,
    Gpt0,
    Gpc0,
    Gpc0Rate,
    ConnCnt,
    ConnRate,
    ConnCur,
    SessCnt,
    SessRate,
    HttpReqCnt,
    HttpReqRate,
    HttpErrCnt,
    HttpErrRate,
    BytesInCnt,
    BytesInRate,
    BytesOutCnt,
    BytesOutRate,
    Gpc1,
    Gpc1Rate,
    ServerKey,
    HttpFailCnt,
    HttpFailRate,
    Gpt,
    Gpc,
    GpcRate,
    GlitchCnt,
    GlitchRate,
}

/// How a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed number of 32 bits.
    Signed,
    /// A number of 32 bits.
    Number,
    /// A number of 64 bits.
    Wide,
    /// Events of the present and the last period ([`super::rate`]).
    Rate,
    /// The name or address of a server.
    ServerKey,
}

impl Kind {
    /// Words of 32 bits that one element takes.
    pub(super) const fn words(self) -> usize {
        match self {
            Self::Signed | Self::Number | Self::ServerKey => 1,
            Self::Wide => 2,
            Self::Rate => super::rate::WORDS,
        }
    }
}

/// What there is to know about a kind of data.
#[derive(Debug)]
pub struct Description {
    pub data: Data,
    pub name: &'static str,
    pub kind: Kind,
    /// It has a number of elements.
    pub array: bool,
}

const fn one(data: Data, name: &'static str, kind: Kind) -> Description {
    Description {
        data,
        name,
        kind,
        array: false,
    }
}

const fn many(data: Data, name: &'static str, kind: Kind) -> Description {
    Description {
        data,
        name,
        kind,
        array: true,
    }
}

/// How many kinds there are.
pub(super) const COUNT: usize = 27;

/// Every kind, in order of [`Data`].
pub const ALL: [Description; COUNT] = [
    one(Data::ServerId, "server_id", Kind::Signed),
    one(Data::Gpt0, "gpt0", Kind::Number),
    one(Data::Gpc0, "gpc0", Kind::Number),
    one(Data::Gpc0Rate, "gpc0_rate", Kind::Rate),
    one(Data::ConnCnt, "conn_cnt", Kind::Number),
    one(Data::ConnRate, "conn_rate", Kind::Rate),
    one(Data::ConnCur, "conn_cur", Kind::Number),
    one(Data::SessCnt, "sess_cnt", Kind::Number),
    one(Data::SessRate, "sess_rate", Kind::Rate),
    one(Data::HttpReqCnt, "http_req_cnt", Kind::Number),
    one(Data::HttpReqRate, "http_req_rate", Kind::Rate),
    one(Data::HttpErrCnt, "http_err_cnt", Kind::Number),
    one(Data::HttpErrRate, "http_err_rate", Kind::Rate),
    one(Data::BytesInCnt, "bytes_in_cnt", Kind::Wide),
    one(Data::BytesInRate, "bytes_in_rate", Kind::Rate),
    one(Data::BytesOutCnt, "bytes_out_cnt", Kind::Wide),
    one(Data::BytesOutRate, "bytes_out_rate", Kind::Rate),
    one(Data::Gpc1, "gpc1", Kind::Number),
    one(Data::Gpc1Rate, "gpc1_rate", Kind::Rate),
    one(Data::ServerKey, "server_key", Kind::ServerKey),
    one(Data::HttpFailCnt, "http_fail_cnt", Kind::Number),
    one(Data::HttpFailRate, "http_fail_rate", Kind::Rate),
    many(Data::Gpt, "gpt", Kind::Number),
    many(Data::Gpc, "gpc", Kind::Number),
    many(Data::GpcRate, "gpc_rate", Kind::Rate),
    one(Data::GlitchCnt, "glitch_cnt", Kind::Number),
    one(Data::GlitchRate, "glitch_rate", Kind::Rate),
];

impl Data {
    pub fn description(self) -> &'static Description {
        &ALL[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// The data called `name`; `server_name` is an older word for `server_key`.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "server_name" {
            "server_key"
        } else {
            name
        };
        let found = ALL.iter().find(|description| description.name == name);
        found.map(|description| description.data)
    }

    /// The data and element that the runtime API calls `name`: `gpc[3]`, or a bare name for element 0.
    pub fn element(name: &str) -> Option<(Self, u32)> {
        let Some((array, index)) = name.split_once('[') else {
            return Self::named(name).map(|data| (data, 0));
        };
        let index = index.strip_suffix(']')?.parse().ok()?;
        let data = Self::named(array)?;
        data.description().array.then_some((data, index))
    }

    /// Whether it counts bytes, in blocks of `brates-factor`.
    pub fn is_byte_rate(self) -> bool {
        matches!(self, Self::BytesInRate | Self::BytesOutRate)
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_stand_where_they_are_looked_up() {
        for (index, description) in ALL.iter().enumerate() {
            assert_eq!(description.data as usize, index, "{}", description.name);
            assert_eq!(Data::named(description.name), Some(description.data));
        }
        assert_eq!(Data::named("server_name"), Some(Data::ServerKey));
        assert_eq!(Data::named("gpc2"), None);
    }

    #[test]
    fn elements_are_told_by_their_index() {
        for (name, expected) in [
            ("gpc0", Some((Data::Gpc0, 0))),
            ("gpc", Some((Data::Gpc, 0))),
            ("gpc[7]", Some((Data::Gpc, 7))),
            ("gpc_rate[1]", Some((Data::GpcRate, 1))),
            ("gpc[", None),
            ("gpc[x]", None),
            ("conn_cnt[0]", None),
        ] {
            assert_eq!(Data::element(name), expected, "{name}");
        }
    }
}
