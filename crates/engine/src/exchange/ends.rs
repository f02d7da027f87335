//! What rules and lines ask of the two connections of an exchange, found out where somebody does.

use plimsoll_policy::context::StreamEnd;
use plimsoll_policy::rule::Asks;

use super::Exchange;
use crate::fault::Fault;
use crate::pool::Connection;
use crate::rules;
use crate::stream::ClientStream;

impl Exchange<'_> {
    /// What rules and lines ask of the two connections.
    pub(super) fn asks(&self) -> Asks {
        let asks = self.tables.frontend(self.session.frontend).rules.asks;
        match &self.record.dispatch {
            Some(dispatch) => asks.and(self.tables.backend(dispatch.backend).rules.asks),
            None => asks,
        }
    }

    /// How well packets travel to the client, and what the exchange is among others on its connection.
    pub(super) fn ask_client<C: ClientStream>(&mut self, client: &C) {
        let asks = self.asks();
        if asks.client_info {
            self.record.facts.ends().client = client.socket().and_then(rules::tcp_info);
        }
        if asks.streams {
            let alone = StreamEnd::alone(self.session.requests.saturating_sub(1));
            self.record.facts.ends().client_stream = Some(client.end().unwrap_or(alone));
        }
    }

    /// The same in a line: what is told there of the client's connection comes after the exchange.
    pub(super) fn ask_client_at_last<C: ClientStream>(&mut self, client: &C) {
        self.ask_client(client);
        if let Some(ends) = &mut self.record.facts.ends
            && let Some(stream) = &mut ends.client_stream
            && client.is_multiplexed()
        {
            stream.open = stream.open.saturating_sub(1);
        }
    }

    /// Keeps what is asked of the server's connection, such as its addresses where the log shows them.
    pub(super) fn note_server(&mut self, connection: &Connection) {
        let route = self.tables.log_route(self.session.frontend);
        let (asks, logged) = (self.asks(), route.asks_addresses());
        if !logged && asks == Asks::default() {
            return;
        }
        let socket = connection.stream.own().map(|own| own.transport.socket());
        let addresses = socket.and_then(rules::addresses);
        if logged {
            self.record.server_addresses = addresses;
        }
        if asks.server_end {
            let ends = self.record.facts.ends();
            ends.server_addresses = addresses;
            ends.reused = connection.reused;
        }
    }

    /// How well packets travel to the server.
    pub(super) fn ask_server(&mut self, connection: &Connection) {
        if self.asks().server_info {
            let socket = connection.stream.own().map(|own| own.transport.socket());
            self.record.facts.ends().server = socket.and_then(rules::tcp_info);
        }
    }

    /// What the exchange is among others on the server's connection, and what went wrong with that; `None`: it could not
    /// be opened.
    pub(super) fn note_stream(&mut self, connection: Option<&Connection>, fault: Option<Fault>) {
        if !self.asks().streams {
            return;
        }
        let socket = connection.and_then(|it| Some(it.stream.own()?.transport.socket()));
        let failure = rules::failure(fault, socket);
        let alone = StreamEnd::alone(connection.map_or(0, |it| it.uses.saturating_sub(1)));
        let stream = connection.and_then(|it| it.stream.end());
        let ends = self.record.facts.ends();
        ends.server_failure = Some(failure);
        ends.server_stream = Some(stream.unwrap_or(alone));
    }
}
