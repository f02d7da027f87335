//! Secrets of one connection, by which whoever has recorded it can read it (`tune.ssl.keylog`, the labels of
//! SSLKEYLOGFILE).

use std::fmt;

use zeroize::Zeroizing;

/// What a handshake comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The master secret of TLS 1.2.
    Master,
    /// Of what the client sends before the handshake has ended.
    ClientEarly,
    ClientHandshake,
    ServerHandshake,
    ClientTraffic,
    ServerTraffic,
    Exporter,
}

/// Each with its label.
const LABELS: [(&str, Secret); 7] = [
    ("CLIENT_RANDOM", Secret::Master),
    ("CLIENT_EARLY_TRAFFIC_SECRET", Secret::ClientEarly),
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", Secret::ClientHandshake),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", Secret::ServerHandshake),
    ("CLIENT_TRAFFIC_SECRET_0", Secret::ClientTraffic),
    ("SERVER_TRAFFIC_SECRET_0", Secret::ServerTraffic),
    ("EXPORTER_SECRET", Secret::Exporter),
];

/// The secrets of a connection, which are overwritten when they go and never shown but where rules ask for them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The random bytes of the client's hello, which are no secret.
    client_random: Vec<u8>,
    /// Each kind once.
    kept: Vec<(Secret, Zeroizing<Vec<u8>>)>,
}

impl Secrets {
    /// None so far, of the connection whose client has sent these random bytes.
    pub fn new(client_random: &[u8]) -> Self {
        Self {
            client_random: client_random.to_vec(),
            kept: Vec::new(),
        }
    }

    pub fn client_random(&self) -> &[u8] {
        &self.client_random
    }

    /// Keeps a secret with one of the labels; others are let go.
    pub fn keep(&mut self, label: &str, secret: &[u8]) {
        let known = LABELS.iter().find(|(known, _)| *known == label);
        if let Some((_, kind)) = known
            && self.of(*kind).is_none()
        {
            self.kept.push((*kind, Zeroizing::new(secret.to_vec())));
        }
    }

    /// Takes over what another handshake step has told.
    pub fn add(&mut self, more: Self) {
        for (kind, secret) in more.kept {
            if self.of(kind).is_none() {
                self.kept.push((kind, secret));
            }
        }
    }

    pub fn of(&self, kind: Secret) -> Option<&[u8]> {
        let found = self.kept.iter().find(|(known, _)| *known == kind);
        found.map(|(_, secret)| secret.as_slice())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_kept_once_and_never_shown() {
        let mut secrets = Secrets::new(&[7; 32]);
        secrets.keep("CLIENT_TRAFFIC_SECRET_0", &[1]);
        secrets.keep("CLIENT_TRAFFIC_SECRET_0", &[2]);
        secrets.keep("NOBODY", &[3]);
        let mut more = Secrets::new(&[7; 32]);
        more.keep("EXPORTER_SECRET", &[4]);
        more.keep("CLIENT_TRAFFIC_SECRET_0", &[5]);
        secrets.add(more);
        assert_eq!(secrets.of(Secret::ClientTraffic), Some(&[1][..]));
        assert_eq!(secrets.of(Secret::Exporter), Some(&[4][..]));
        assert_eq!(secrets.of(Secret::Master), None);
        assert_eq!(format!("{secrets:?}"), "Secrets { .. }");
    }
}
