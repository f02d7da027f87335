//! A bench for tests of the rule language: one plane, one client, one request.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, FileId, Span};
use plimsoll_config::source::MemoryLoader;
use plimsoll_wire::h1::{Limits, request, response};
use plimsoll_wire::head::Head;

use crate::acl::{self, Acls, Truth};
use crate::action::{self, Flow};
use crate::context::{
    Context, ExchangeFacts, Now, Overrides, Payload, Phase, Progress, SessionFacts, World,
};
use crate::expression::{self, Expression, Names, Scope};
use crate::log::{self, WallTime};
use crate::log_format::{self, Encoding};
use crate::model::{
    Backend, BackendId, BackendTimeouts, Frontend, FrontendId, Mode, Model, Server, ServerAddress,
};
use crate::pattern::Lists;
use crate::plane::Plane;
use crate::resolve::known_names;
use crate::stats::Sums;
use crate::stats::testing::Made;
use crate::stick_table::{
    Counters, Data, DataSpec, KeyType, STICK_COUNTERS_DEFAULT, TableId, TableSpec,
};
use crate::tls::Pieces;
use crate::tls::store::{Content, Stored};
use crate::value::{Type, Value};
use crate::variable::Name;

/// What expressions and conditions are tried on.
pub(crate) struct Bench {
    pub(crate) plane: Plane,
    pub(crate) request: Option<Head>,
    pub(crate) body: Vec<u8>,
    /// The body has arrived.
    pub(crate) complete: bool,
    /// See [`Context::last`].
    pub(crate) last: bool,
    pub(crate) response: Option<Head>,
    pub(crate) phase: Phase,
    pub(crate) files: MemoryLoader,
    pub(crate) session: SessionFacts,
    pub(crate) exchange: ExchangeFacts,
    pub(crate) now: Now,
    pub(crate) progress: Progress,
    pub(crate) lists: Lists,
    /// What the exchange tracks, kept from one evaluation to the next.
    pub(crate) counters: RefCell<Counters>,
}

impl Default for Bench {
    fn default() -> Self {
        let model = Model {
            frontends: vec![Frontend {
                name: "web".to_owned(),
                mode: Mode::Http,
                ..Frontend::default()
            }],
            ..Model::default()
        };
        Self {
            plane: Plane::build(model, None),
            request: None,
            body: Vec::new(),
            complete: true,
            last: true,
            response: None,
            phase: Phase::Request,
            files: MemoryLoader::new(),
            session: SessionFacts {
                source: "192.0.2.1:4711".parse().ok(),
                destination: "192.0.2.9:80".parse().ok(),
                extra: None,
            },
            exchange: ExchangeFacts::default(),
            now: Now {
                monotonic_ns: 1_000_000_000,
                wall: WallTime {
                    unix_s: 1_700_000_000,
                    micros: 123_456,
                },
            },
            progress: Progress::default(),
            lists: Lists::default(),
            counters: RefCell::default(),
        }
    }
}

struct Still;

impl World for Still {
    fn random(&self) -> u64 {
        1 << 63
    }

    fn sums(&self) -> &dyn Sums {
        &Made
    }
}

impl Bench {
    /// Adds stick tables that keep the same data (with a number of elements), for 10 seconds.
    pub(crate) fn tables(&mut self, tables: &[(&str, KeyType)], data: &[(Data, u32)]) {
        let mut model = self.plane.model.clone();
        for (name, kind) in tables {
            let mut table = TableSpec::new(*name, *kind, 100);
            table.expire_ms = 10_000;
            for &(data, elements) in data {
                table.store(DataSpec {
                    data,
                    elements,
                    period_ms: 10_000,
                });
            }
            model.tables.push(table);
        }
        self.plane = Plane::build(model, None);
    }

    /// A bench with a request; what follows the head is its body.
    pub(crate) fn request(text: &str) -> Self {
        let end = text.find("\r\n\r\n").expect("the end of the head") + 4;
        let mut head = Head::default();
        request::parse(text.as_bytes(), &mut head, &Limits::default()).expect("a request");
        Self {
            request: Some(head),
            body: text.as_bytes()[end..].to_vec(),
            ..Self::default()
        }
    }

    /// The same bench with a response, at the time of response rules.
    pub(crate) fn with_response(mut self, text: &str) -> Self {
        let mut head = Head::default();
        response::parse(
            text.as_bytes(),
            &mut head,
            &Limits::default(),
            response::Asked::default(),
        )
        .expect("a response");
        self.response = Some(head);
        self.phase = Phase::Response;
        self
    }

    /// A bench with the backend `app` of servers `one` and `two`, which was chosen.
    pub(crate) fn with_backend() -> Self {
        let address = || ServerAddress::Abstract("app".to_owned());
        let mut one = Server::new("one", address());
        one.maxconn = Some(10);
        let mut two = Server::new("two", address());
        two.weight = 7;
        let mut model = Self::default().plane.model.clone();
        model.frontends[0].number = 2;
        model.frontends[0].default_backend = Some(BackendId(0));
        model.backends.push(Backend {
            name: "app".to_owned(),
            number: 3,
            servers: vec![one, two],
            retries: 3,
            timeouts: BackendTimeouts {
                server_ms: Some(5_000),
                ..BackendTimeouts::default()
            },
            ..Backend::default()
        });
        Self {
            plane: Plane::build(model, None),
            ..Self::default()
        }
    }

    /// A bench with a certificate in its store.
    pub(crate) fn with_certificate(self, name: &str, pem: &str, jwt: bool) -> Self {
        let mut model = Model::clone(&self.plane.model);
        let pieces = Pieces::read(pem.as_bytes()).expect("a certificate");
        let stored = Stored {
            content: Content::Part(Arc::new(pieces)),
            jwt,
            ..Stored::default()
        };
        let store = Arc::make_mut(&mut model.store);
        store.certificates.insert(name.to_owned(), Arc::new(stored));
        Self {
            plane: Plane::build(model, None),
            ..self
        }
    }

    /// Sets a variable.
    pub(crate) fn variable(&mut self, name: &str, value: Value<'static>) {
        let name = Name::parse(name).expect("a variable's name");
        self.exchange.variables.set(&name, value);
    }

    fn with_scope<T>(&self, use_it: impl FnOnce(&Scope<'_>) -> T) -> T {
        let names = Names {
            tables: (0..)
                .map(TableId)
                .zip(&self.plane.model.tables)
                .map(|(id, table)| (table.name.clone(), (id, table.key)))
                .collect(),
            stick_counters: STICK_COUNTERS_DEFAULT,
            ..known_names(&self.plane.model)
        };
        let (captures, asks) = (RefCell::default(), Cell::default());
        let environment = [("WHO", "me")].into_iter().collect();
        let http_errors = HashMap::default();
        use_it(&Scope {
            http_errors: &http_errors,
            captures: &captures,
            asks: &asks,
            environment: &environment,
            files: &self.files,
            names: &names,
            lists: &self.lists,
            acls: None,
            limits: &[],
            any_time: false,
            chooses: false,
            phase: self.phase,
            mode: Mode::Http,
            frontend: Some(FrontendId(0)),
            backend: self.backend(),
            proxy: Some("web"),
        })
    }

    fn with_context<T>(&self, use_it: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let (mut session, mut exchange) = (self.session.clone(), self.exchange.clone());
        let (mut request, mut response) = (self.request.clone(), self.response.clone());
        let mut context = Context::new(
            &self.plane,
            &Still,
            self.phase,
            FrontendId(0),
            &mut session,
            &mut exchange,
        );
        context.now = self.now;
        context.progress = self.progress;
        context.backend = self.backend();
        context.exchange.tracked = self.counters.take();
        context.request = request.as_mut();
        context.response = response.as_mut();
        context.request_payload = Payload {
            bytes: &self.body,
            complete: self.complete,
        };
        context.last = self.last;
        let result = use_it(&mut context);
        self.counters
            .replace(std::mem::take(&mut context.exchange.tracked));
        result
    }

    /// The first backend, if there is one.
    fn backend(&self) -> Option<BackendId> {
        (!self.plane.model.backends.is_empty()).then_some(BackendId(0))
    }

    /// An expression at the bench's time.
    pub(crate) fn expression(&self, text: &str) -> Expression {
        self.with_scope(|scope| expression::parse(&word(text), scope))
            .unwrap_or_else(|error| panic!("{text}: {}", error.message))
    }

    /// Lends a context that may be changed.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.with_context(change)
    }

    /// The value of an expression.
    pub(crate) fn value(&self, text: &str) -> Option<Value<'static>> {
        let expression = self.expression(text);
        self.with_context(|context| expression.evaluate(context).map(Value::into_owned))
    }

    /// The value of an expression, as text.
    pub(crate) fn evaluate(&self, text: &str) -> Option<String> {
        let value = self.value(text)?.cast(Type::Text)?;
        Some(String::from_utf8_lossy(&value.into_text()).into_owned())
    }

    /// Why an expression is refused.
    pub(crate) fn refused(&self, text: &str) -> String {
        match self.with_scope(|scope| expression::parse(&word(text), scope)) {
            Ok(_) => panic!("{text} is accepted"),
            Err(error) => told(&error),
        }
    }

    /// Whether a condition holds, or why it is refused.
    pub(crate) fn condition(&self, text: &str) -> Result<Truth, String> {
        let words: Vec<_> = text.split(' ').map(word).collect();
        let mut args = Args::new(&words, Span::default());
        let condition = self
            .with_scope(|scope| acl::read_condition(&mut args, &Acls::new(), scope))
            .map_err(|error| told(&error))?
            .expect("'if' or 'unless'");
        Ok(self.with_context(|context| condition.holds(context)))
    }

    /// Runs an action at the bench's time; what it tracks stays tracked by the exchange.
    pub(crate) fn act(&self, text: &str) -> Result<(), String> {
        let words: Vec<_> = text.split(' ').map(word).collect();
        let row = action::find(&words[0].text, self.phase).expect("a known action");
        let mut args = Args::new(&words[1..], Span::default());
        let mut words = action::Words {
            name: &words[0],
            args: &mut args,
        };
        let read = self.with_scope(|scope| (row.read)(&mut words, scope));
        let action = read.map_err(|error| told(&error))?;
        self.with_context(|context| {
            action.run(context);
        });
        Ok(())
    }

    /// What a rule makes of the message: its first line, or the flow where that is not to go on.
    pub(crate) fn line_after(&self, rule: &str) -> String {
        self.run(rule, |flow, context| {
            if !matches!(flow, Flow::Continue) {
                return match flow {
                    Flow::Reply(reply) => format!("Reply {}", reply.head.status),
                    flow => format!("{flow:?}"),
                };
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match (context.response.as_deref(), context.request.as_deref()) {
                (Some(head), _) => format!("{} {}", head.status, text(head.reason())),
                (None, Some(head)) => format!("{} {}", text(head.method()), text(head.target())),
                (None, None) => String::new(),
            }
        })
    }

    /// The values of a field of the message behind a rule.
    pub(crate) fn act_on_field(&self, rule: &str, name: &str) -> Vec<String> {
        self.run(rule, |_, context| {
            let head = context.message().expect("a message");
            let values = head.values(name.as_bytes());
            values
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect()
        })
    }

    /// The fields of the message behind a rule, a line each, or the flow where that is not to go on.
    pub(crate) fn fields_after(&self, rule: &str) -> String {
        self.run(rule, |flow, context| {
            if !matches!(flow, Flow::Continue) {
                return format!("{flow:?}");
            }
            let head = context.message().expect("a message");
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let fields = head.fields();
            fields
                .map(|(name, value)| format!("{}: {}\n", text(name), text(value)))
                .collect()
        })
    }

    /// What a rule sets for the exchange.
    pub(crate) fn overrides(&self, rule: &str) -> Overrides {
        self.run(rule, |_, context| context.exchange.overrides)
    }

    fn run<T>(&self, rule: &str, then: impl FnOnce(Flow, &mut Context<'_>) -> T) -> T {
        let words: Vec<_> = rule.split(' ').map(word).collect();
        let mut args = Args::new(&words, Span::default());
        let name = args.word("an action").expect("a name");
        let row = action::find(&name.text, self.phase).expect("an action");
        let action = self.with_scope(|scope| {
            let mut words = action::Words {
                name,
                args: &mut args,
            };
            (row.read)(&mut words, scope)
                .unwrap_or_else(|error| panic!("{rule}: {}", error.message))
        });
        assert!(args.is_empty(), "{rule}: words are left");
        self.with_context(|context| {
            let flow = action.run(context);
            then(flow, context)
        })
    }

    /// A format with its holes filled in, as for header fields.
    pub(crate) fn format(&self, text: &str) -> Result<String, String> {
        self.write(text, Encoding::Http)
    }

    /// As [`Bench::format`], for log lines.
    pub(crate) fn log(&self, text: &str) -> Result<String, String> {
        self.write(text, Encoding::Log)
    }

    /// A format as it is read at the time of the log.
    pub(crate) fn read(&self, text: &str, encoding: Encoding) -> log_format::Format {
        let read =
            self.with_scope(|scope| log_format::read(&word(text), encoding, &scope.at(Phase::Log)));
        read.unwrap_or_else(|error| panic!("{text}: {}", error.message))
    }

    /// Lends a context in which a line is written.
    pub(crate) fn with_record<T>(
        &self,
        record: &log::Record<'_>,
        use_it: impl FnOnce(&Context<'_>) -> T,
    ) -> T {
        self.with_context(|context| use_it(&context.lend(record)))
    }

    fn write(&self, text: &str, encoding: Encoding) -> Result<String, String> {
        let format = self
            .with_scope(|scope| log_format::read(&word(text), encoding, scope))
            .map_err(|error| told(&error))?;
        Ok(self.with_context(|context| {
            let mut out = Vec::new();
            format.write(context, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }))
    }
}

fn word(text: &str) -> Word {
    Word::new(text, Span::new(FileId(0), 0, text.len()))
}

/// The message and the help of a diagnostic.
fn told(error: &Diagnostic) -> String {
    format!("{}; {}", error.message, error.help.as_deref().unwrap_or(""))
}
