//! What `http-request use-service` answers.

use plimsoll_policy::action::{Reply, Service};
use plimsoll_policy::stats::prometheus::{self, Wish};
use plimsoll_wire::head::Head;

use super::desk::Desk;

/// The answer to a request.
pub(crate) fn answer(desk: &Desk, service: Service, request: &Head) -> Reply {
    match service {
        Service::Prometheus => metrics(desk, request),
    }
}

fn metrics(desk: &Desk, request: &Head) -> Reply {
    let target = String::from_utf8_lossy(request.target());
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let Some(wish) = Wish::read(query) else {
        return Reply::new(400, Vec::new());
    };
    let text = prometheus::render(desk.view(), &wish);
    let mut reply = Reply::new(200, text.into_bytes());
    let fields = [
        ("content-type", prometheus::CONTENT_TYPE),
        ("cache-control", "no-cache"),
    ];
    for (name, value) in fields {
        reply.head.add(name.as_bytes(), value.as_bytes());
    }
    reply
}
