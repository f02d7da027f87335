//! Names in commands.

use super::{Refusal, Words};
use crate::model::{Backend, BackendId, FrontendId, ServerId};
use crate::stats::View;

/// The next word as `BACKEND/SERVER`, by name or number.
pub(super) fn server(
    words: &mut Words<'_>,
    view: View<'_>,
) -> Result<(BackendId, ServerId), Refusal> {
    let word = words.next().unwrap_or_default();
    let (backend, server) = word
        .split_once('/')
        .filter(|(_, server)| !server.is_empty())
        .ok_or("Require 'backend/server'.")?;
    let backend = view.backend_named(backend).ok_or("No such backend.")?;
    let server = view
        .server_named(backend, server)
        .ok_or("No such server.")?;
    Ok((backend, server))
}

/// The next word as the name of a backend.
pub(super) fn backend(words: &mut Words<'_>, view: View<'_>) -> Result<BackendId, Refusal> {
    let name = words.next().ok_or("A backend name is expected.")?;
    Ok(view.backend_named(name).ok_or("No such backend.")?)
}

/// The next word as the name of a frontend.
pub(super) fn frontend(words: &mut Words<'_>, view: View<'_>) -> Result<FrontendId, Refusal> {
    let name = words.next().ok_or("A frontend name is expected.")?;
    Ok(view.frontend_named(name).ok_or("No such frontend.")?)
}

/// The backend that the words name, or all.
pub(super) fn backends<'a>(
    words: &mut Words<'_>,
    view: View<'a>,
) -> Result<Vec<(BackendId, &'a Backend)>, Refusal> {
    match words.next() {
        None => Ok(view.backends().collect()),
        Some(name) => {
            let id = view.backend_named(name).ok_or("Can't find backend.")?;
            Ok(vec![(id, view.backend(id))])
        }
    }
}
