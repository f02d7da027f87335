//! Samples of the process and the machine, and of moments (manual, section 7.3.2).

use super::constant::constant;
use super::{Needs, Row, Unit, fetch};
use crate::model::FrontendId;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "act_conn",
        usage: "",
        doc: "Client connections now open, of all frontends.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let sums = context.world.sums();
                let frontends =
                    (0..context.plane.model.frontends.len()).map(|id| FrontendId(id as u32));
                let open = frontends.map(|id| i64::from(sums.connections(id)));
                Some(Value::Integer(open.sum()))
            })
        },
    },
    Row {
        name: "date_us",
        usage: "",
        doc: "The microseconds within the present second.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(context.now.wall.micros.into()))
            })
        },
    },
    Row {
        name: "env",
        usage: "NAME",
        doc: "The value that a variable of the process had when the configuration was read.",
        needs: Needs::Nothing,
        read: |arguments, scope| {
            // HAProxy takes it without a name too, and finds nothing.
            let name = arguments.optional().unwrap_or_default();
            match scope.environment.get(&name) {
                Some(value) => constant(Value::owned(value)),
                None => fetch(Type::Text, |_| None),
            }
        },
    },
    Row {
        name: "hostname",
        usage: "",
        doc: "The machine's name.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Text, |context| {
                Some(Value::text(context.world.hostname().as_bytes()))
            })
        },
    },
    Row {
        name: "nbproc",
        usage: "",
        doc: "The number of processes, which is 1.",
        needs: Needs::Nothing,
        read: |_, _| fetch(Type::Integer, |_| Some(Value::Integer(1))),
    },
    Row {
        name: "pid",
        usage: "",
        doc: "The process's identifier.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(context.world.process_id().into()))
            })
        },
    },
    Row {
        name: "prio_class",
        usage: "",
        doc: "The class that the request has in queues.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let class = context.exchange.overrides.priority_class;
                Some(Value::Integer(class.into()))
            })
        },
    },
    Row {
        name: "prio_offset",
        usage: "",
        doc: "The milliseconds by which the request goes ahead or behind in queues.",
        needs: Needs::Client,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let offset = context.exchange.overrides.priority_offset_ms;
                Some(Value::Integer(offset))
            })
        },
    },
    Row {
        name: "proc",
        usage: "",
        doc: "The number of this process, which is 1.",
        needs: Needs::Nothing,
        read: |_, _| fetch(Type::Integer, |_| Some(Value::Integer(1))),
    },
    Row {
        name: "quic_enabled",
        usage: "",
        doc: "False: QUIC is not spoken.",
        needs: Needs::Nothing,
        read: |_, _| fetch(Type::Boolean, |_| Some(Value::Boolean(false))),
    },
    Row {
        name: "stopping",
        usage: "",
        doc: "Whether the process is about to end.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                Some(Value::Boolean(context.world.is_stopping()))
            })
        },
    },
    Row {
        name: "tgroup",
        usage: "",
        doc: "The number of the group of threads, which is 0.",
        needs: Needs::Nothing,
        read: |_, _| fetch(Type::Integer, |_| Some(Value::Integer(0))),
    },
    Row {
        name: "thread",
        usage: "",
        doc: "The number of the worker, from 0.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(context.world.worker().into()))
            })
        },
    },
    Row {
        name: "uptime",
        usage: "",
        doc: "Seconds since the process started.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                let seconds = i64::try_from(context.world.uptime_s()).ok()?;
                Some(Value::Integer(seconds))
            })
        },
    },
    Row {
        name: "uuid",
        usage: "[VERSION]",
        doc: "A universally unique identifier (RFC 9562) of version 4, random, or 7, beginning with the time.",
        needs: Needs::Nothing,
        read: |arguments, _| {
            let version = match arguments.optional_integer("a version")? {
                None | Some(0 | 4) => 4,
                Some(7) => 7,
                Some(_) => return Err(arguments.invalid("versions 4 and 7 are known")),
            };
            fetch(Type::Text, move |context| {
                let random = || u128::from(context.world.random());
                let mut bits = random() << 64 | random();
                if version == 7 {
                    let ms = Unit::Milliseconds.count(context.now.wall) as u128 & 0xffff_ffff_ffff;
                    bits = bits & (u128::MAX >> 48) | ms << 80;
                }
                Some(Value::owned(identifier(bits, version)))
            })
        },
    },
    Row {
        name: "wait_end",
        usage: "",
        doc: "True once nothing more is waited for.",
        needs: Needs::Nothing,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                if !context.last {
                    context.may_change();
                    return None;
                }
                Some(Value::Boolean(true))
            })
        },
    },
];

/// The text of an identifier, its version and variant set.
fn identifier(bits: u128, version: u128) -> String {
    let bits = bits & !(0xf << 76) | version << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Truth;
    use crate::testing::Bench;

    #[test]
    fn the_process_is_described() {
        let mut bench = Bench::default();
        for (text, expected) in [
            ("date_us", "123456"),
            ("nbproc", "1"),
            ("proc", "1"),
            ("thread", "0"),
            ("stopping", "0"),
            ("prio_class", "0"),
            ("wait_end", "1"),
            ("uptime", "0"),
            ("env(WHO)", "me"),
            ("uuid,length", "36"),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(bench.evaluate("env(NOBODY)"), None);
        let uuid = bench.evaluate("uuid(7)").unwrap();
        assert!(uuid.starts_with("018bcfe5-687b-7"), "{uuid}");
        assert!(bench.refused("uuid(5)").contains("versions 4 and 7"));
        bench.last = false;
        assert_eq!(bench.condition("if WAIT_END"), Ok(Truth::Unsure));
    }

    #[test]
    fn identifiers_tell_their_version() {
        let id = identifier(u128::MAX, 4);
        assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(identifier(0, 7), "00000000-0000-7000-8000-000000000000");
    }
}
