//! An HTTP connection that has become a tunnel: after `101 Switching Protocols`, or after `CONNECT`.

use std::sync::Arc;

use crate::exchange::Upgrade;
use crate::h1::client::Client;
use crate::session::Session;
use crate::tcp;
use crate::tunnel::{self, Side};
use crate::{account, tracking};

/// Relays until the tunnel ends, then logs the exchange that opened it.
pub(crate) async fn run(session: &mut Session, client: &mut Client, upgrade: Upgrade) {
    let admission = Arc::clone(&session.admission);
    let from_client = client.take_carry();
    let mut server = upgrade.transport;
    let (mut client, mut server) = (Side::new(&mut client.transport), Side::new(&mut server));
    let mut record = upgrade.record;
    let patience = tcp::patience(session, upgrade.backend, &record.facts.overrides);
    let pace = (patience, record.facts.limits.as_deref_mut());
    let carry = [from_client.as_slice(), upgrade.carry.as_slice()];
    let recall = upgrade.slot.recall(&admission);
    let (client, server) = (&mut client, &mut server);
    let ended = tunnel::run(&session.worker, client, server, carry, pace, recall).await;
    record.received_bytes += client.received_bytes;
    record.sent_bytes += server.received_bytes;
    record.fault = tcp::fault(ended);
    record.server_load = Some(upgrade.slot.release());
    tracking::exchange_moved(session, &record);
    account::exchange(session, &mut record);
    tracking::exchange_ends(session, &mut record);
}
