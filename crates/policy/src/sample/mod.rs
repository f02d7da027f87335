//! Samples: what can be asked of the process, a connection, a message (manual, section 7.3).
//!
//! One file per topic, each with a sorted list of rows; [`find`] searches all of them. A row reads its arguments once and
//! yields something that fetches. What is absent: parsing of expressions ([`crate::expression`]).

mod absence;
mod acl;
mod auth;
mod body;
mod capture;
mod constant;
mod cookie;
mod distcc;
mod header;
mod hello;
mod layer4;
mod layer7;
mod moment;
mod parameter;
mod process;
mod proxy;
mod socket;
mod ssl;
mod stick;
mod stream;
mod variables;

pub(crate) use absence::absence;
pub(crate) use constant::{Unit, unhex};
pub(crate) use header::comma;
#[cfg(test)]
pub(crate) use header::push_length;
pub(crate) use hello::{has_versions, version_number};
pub use layer7::path_and_query;
pub(crate) use layer7::split_query;
pub(crate) use proxy::usable_servers;
pub(crate) use socket::asks;
pub(crate) use stick::{element, look_up, table};

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::head::{Head, Version};

use crate::arguments::Arguments;
use crate::context::{Context, Phase};
use crate::expression::Scope;
use crate::log::RequestLine;
use crate::value::{Type, Value};

/// Gives the value of a sample.
pub trait Fetch: Send + Sync {
    /// The value now, or `None` where there is nothing to be had.
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>>;

    /// Hands the values to `test`, one after the other, until it returns `true`; returns whether it did.
    ///
    /// Most samples have one value; fields of a header may have several, any of which may satisfy a condition.
    fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        match self.fetch(context) {
            None => Tested::Missing,
            Some(value) => Tested::of(test(value)),
        }
    }
}

/// What became of the values of a sample when they were tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tested {
    /// There was no value.
    Missing,
    Different,
    Found,
}

impl Tested {
    pub(crate) fn of(found: bool) -> Self {
        if found { Self::Found } else { Self::Different }
    }
}

impl<F> Fetch for F
where
    F: for<'a, 'b> Fn(&'a Context<'b>) -> Option<Value<'a>> + Send + Sync,
{
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        self(context)
    }
}

/// What a row makes of its arguments: something that fetches, and the type of what it yields.
pub(crate) type Read = fn(&mut Arguments, &Scope<'_>) -> Result<(Box<dyn Fetch>, Type), Diagnostic>;

/// One sample.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The arguments between parentheses, empty where there are none.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// What must be there for it to have a value.
    pub(crate) needs: Needs,
    pub(crate) read: Read,
}

/// Boxes a closure as what fetches a value of type `output`.
#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
pub(crate) fn fetch<F>(output: Type, fetch: F) -> Result<(Box<dyn Fetch>, Type), Diagnostic>
where
    F: for<'a, 'b> Fn(&'a Context<'b>) -> Option<Value<'a>> + Send + Sync + 'static,
{
    Ok((Box::new(fetch), output))
}

/// What a sample looks at, from which follows when it may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing that would not always be there.
    Nothing,
    /// The client's connection.
    Client,
    /// The backend at hand.
    Backend,
    /// What the handshakes on the client's connection brought.
    Handshake,
    /// Bytes of the request, or from a client in TCP mode.
    RequestBytes,
    /// The head of the request, while it has not been sent.
    RequestHead,
    /// What is kept of the request until the end: its first line, captures.
    RequestLine,
    /// The head or the bytes of the message that rules of this time are about.
    MessageHead,
    MessageBytes,
    /// The connection to a server.
    Server,
    ResponseBytes,
    ResponseHead,
    /// The status and the like, which are kept until the end.
    ResponseLine,
}

impl Needs {
    /// Whether it is there only once a client has said something.
    pub(crate) fn comes_from_client(self) -> bool {
        matches!(
            self,
            Self::RequestBytes
                | Self::RequestHead
                | Self::RequestLine
                | Self::MessageHead
                | Self::MessageBytes
        )
    }

    /// Whether it is there at this time.
    pub fn met_at(self, phase: Phase) -> bool {
        use Phase::{
            AfterResponse, Check, Command, Connect, Connection, Log, Request, RequestContent,
            Response, ResponseContent, Session,
        };
        match self {
            Self::Nothing => true,
            Self::Client => !matches!(phase, Check | Command),
            Self::Backend => !matches!(phase, Command | Connection | Session),
            Self::Handshake => !matches!(phase, Check | Command | Connection),
            Self::RequestBytes | Self::RequestHead => {
                matches!(phase, RequestContent | Request | Connect)
            }
            Self::MessageHead | Self::MessageBytes => matches!(
                phase,
                RequestContent
                    | Request
                    | Connect
                    | ResponseContent
                    | Response
                    | AfterResponse
                    | Check
            ),
            Self::RequestLine => !matches!(phase, Connection | Session | Check | Command),
            Self::Server => matches!(
                phase,
                ResponseContent | Response | AfterResponse | Log | Check
            ),
            Self::ResponseBytes => matches!(phase, ResponseContent | Response | Check),
            Self::ResponseHead => {
                matches!(phase, ResponseContent | Response | AfterResponse | Check)
            }
            Self::ResponseLine => {
                matches!(
                    phase,
                    ResponseContent | Response | AfterResponse | Log | Check
                )
            }
        }
    }

    /// Whether it is below HTTP.
    pub(crate) fn is_bytes(self) -> bool {
        matches!(
            self,
            Self::RequestBytes | Self::MessageBytes | Self::ResponseBytes
        )
    }

    /// For messages: "looks at …".
    pub fn noun(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Client | Self::Handshake => "the client's connection",
            Self::Backend => "the backend",
            Self::RequestBytes => "the request's bytes",
            Self::RequestHead => "the request's header",
            Self::RequestLine => "the request",
            Self::MessageHead => "the message's header",
            Self::MessageBytes => "the message's bytes",
            Self::Server => "the server's connection",
            Self::ResponseBytes => "the response's bytes",
            Self::ResponseHead | Self::ResponseLine => "the response",
        }
    }
}

/// Which of the two messages of an exchange is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
    /// The one that rules of this time are about.
    AtHand,
}

impl Side {
    fn is_response(self, context: &Context<'_>) -> bool {
        match self {
            Self::Request => false,
            Self::Response => true,
            Self::AtHand => matches!(
                context.phase,
                Phase::ResponseContent | Phase::Response | Phase::AfterResponse | Phase::Check
            ),
        }
    }

    /// Its head. A request's may still come.
    fn head<'a>(self, context: &'a Context<'_>) -> Option<&'a Head> {
        if self.is_response(context) {
            context.response.as_deref()
        } else {
            request(context)
        }
    }
}

/// The request's head. Before one has arrived it may still come.
fn request<'a>(context: &'a Context<'_>) -> Option<&'a Head> {
    let head = context.request.as_deref();
    if head.is_none() && !context.refused {
        context.may_change();
    }
    head
}

/// The first line of the request as a log line shows it, where one is being written: heads are gone by then.
fn logged_line<'a>(context: &Context<'a>) -> Option<RequestLine<'a>> {
    context.record?.request
}

/// The response's version; of a log line, where one is being written.
fn response_version(context: &Context<'_>) -> Option<Version> {
    match (context.response.as_deref(), context.record) {
        (Some(head), _) => Some(head.version),
        (None, record) => record?.response_version,
    }
}

/// An address as fields of a header have it: with a port or not, in brackets or not.
fn leading_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        return inner.parse().ok().map(IpAddr::V6);
    }
    let (address, port) = text.split_once(':')?;
    let _: u16 = port.parse().ok()?;
    address.parse().ok().map(IpAddr::V4)
}

fn topics() -> [&'static [Row]; 37] {
    [
        acl::ROWS,
        auth::ROWS,
        body::ROWS,
        capture::ROWS,
        constant::ROWS,
        cookie::ROWS,
        distcc::ROWS,
        header::ROWS,
        hello::ROWS,
        layer4::ROWS,
        layer7::ROWS,
        moment::ROWS,
        parameter::ROWS,
        process::ROWS,
        proxy::ROWS,
        socket::ROWS,
        ssl::CLIENT,
        ssl::CLIENT_CERTIFICATE,
        ssl::CLIENT_CONNECTION,
        ssl::CONNECTION,
        ssl::HELLO,
        ssl::OWN_CERTIFICATE,
        ssl::SERVER,
        ssl::SERVER_CERTIFICATE,
        ssl::SECRETS,
        ssl::SERVER_CONNECTION,
        ssl::SERVER_SECRETS,
        stick::COUNTER,
        stick::COUNTER_0,
        stick::COUNTER_1,
        stick::COUNTER_2,
        stick::COUNTER_INDEXED,
        stick::OTHERS,
        stick::SOURCE,
        stick::SOURCE_INDEXED,
        stream::ROWS,
        variables::ROWS,
    ]
}

/// Every row, topic by topic.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    topics().into_iter().flatten()
}

/// The row called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    INDEX
        .get_or_init(|| rows().map(|row| (row.name, row)).collect())
        .get(name)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::haproxy::names;

    #[test]
    fn rows_are_sorted_known_and_documented() {
        for topic in topics() {
            assert!(topic.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let mut seen = HashMap::new();
        for row in rows() {
            assert!(seen.insert(row.name, ()).is_none(), "{} twice", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
            let known = names::samples::SAMPLES.binary_search(&row.name).is_ok();
            assert!(known, "{} is not HAProxy's", row.name);
        }
    }
}
