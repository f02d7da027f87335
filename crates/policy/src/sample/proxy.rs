//! Samples of frontends, backends and servers: names, limits, counts (manual, sections 7.3.2 and 7.3.3).

use std::sync::atomic::Ordering::Relaxed;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Read, Row, fetch};
use crate::arguments::Arguments;
use crate::context::{Context, Phase};
use crate::counters::BackendCounter;
use crate::expression::Scope;
use crate::live::ServerLive;
use crate::model::{Backend, BackendId, Frontend, ServerId};
use crate::plane::Plane;
use crate::stats::Meter;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    of_backend(
        "avg_queue",
        "Requests that wait in a backend, divided by its usable servers.",
        |arguments, scope| {
            backend(arguments, scope, |context, id| {
                let queued = i64::from(queued(context.plane, id));
                Some(match i64::from(usable_servers(context.plane, id)) {
                    0 => queued * 2,
                    servers => (queued + servers - 1) / servers,
                })
            })
        },
    ),
    of_backend(
        "be_conn",
        "Exchanges and tunnels now in a backend.",
        |arguments, scope| {
            backend(arguments, scope, |context, id| {
                Some(backend_count(context, id, BackendCounter::SessionsNow))
            })
        },
    ),
    of_backend(
        "be_conn_free",
        "Slots that the usable servers of a backend have free; -1 where one has no maxconn.",
        |arguments, scope| backend(arguments, scope, free_slots),
    ),
    at_hand(
        "be_connect_timeout",
        Needs::Backend,
        "The time-out for connecting to servers, in milliseconds.",
        |_, _| time_out(|context| backend_at_hand(context)?.timeouts.connect_ms),
    ),
    at_hand(
        "be_id",
        Needs::Backend,
        "The number of the backend.",
        |_, _| {
            number(|context| {
                Some(match backend_at_hand(context) {
                    Some(backend) => backend.number.into(),
                    None => undecided(context)?.number.into(),
                })
            })
        },
    ),
    at_hand(
        "be_max_retries",
        Needs::Backend,
        "How often a connection to a server is tried again.",
        |_, _| number(|context| Some(backend_at_hand(context)?.retries.into())),
    ),
    at_hand(
        "be_name",
        Needs::Backend,
        "The name of the backend that was chosen; the frontend's until then.",
        |_, _| {
            fetch(Type::Text, |context| {
                let name = match backend_at_hand(context) {
                    Some(backend) => &backend.name,
                    None => &undecided(context)?.name,
                };
                Some(Value::text(name.as_bytes()))
            })
        },
    ),
    at_hand(
        "be_queue_timeout",
        Needs::Backend,
        "The time-out of queues, in milliseconds.",
        |_, _| time_out(|context| queue_time_out(context, None)),
    ),
    at_hand(
        "be_server_timeout",
        Needs::Backend,
        "The time-out for servers, in milliseconds.",
        |_, _| time_out(|context| backend_at_hand(context)?.timeouts.server_ms),
    ),
    of_backend(
        "be_sess_rate",
        "Exchanges and tunnels that began in a backend in the last second.",
        |arguments, scope| {
            backend(arguments, scope, |context, id| {
                Some(
                    context
                        .world
                        .sums()
                        .rate(Meter::BackendSessions(id))
                        .now
                        .into(),
                )
            })
        },
    ),
    at_hand(
        "be_tarpit_timeout",
        Needs::Backend,
        "The time that the backend's tarpit lasts, in milliseconds.",
        |_, _| time_out(tarpit_time_out),
    ),
    at_hand(
        "be_tunnel_timeout",
        Needs::Backend,
        "The time-out of tunnels, in milliseconds.",
        |_, _| time_out(|context| backend_at_hand(context)?.timeouts.tunnel_ms),
    ),
    of_backend(
        "connslots",
        "Places in servers and their queues that are free in a backend; -1 where one has no limit.",
        |arguments, scope| backend(arguments, scope, slots),
    ),
    at_hand(
        "cur_client_timeout",
        Needs::Client,
        "The time-out for this client, in milliseconds.",
        |_, _| {
            time_out(|context| {
                let own = context.exchange.overrides.client_ms;
                own.or(undecided(context)?.timeouts.client_ms)
            })
        },
    ),
    at_hand(
        "cur_connect_timeout",
        Needs::Backend,
        "The time-out for connecting in this exchange, in milliseconds.",
        |_, _| {
            time_out(|context| {
                let own = context.exchange.overrides.connect_ms;
                own.or(backend_at_hand(context)?.timeouts.connect_ms)
            })
        },
    ),
    at_hand(
        "cur_max_retries",
        Needs::Backend,
        "How often a connection is tried again in this exchange.",
        |_, _| {
            number(|context| {
                let own = context.exchange.overrides.retries;
                Some(own.unwrap_or(backend_at_hand(context)?.retries).into())
            })
        },
    ),
    at_hand(
        "cur_queue_timeout",
        Needs::Backend,
        "The time-out of queues in this exchange, in milliseconds.",
        |_, _| time_out(|context| queue_time_out(context, context.exchange.overrides.queue_ms)),
    ),
    at_hand(
        "cur_server_timeout",
        Needs::Backend,
        "The time-out for the server of this exchange, in milliseconds.",
        |_, _| {
            time_out(|context| {
                let own = context.exchange.overrides.server_ms;
                own.or(backend_at_hand(context)?.timeouts.server_ms)
            })
        },
    ),
    at_hand(
        "cur_tarpit_timeout",
        Needs::Client,
        "The time that a tarpit lasts in this exchange, in milliseconds.",
        |_, _| {
            time_out(|context| {
                let own = context.exchange.overrides.tarpit_ms;
                own.or_else(|| tarpit_time_out(context))
                    .or(frontend_at_hand(context)?.timeouts.tarpit_ms)
            })
        },
    ),
    at_hand(
        "cur_tunnel_timeout",
        Needs::Backend,
        "The time-out of this tunnel, in milliseconds.",
        |_, _| {
            time_out(|context| {
                let own = context.exchange.overrides.tunnel_ms;
                own.or(backend_at_hand(context)?.timeouts.tunnel_ms)
            })
        },
    ),
    at_hand(
        "fe_client_timeout",
        Needs::Client,
        "The frontend's time-out for clients, in milliseconds.",
        |_, _| time_out(|context| Some(frontend_at_hand(context)?.timeouts.client_ms.unwrap_or(0))),
    ),
    of_frontend(
        "fe_conn",
        "Client connections now open to a frontend.",
        |arguments, scope| {
            frontend(arguments, scope, |context, id| {
                Some(context.world.sums().connections(id).into())
            })
        },
    ),
    at_hand(
        "fe_defbe",
        Needs::Client,
        "The name of the frontend's default backend.",
        |_, _| {
            fetch(Type::Text, |context| {
                let id = frontend_at_hand(context)?.default_backend?;
                let backend = &context.plane.model.backends[id.0 as usize];
                Some(Value::text(backend.name.as_bytes()))
            })
        },
    ),
    at_hand(
        "fe_id",
        Needs::Client,
        "The number of the frontend.",
        |_, _| number(|context| Some(frontend_at_hand(context)?.number.into())),
    ),
    at_hand(
        "fe_name",
        Needs::Client,
        "The name of the frontend.",
        |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::text(frontend_at_hand(context)?.name.as_bytes()))
            })
        },
    ),
    of_frontend(
        "fe_req_rate",
        "Requests that a frontend got in the last second.",
        |arguments, scope| {
            frontend(arguments, scope, |context, id| {
                Some(
                    context
                        .world
                        .sums()
                        .rate(Meter::FrontendRequests(id))
                        .now
                        .into(),
                )
            })
        },
    ),
    of_frontend(
        "fe_sess_rate",
        "Connections that a frontend got in the last second.",
        |arguments, scope| {
            frontend(arguments, scope, |context, id| {
                Some(
                    context
                        .world
                        .sums()
                        .rate(Meter::FrontendSessions(id))
                        .now
                        .into(),
                )
            })
        },
    ),
    at_hand(
        "fe_tarpit_timeout",
        Needs::Client,
        "The time that the frontend's tarpit lasts, in milliseconds.",
        |_, _| time_out(|context| Some(frontend_at_hand(context)?.timeouts.tarpit_ms.unwrap_or(0))),
    ),
    of_backend(
        "nbsrv",
        "How many servers of a backend can be used.",
        |arguments, scope| {
            backend(arguments, scope, |context, id| {
                Some(usable_servers(context.plane, id).into())
            })
        },
    ),
    of_backend(
        "queue",
        "Requests that wait in a backend, for any server or a given one.",
        |arguments, scope| {
            backend(arguments, scope, |context, id| {
                Some(queued(context.plane, id).into())
            })
        },
    ),
    at_hand(
        "so_id",
        Needs::Client,
        "The number of the bind that the client connected to.",
        |_, _| number(|context| Some(context.bind?.number.into())),
    ),
    at_hand(
        "so_name",
        Needs::Client,
        "The name of the bind that the client connected to.",
        |_, _| {
            fetch(Type::Text, |context| {
                context
                    .bind?
                    .name
                    .as_ref()
                    .map(|name| Value::text(name.as_bytes()))
            })
        },
    ),
    of_server(
        "srv_conn",
        "Exchanges and tunnels now at a server.",
        |arguments, scope| {
            server(arguments, scope, |context, at| {
                Some(live(context, at).current.load(Relaxed).into())
            })
        },
    ),
    of_server(
        "srv_conn_free",
        "Slots that a server has free; -1 where it has no maxconn.",
        |arguments, scope| {
            server(arguments, scope, |context, at| {
                let server = live(context, at);
                Some(match server.limit() {
                    None => -1,
                    Some(limit) => i64::from(limit.saturating_sub(server.current.load(Relaxed))),
                })
            })
        },
    ),
    at_hand(
        "srv_id",
        Needs::Server,
        "The number of the server.",
        |_, _| {
            number(|context| {
                let backend = backend_at_hand(context)?;
                Some(backend.servers[context.server?.0 as usize].number.into())
            })
        },
    ),
    of_server(
        "srv_is_up",
        "Whether a server can be used.",
        |arguments, scope| {
            let (backend, server) = server_argument(arguments, scope)?;
            fetch(Type::Boolean, move |context| {
                let live = context.plane.backend(backend).server(server);
                Some(Value::Boolean(live.is_usable()))
            })
        },
    ),
    of_server(
        "srv_iweight",
        "The weight of a server as it was configured.",
        |arguments, scope| {
            server(arguments, scope, |context, (backend, server)| {
                let backend = &context.plane.model.backends[backend.0 as usize];
                Some(backend.servers[server.0 as usize].weight.into())
            })
        },
    ),
    at_hand(
        "srv_name",
        Needs::Server,
        "The name of the server.",
        |_, _| {
            fetch(Type::Text, |context| {
                let backend = backend_at_hand(context)?;
                let server = &backend.servers[context.server?.0 as usize];
                Some(Value::text(server.name.as_bytes()))
            })
        },
    ),
    of_server(
        "srv_queue",
        "How many requests wait for a server.",
        |arguments, scope| {
            server(arguments, scope, |context, at| {
                Some(live(context, at).queued.load(Relaxed).into())
            })
        },
    ),
    of_server(
        "srv_sess_rate",
        "Exchanges and tunnels that a server got in the last second.",
        |arguments, scope| {
            server(arguments, scope, |context, (backend, server)| {
                let rate = context
                    .world
                    .sums()
                    .rate(Meter::ServerSessions(backend, server));
                Some(rate.now.into())
            })
        },
    ),
    of_server(
        "srv_uweight",
        "The weight of a server as an operator set it.",
        |arguments, scope| {
            server(arguments, scope, |context, at| {
                Some(live(context, at).weight().into())
            })
        },
    ),
    of_server(
        "srv_weight",
        "The weight of a server now, less while it warms up.",
        |arguments, scope| {
            server(arguments, scope, |context, at| {
                let server = live(context, at);
                let weight = i64::from(server.weight()) * i64::from(server.ramp_sixteenths());
                Some((weight + 15) / 16)
            })
        },
    ),
];

const fn at_hand(name: &'static str, needs: Needs, doc: &'static str, read: Read) -> Row {
    Row {
        name,
        usage: "",
        doc,
        needs,
        read,
    }
}

const fn of_backend(name: &'static str, doc: &'static str, read: Read) -> Row {
    Row {
        name,
        usage: "[BACKEND]",
        doc,
        needs: Needs::Nothing,
        read,
    }
}

const fn of_frontend(name: &'static str, doc: &'static str, read: Read) -> Row {
    Row {
        name,
        usage: "[FRONTEND]",
        doc,
        needs: Needs::Nothing,
        read,
    }
}

const fn of_server(name: &'static str, doc: &'static str, read: Read) -> Row {
    Row {
        name,
        usage: "[BACKEND/]SERVER",
        doc,
        needs: Needs::Nothing,
        read,
    }
}

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;
type Place = (BackendId, ServerId);

fn number(read: fn(&Context<'_>) -> Option<i64>) -> Made {
    fetch(Type::Integer, move |context| {
        read(context).map(Value::Integer)
    })
}

/// 0 stands for no limit.
fn time_out(read: fn(&Context<'_>) -> Option<u64>) -> Made {
    fetch(Type::Integer, move |context| {
        let time = read(context).or_else(|| undecided(context).map(|_| 0));
        Some(Value::Integer(i64::try_from(time?).ok()?))
    })
}

fn backend(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    read: fn(&Context<'_>, BackendId) -> Option<i64>,
) -> Made {
    let id = scope.backend(arguments.optional().as_deref(), arguments.span)?;
    fetch(Type::Integer, move |context| {
        read(context, id).map(Value::Integer)
    })
}

fn frontend(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    read: fn(&Context<'_>, crate::model::FrontendId) -> Option<i64>,
) -> Made {
    let id = scope.frontend(arguments.optional().as_deref(), arguments.span)?;
    fetch(Type::Integer, move |context| {
        read(context, id).map(Value::Integer)
    })
}

fn server_argument(arguments: &mut Arguments, scope: &Scope<'_>) -> Result<Place, Diagnostic> {
    let name = arguments.word("a server's name")?;
    scope.server(&name, arguments.span)
}

fn server(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    read: fn(&Context<'_>, Place) -> Option<i64>,
) -> Made {
    let place = server_argument(arguments, scope)?;
    fetch(Type::Integer, move |context| {
        read(context, place).map(Value::Integer)
    })
}

fn frontend_at_hand<'a>(context: &Context<'a>) -> Option<&'a Frontend> {
    context
        .plane
        .model
        .frontends
        .get(context.frontend.0 as usize)
}

/// The frontend, which stands for the backend as long as none is chosen; connections do not get that far.
fn undecided<'a>(context: &Context<'a>) -> Option<&'a Frontend> {
    let is_early = matches!(context.phase, Phase::Connection | Phase::Session);
    frontend_at_hand(context).filter(|_| !is_early && !context.lacks_exchange())
}

fn backend_at_hand<'a>(context: &Context<'a>) -> Option<&'a Backend> {
    context
        .plane
        .model
        .backends
        .get(context.backend?.0 as usize)
}

/// As long as it takes to connect, where nothing else is said.
fn tarpit_time_out(context: &Context<'_>) -> Option<u64> {
    let timeouts = &backend_at_hand(context)?.timeouts;
    timeouts.tarpit_ms.or(timeouts.connect_ms)
}

fn queue_time_out(context: &Context<'_>, own: Option<u64>) -> Option<u64> {
    let times = &backend_at_hand(context)?.timeouts;
    own.or(times.queue_ms).or(times.connect_ms)
}

fn live<'a>(context: &Context<'a>, (backend, server): Place) -> &'a ServerLive {
    context.plane.backend(backend).server(server)
}

fn backend_count(context: &Context<'_>, id: BackendId, counter: BackendCounter) -> i64 {
    let count = context.world.sums().backend(id, counter);
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Requests that wait in a backend, for any server or a given one.
fn queued(plane: &Plane, id: BackendId) -> u32 {
    let backend = plane.backend(id);
    let servers = 0..plane.model.backends[id.0 as usize].servers.len();
    servers
        .map(|server| backend.server(ServerId(server as u32)).queued.load(Relaxed))
        .fold(backend.live.queued.load(Relaxed), u32::saturating_add)
}

/// The servers of a backend that balancing uses now: active ones, or backups when no active one is left.
fn used(plane: &Plane, id: BackendId) -> impl Iterator<Item = &ServerLive> {
    let (model, backend) = (&plane.model.backends[id.0 as usize], plane.backend(id));
    let usable = move |backup: bool| {
        let servers = model.servers.iter().enumerate();
        let servers = servers.filter(move |(_, server)| server.backup == backup);
        servers
            .map(move |(place, _)| &**backend.server(ServerId(place as u32)))
            .filter(|server| server.is_usable())
    };
    let active = usable(false).count();
    let backups = match (active, model.all_backups) {
        (0, true) => usize::MAX,
        (0, false) => 1,
        _ => 0,
    };
    usable(false).chain(usable(true).take(backups))
}

/// How many servers of a backend can be used.
pub(crate) fn usable_servers(plane: &Plane, id: BackendId) -> u32 {
    used(plane, id).count() as u32
}

fn free_slots(context: &Context<'_>, id: BackendId) -> Option<i64> {
    let mut free = 0;
    for server in used(context.plane, id) {
        let Some(limit) = server.limit() else {
            return Some(-1);
        };
        free += i64::from(limit.saturating_sub(server.current.load(Relaxed)));
    }
    Some(free)
}

fn slots(context: &Context<'_>, id: BackendId) -> Option<i64> {
    let backend = context.plane.backend(id);
    let servers = 0..context.plane.model.backends[id.0 as usize].servers.len();
    let mut free = 0;
    for place in servers {
        let server = backend.server(ServerId(place as u32));
        if !server.is_usable() {
            continue;
        }
        if server.maxconn() == 0 || server.maxqueue() == 0 {
            return Some(-1);
        }
        free += i64::from(server.maxconn()) - i64::from(server.current.load(Relaxed));
        free += i64::from(server.maxqueue()) - i64::from(server.queued.load(Relaxed));
    }
    Some(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::ServerState;
    use crate::testing::Bench;

    fn check(bench: &Bench, cases: &[(&str, Option<&str>)]) {
        for (text, expected) in cases {
            assert_eq!(bench.evaluate(text).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn proxies_are_counted() {
        let bench = Bench::with_backend();
        check(
            &bench,
            &[
                ("be_id", Some("3")),
                ("be_name", Some("app")),
                ("be_max_retries", Some("3")),
                ("cur_max_retries", Some("3")),
                ("be_connect_timeout", Some("0")),
                ("be_server_timeout", Some("5000")),
                ("cur_server_timeout", Some("5000")),
                ("fe_name", Some("web")),
                ("fe_id", Some("2")),
                ("fe_defbe", Some("app")),
                ("nbsrv", Some("2")),
                ("nbsrv(app)", Some("2")),
                ("queue(app)", Some("0")),
                ("avg_queue(app)", Some("0")),
                ("be_conn_free(app)", Some("-1")),
                ("connslots(app)", Some("-1")),
                ("srv_is_up(app/one)", Some("1")),
                ("srv_is_up(two)", Some("1")),
                ("srv_conn(one)", Some("0")),
                ("srv_conn_free(one)", Some("10")),
                ("srv_conn_free(two)", Some("-1")),
                ("srv_iweight(two)", Some("7")),
                ("srv_uweight(two)", Some("7")),
                ("srv_weight(two)", Some("7")),
                ("srv_queue(two)", Some("0")),
                ("so_id", None),
            ],
        );
        bench
            .plane
            .backend(BackendId(0))
            .server(ServerId(0))
            .mark(ServerState::MAINTENANCE);
        check(
            &bench,
            &[("nbsrv", Some("1")), ("srv_is_up(one)", Some("0"))],
        );
    }

    #[test]
    fn names_must_be_known() {
        let bench = Bench::with_backend();
        for (text, part) in [
            ("nbsrv(ap)", "did you mean 'app'"),
            ("srv_is_up(app/on)", "did you mean 'one'"),
            ("srv_is_up", "lacks"),
            ("fe_conn(wob)", "did you mean 'web'"),
            ("srv_name", "not available"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
