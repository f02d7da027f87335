//! Samples of who a client says it is: `http_auth` and its like (manual, section 7.3.6).

use std::sync::Arc;

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::suggest::nearest;

use super::{Fetch, Needs, Row, Tested, fetch, request};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::users::{Credentials, Scheme, Userlist};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "http_auth",
        usage: "USERLIST",
        doc: "Whether the request has the name and password of a user; nothing without any.",
        needs: Needs::RequestHead,
        read: |arguments, scope| {
            let users = userlist(arguments, scope)?;
            fetch(Type::Boolean, move |context: &Context<'_>| {
                let Credentials::Basic { user, password } = credentials(context)? else {
                    return None;
                };
                let admitted = users.admit(&user, &password, now_us(context));
                Some(Value::Boolean(admitted.is_some()))
            })
        },
    },
    Row {
        name: "http_auth_bearer",
        usage: "[FIELD]",
        doc: "The token behind 'Bearer' in Authorization, or in another field.",
        needs: Needs::RequestHead,
        read: |arguments, _| {
            let name = arguments.optional().map(|name| name.to_ascii_lowercase());
            fetch(Type::Text, move |context: &Context<'_>| {
                bearer(context, name.as_deref())
            })
        },
    },
    Row {
        name: "http_auth_group",
        usage: "USERLIST",
        doc: "The user whose name and password the request has; conditions compare the user's groups.",
        needs: Needs::RequestHead,
        read: |arguments, scope| {
            let users = userlist(arguments, scope)?;
            Ok((Box::new(Groups(users)), Type::Text))
        },
    },
    Row {
        name: "http_auth_pass",
        usage: "",
        doc: "The password that the request has.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context: &Context<'_>| {
                match credentials(context)? {
                    Credentials::Basic { password, .. } => Some(Value::owned(password)),
                    Credentials::Bearer(_) => None,
                }
            })
        },
    },
    Row {
        name: "http_auth_type",
        usage: "",
        doc: "Basic or Bearer: how the request says who sends it.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context: &Context<'_>| {
                Some(match credentials(context)?.scheme() {
                    Scheme::Basic => Value::text(b"Basic"),
                    Scheme::Bearer => Value::text(b"Bearer"),
                })
            })
        },
    },
    Row {
        name: "http_auth_user",
        usage: "",
        doc: "The name of the user that the request has.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Text, |context: &Context<'_>| {
                match credentials(context)? {
                    Credentials::Basic { user, .. } => Some(Value::owned(user)),
                    Credentials::Bearer(_) => None,
                }
            })
        },
    },
];

fn credentials(context: &Context<'_>) -> Option<Credentials> {
    Credentials::of(context, request(context)?)
}

fn now_us(context: &Context<'_>) -> u64 {
    context.now.monotonic_ns / 1_000
}

/// The token of a field, in which the scheme must be Bearer.
fn bearer<'a>(context: &'a Context<'_>, name: Option<&str>) -> Option<Value<'a>> {
    let head = request(context)?;
    let Some(name) = name else {
        return match Credentials::of(context, head)? {
            Credentials::Bearer(token) => Some(Value::owned(token)),
            Credentials::Basic { .. } => None,
        };
    };
    let Some(value) = head.values(name.as_bytes()).next() else {
        return Some(Value::text(b""));
    };
    match crate::users::split(value)? {
        (Scheme::Bearer, token) => Some(Value::owned(token)),
        (Scheme::Basic, _) => None,
    }
}

fn userlist(arguments: &mut Arguments, scope: &Scope<'_>) -> Result<Arc<Userlist>, Diagnostic> {
    let name = arguments.word("the name of a userlist")?;
    let known = &scope.names.userlists;
    known.get(&name).cloned().ok_or_else(|| {
        let message = format_args!("no userlist is called '{name}'");
        let error = Diagnostic::error(Kind::Reference, arguments.span, message);
        match nearest(&name, known.keys().map(String::as_str)) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        }
    })
}

/// `http_auth_group`.
struct Groups(Arc<Userlist>);

impl Fetch for Groups {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        let Credentials::Basic { user, password } = credentials(context)? else {
            return None;
        };
        self.0.admit(&user, &password, now_us(context))?;
        Some(Value::owned(user))
    }

    fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        let Some(Credentials::Basic { user, password }) = credentials(context) else {
            return Tested::Missing;
        };
        match self.0.admit(&user, &password, now_us(context)) {
            None => Tested::Missing,
            Some(groups) => {
                let mut groups = groups.iter();
                Tested::of(groups.any(|group| test(Value::text(group.as_bytes()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;
    use crate::acl::Truth;
    use crate::plane::Plane;
    use crate::testing::Bench;
    use crate::users::{Password, User};

    fn bench(field: &str) -> Bench {
        let mut bench = Bench::request(&format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
        let user = |password: Option<Password>, groups: &[&str]| User {
            password,
            groups: groups
                .iter()
                .map(|group| (*group).to_owned())
                .collect::<BTreeSet<_>>(),
        };
        let users = HashMap::from([
            (
                "ann".to_owned(),
                user(Some(Password::plain("secret")), &["staff", "admin"]),
            ),
            ("joe".to_owned(), user(None, &["staff"])),
        ]);
        let mut model = bench.plane.model.clone();
        let groups = ["admin", "guests", "staff"].map(str::to_owned).into();
        let people = Userlist::new("people", users, groups);
        model.userlists.push(Arc::new(people));
        bench.plane = Plane::build(model, None);
        bench
    }

    #[test]
    fn requests_say_who_sends_them() {
        // ann:secret, ann:wrong, joe:
        let ann = bench("Authorization: Basic YW5uOnNlY3JldA==");
        let wrong = bench("Authorization: Basic YW5uOndyb25n");
        let joe = bench("Authorization: Basic am9lOg==");
        let bearer = bench("Authorization: Bearer a.b.c\r\nX-Token: bearer  t");
        let nobody = bench("X: y");
        for (bench, sample, expected) in [
            (&ann, "http_auth(people)", Some("1")),
            (&wrong, "http_auth(people)", Some("0")),
            (&joe, "http_auth(people)", Some("0")),
            (&bearer, "http_auth(people)", None),
            (&nobody, "http_auth(people)", None),
            (&ann, "http_auth_user", Some("ann")),
            (&ann, "http_auth_pass", Some("secret")),
            (&ann, "http_auth_type", Some("Basic")),
            (&ann, "http_auth_bearer", None),
            (&ann, "http_auth_group(people)", Some("ann")),
            (&wrong, "http_auth_group(people)", None),
            (&bearer, "http_auth_type", Some("Bearer")),
            (&bearer, "http_auth_bearer", Some("a.b.c")),
            (&bearer, "http_auth_bearer(X-Token)", Some("t")),
            (&bearer, "http_auth_bearer(Y)", Some("")),
            (&bearer, "http_auth_user", None),
            (&nobody, "http_auth_type", None),
        ] {
            assert_eq!(bench.evaluate(sample).as_deref(), expected, "{sample}");
        }
        for (bench, condition, expected) in [
            (&ann, "if { http_auth(people) }", Truth::Pass),
            (&wrong, "if { http_auth(people) }", Truth::Fail),
            (&nobody, "unless { http_auth(people) }", Truth::Pass),
            (&ann, "if { http_auth_group(people) admin }", Truth::Pass),
            (&ann, "if { http_auth_group(people) guests }", Truth::Fail),
            (
                &wrong,
                "if { http_auth_group(people) admin staff }",
                Truth::Fail,
            ),
        ] {
            assert_eq!(bench.condition(condition), Ok(expected), "{condition}");
        }
        let error = ann.condition("if { http_auth_group(people) nobody }");
        let error = error.expect_err("there is no such group");
        assert!(error.contains("no group called 'nobody'"), "{error}");
        let error = ann.refused("http_auth(peple)");
        assert!(error.contains("did you mean 'people'"), "{error}");
    }
}
