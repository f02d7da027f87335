//! When authorities are asked whether they still vouch for our certificates (`ocsp-update`), and what has come of it.
//!
//! What is absent: asking them, which the engine does, and what they answer ([`crate::tls::ocsp`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Model;
use crate::tls::ocsp::{self, CertificateId, Response};

/// `ocsp-update.…`: how often authorities are asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stapling {
    /// `ocsp-update.mode`: about certificates of which nothing else is said.
    pub by_default: bool,
    /// `ocsp-update.disable`: never by themselves.
    pub disabled: bool,
    /// Shortest and longest time between two requests for one certificate.
    pub min_delay_s: u32,
    pub max_delay_s: u32,
    /// `ocsp-update.httpproxy`: whom requests are made to instead, as `HOST:PORT`.
    pub proxy: Option<String>,
}

impl Default for Stapling {
    fn default() -> Self {
        Self {
            by_default: false,
            disabled: false,
            min_delay_s: 300,
            max_delay_s: 3_600,
            proxy: None,
        }
    }
}

/// What came of a request, by HAProxy's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Unknown = 0,
    Updated = 1,
    /// Nobody answered, or something else than 200.
    Http = 2,
    /// The answer is no response.
    Kind = 3,
    /// It is not about our certificate, not signed by the authority, or not valid.
    Check = 4,
    /// It could not be put to use.
    Insertion = 5,
}

impl Status {
    pub fn text(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Updated => "Update successful",
            Self::Http => "HTTP error",
            Self::Kind => "Missing \"ocsp-response\" header",
            Self::Check => "OCSP response check failure",
            Self::Insertion => "Error during insertion",
        }
    }
}

/// How one certificate fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When the authority is asked next, in seconds since 1970.
    pub next_s: i64,
    /// When it last answered well.
    pub last_s: Option<i64>,
    pub successes: u32,
    pub failures: u32,
    /// Failures since the last success.
    pub in_a_row: u32,
    pub status: Status,
    /// What there is to add to a failure.
    pub detail: String,
    /// It is being asked at this moment.
    pub running: bool,
}

impl Record {
    /// How often it was asked so far.
    pub fn attempts(&self) -> u32 {
        self.successes.saturating_add(self.failures)
    }
}

/// What has come of all requests; all planes share it.
#[derive(Debug, Default)]
pub struct Inquiries(Mutex<BTreeMap<CertificateId, Record>>);

/// A certificate whose authority is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    pub id: CertificateId,
    /// The first certificate file with that name.
    pub file: String,
    /// The address of the responder.
    pub url: String,
    /// The certificate of the authority.
    pub issuer: Vec<u8>,
    /// Until when the present response holds; `None`: there is none.
    pub holds_until_s: Option<i64>,
}

impl Inquiry {
    /// What there is to ask about a certificate; the text says why there is nothing.
    ///
    /// # Errors
    /// When it is unknown, or names no responder, or its issuer is unknown.
    pub fn about(model: &Model, file: &str) -> Result<Self, &'static str> {
        let stored = model.store.certificates.get(file);
        let pieces = stored
            .ok_or("there is no such certificate")?
            .content
            .pieces();
        let own = pieces
            .chain
            .first()
            .ok_or("there is no certificate in it")?;
        let url = ocsp::responder(own).ok_or("it names no responder")?;
        let issuer = ocsp::issuer(&pieces).ok_or("the certificate of its issuer is not known")?;
        let response = pieces.ocsp.as_deref().map(Response::read);
        let response = response.and_then(Result::ok);
        Ok(Self {
            id: CertificateId::of(&pieces).ok_or("its number is too long")?,
            file: file.to_owned(),
            url,
            issuer: issuer.to_vec(),
            holds_until_s: response.and_then(|response| response.holds_until_s()),
        })
    }

    /// All that are to be made again and again, each once.
    pub fn all(model: &Model) -> Vec<Self> {
        let mut all: BTreeMap<CertificateId, Self> = BTreeMap::new();
        let wanted = model.store.certificates.iter();
        let presented = model.presented();
        let wanted =
            wanted.filter(|(file, stored)| stored.fetches && presented.contains(file.as_str()));
        for inquiry in wanted.filter_map(|(file, _)| Self::about(model, file).ok()) {
            all.entry(inquiry.id.clone()).or_insert(inquiry);
        }
        all.into_values().collect()
    }
}

impl Inquiries {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CertificateId, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record(&self, id: &CertificateId) -> Option<Record> {
        self.lock().get(id).cloned()
    }

    /// When an inquiry is due, in seconds since 1970, noting it where it is new: at once without a response, else not
    /// before the shortest time has passed. `None` while it is being made.
    pub fn due_s(&self, inquiry: &Inquiry, settings: &Stapling, now_s: i64) -> Option<i64> {
        let mut records = self.lock();
        let record = records.entry(inquiry.id.clone()).or_insert_with(|| Record {
            next_s: match inquiry.holds_until_s {
                Some(until_s) => following_s(settings, now_s, until_s),
                None => now_s,
            },
            ..Record::default()
        });
        (!record.running).then_some(record.next_s)
    }

    /// Notes that an inquiry is being made; `false`: it is already.
    pub fn begin(&self, id: &CertificateId) -> bool {
        let mut records = self.lock();
        let record = records.entry(id.clone()).or_default();
        !std::mem::replace(&mut record.running, true)
    }

    /// Notes what came of it: until when the response holds, or what went wrong.
    pub fn end(
        &self,
        id: &CertificateId,
        outcome: Result<i64, (Status, String)>,
        settings: &Stapling,
        now_s: i64,
    ) -> Record {
        let mut records = self.lock();
        let record = records.entry(id.clone()).or_default();
        record.running = false;
        match outcome {
            Ok(until_s) => {
                record.successes = record.successes.saturating_add(1);
                record.in_a_row = 0;
                record.last_s = Some(now_s);
                record.next_s = following_s(settings, now_s, until_s);
                (record.status, record.detail) = (Status::Updated, String::new());
            }
            Err((status, detail)) => {
                record.failures = record.failures.saturating_add(1);
                record.in_a_row = record.in_a_row.saturating_add(1);
                let delay_s = settings.min_delay_s.saturating_mul(record.in_a_row);
                record.next_s = now_s + i64::from(delay_s.min(settings.max_delay_s).max(1));
                (record.status, record.detail) = (status, detail);
            }
        }
        record.clone()
    }
}

/// When the authority is asked again: when the response ends, but not too soon and not too late.
fn following_s(settings: &Stapling, now_s: i64, until_s: i64) -> i64 {
    let latest_s = now_s + i64::from(settings.max_delay_s);
    let soonest_s = now_s + i64::from(settings.min_delay_s);
    until_s.min(latest_s).max(soonest_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inquiry(holds_until_s: Option<i64>) -> Inquiry {
        Inquiry {
            id: CertificateId { der: vec![1] },
            file: "site.pem".to_owned(),
            url: "http://a.test/".to_owned(),
            issuer: Vec::new(),
            holds_until_s,
        }
    }

    #[test]
    fn authorities_are_asked_in_time_and_not_too_often() {
        let settings = Stapling::default();
        for (until_s, due_s) in [
            (None, 1_000),
            (Some(1_010), 1_300),
            (Some(2_000), 2_000),
            (Some(99_000), 4_600),
        ] {
            let inquiries = Inquiries::default();
            let due = inquiries.due_s(&inquiry(until_s), &settings, 1_000);
            assert_eq!(due, Some(due_s), "{until_s:?}");
        }
    }

    #[test]
    fn failures_make_it_ever_more_patient() {
        let (settings, inquiries) = (Stapling::default(), Inquiries::default());
        let inquiry = inquiry(None);
        for delay_s in [300, 600, 900] {
            assert!(inquiries.begin(&inquiry.id));
            assert!(!inquiries.begin(&inquiry.id));
            assert_eq!(inquiries.due_s(&inquiry, &settings, 0), None);
            let failure = Err((Status::Http, "no".to_owned()));
            let record = inquiries.end(&inquiry.id, failure, &settings, 0);
            assert_eq!(record.next_s, delay_s);
        }
        let record = inquiries.end(&inquiry.id, Ok(50_000), &settings, 10);
        assert_eq!(
            (record.next_s, record.in_a_row, record.attempts()),
            (3_610, 0, 4)
        );
        let failure = Err((Status::Check, String::new()));
        let record = inquiries.end(&inquiry.id, failure, &settings, 20);
        assert_eq!((record.next_s, record.last_s), (320, Some(10)));
    }
}
