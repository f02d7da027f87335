//! What is said to an authority, in order, until it has issued a certificate (RFC 8555 section 7).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use plimsoll_policy::acme::{
    Authorization, Directory, Offered, Order, Problem, Signer, Status, asked_name, finalize,
    new_account, new_order,
};
use plimsoll_policy::model::acme::{Acme, Challenge, Subscription};
use tokio::time::sleep;

use super::account::Account;
use crate::control::http_client::{Answer, Request, ask};
use crate::tls::back::Back;
use crate::tls::forge;
use crate::tls::proofs::Proofs;

/// How often a message is said again because its nonce was too old.
const NONCES_MAX: u32 = 10;

/// Pauses between looks at something that the authority works on, unless it names one.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_LAST: Duration = Duration::from_secs(10);

/// The longest pause that an authority may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Where what a challenge asks for is shown.
pub(super) trait Stage {
    /// Has requests for a token answered with the account's thumbprint.
    fn show_token(&self, token: &str, thumbprint: &str) -> Result<(), String>;

    fn hide_token(&self, token: &str);

    fn proofs(&self) -> &Proofs;
}

/// A conversation with an authority.
pub(super) struct Talk<'a> {
    pub(super) acme: &'a Acme,
    pub(super) tls: Option<&'a Arc<Back>>,
    pub(super) stage: &'a dyn Stage,
    account: Account,
    directory: Directory,
    nonce: Option<String>,
    /// Our account's URL, once it is known.
    own: Option<String>,
}

impl<'a> Talk<'a> {
    /// Asks the authority for its addresses.
    pub(super) async fn begin(
        acme: &'a Acme,
        tls: Option<&'a Arc<Back>>,
        stage: &'a dyn Stage,
    ) -> Result<Self, String> {
        let account = Account::open(acme)?;
        let request = Request {
            method: "GET",
            url: &acme.directory,
            content: None,
            proxy: None,
        };
        let answer = ask(tls, request).await?;
        let directory = Directory::read(&answer.body).filter(|_| answer.is_success());
        let directory = directory.ok_or_else(|| format!("'{}' is no directory", acme.directory))?;
        Ok(Self {
            acme,
            tls,
            stage,
            account,
            directory,
            nonce: None,
            own: None,
        })
    }

    /// The chain of a new certificate, in PEM; `request` asks for it.
    pub(super) async fn obtain(
        &mut self,
        wanted: &Subscription,
        request: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.register().await?;
        let url = self.directory.new_order.clone();
        let answer = self.say(&url, &new_order(self.acme, wanted)).await?;
        let place = answer.field("Location").map(str::to_owned);
        let place = place.ok_or("the order has no address")?;
        let order = read(&answer, "order", Order::read)?;
        let mut shown = Vec::new();
        let validated = self.validate(&order, wanted, &mut shown).await;
        for (name, offered) in &shown {
            self.hide(name, offered);
        }
        validated?;
        let order = self.settled(&place, &[Status::Pending]).await?;
        if order.status == Status::Ready {
            self.say(&order.finalize, &finalize(request)).await?;
        }
        let busy = [Status::Pending, Status::Ready, Status::Processing];
        let order = self.settled(&place, &busy).await?;
        let certificate = order.certificate.ok_or("the order has no certificate")?;
        Ok(self.say(&certificate, "").await?.body)
    }

    /// Learns our account's address; the authority makes one where there is none.
    async fn register(&mut self) -> Result<(), String> {
        let url = self.directory.new_account.clone();
        let external = self.acme.external.as_ref();
        let binding = external.and_then(|external| self.account.bound(external, &url));
        let payload = new_account(self.acme, binding.as_deref());
        let answer = self.say(&url, &payload).await?;
        let own = answer.field("Location").map(str::to_owned);
        self.own = Some(own.ok_or("the account has no address")?);
        Ok(())
    }

    /// Shows that all names of an order are ours; `shown` is what has to be hidden again.
    async fn validate(
        &mut self,
        order: &Order,
        wanted: &Subscription,
        shown: &mut Vec<(String, Offered)>,
    ) -> Result<(), String> {
        for url in &order.authorizations {
            let wished = self.acme.challenge;
            let read_one = |json: &[u8]| Authorization::read(json, wished);
            let answer = self.say(url, "").await?;
            let found = read(&answer, "authorization", read_one)?;
            if found.status == Status::Valid {
                continue;
            }
            // Nothing is shown for names that others may have asked for.
            if !wanted.names().iter().any(|name| is_same(name, &found.name)) {
                return Err(format!("nobody asked for '{}'", found.name));
            }
            let Some(offered) = found.challenge else {
                let (kind, name) = (wished.name(), &found.name);
                return Err(format!("the authority offers no {kind} for '{name}'"));
            };
            self.show(&found.name, &offered)?;
            let challenge = offered.url.clone();
            shown.push((found.name.clone(), offered));
            self.say(&challenge, "{}").await?;
            let mut pause = PAUSE_FIRST;
            loop {
                let answer = self.say(url, "").await?;
                match read(&answer, "authorization", read_one)?.status {
                    Status::Valid => break,
                    Status::Pending | Status::Ready | Status::Processing => {
                        rest(&answer, &mut pause).await;
                    }
                    Status::Failed => {
                        let why = Authorization::complaint(&answer.body).unwrap_or_default();
                        return Err(format!("'{}' was not validated: {why}", found.name));
                    }
                }
            }
        }
        Ok(())
    }

    fn show(&self, name: &str, offered: &Offered) -> Result<(), String> {
        let thumbprint = self.account.thumbprint();
        match self.acme.challenge {
            Challenge::Http01 => self.stage.show_token(&offered.token, &thumbprint),
            Challenge::TlsAlpn01 => {
                let authorization = format!("{}.{thumbprint}", offered.token);
                let digest = digest::digest(&digest::SHA256, authorization.as_bytes());
                let digest = digest
                    .as_ref()
                    .first_chunk()
                    .ok_or("a digest of 32 bytes")?;
                let key = forge::proof(name, digest)?;
                self.stage.proofs().show(&asked_name(name), key)
            }
        }
    }

    fn hide(&self, name: &str, offered: &Offered) {
        match self.acme.challenge {
            Challenge::Http01 => self.stage.hide_token(&offered.token),
            Challenge::TlsAlpn01 => self.stage.proofs().hide(&asked_name(name)),
        }
    }

    /// The order, as soon as it is in none of these states.
    async fn settled(&mut self, place: &str, busy: &[Status]) -> Result<Order, String> {
        let mut pause = PAUSE_FIRST;
        loop {
            let answer = self.say(place, "").await?;
            let order = read(&answer, "order", Order::read)?;
            if order.status == Status::Failed {
                return Err(format!("the order has failed: {}", problem_of(&answer)));
            }
            if !busy.contains(&order.status) {
                return Ok(order);
            }
            rest(&answer, &mut pause).await;
        }
    }

    /// Says something, signed, and hears the answer; a refusal is an error. Nothing said: the answer is what is there.
    async fn say(&mut self, url: &str, payload: &str) -> Result<Answer, String> {
        let mut tries = 0;
        loop {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => self.fresh_nonce().await?,
            };
            let signer = match &self.own {
                Some(own) => Signer::Account(own),
                None => Signer::Key(&self.account.jwk),
            };
            let signed = self.account.signed(&nonce, url, signer, payload);
            let signed = signed.ok_or("the account's key does not sign")?;
            self.check_place(url)?;
            let request = Request {
                method: "POST",
                url,
                content: Some(("application/jose+json", signed.as_bytes())),
                proxy: None,
            };
            let answer = ask(self.tls, request).await?;
            self.nonce = answer.field("Replay-Nonce").map(str::to_owned);
            if answer.is_success() {
                return Ok(answer);
            }
            tries += 1;
            if !Problem::read(&answer.body).is_bad_nonce() || tries == NONCES_MAX {
                return Err(format!("{url}: {}", problem_of(&answer)));
            }
        }
    }

    /// An authority that is called by https is not called in the clear (RFC 8555 section 6.1).
    fn check_place(&self, url: &str) -> Result<(), String> {
        match self.acme.directory.starts_with("https:") && !url.starts_with("https:") {
            true => Err(format!("the authority leads from https to '{url}'")),
            false => Ok(()),
        }
    }

    async fn fresh_nonce(&self) -> Result<String, String> {
        self.check_place(&self.directory.new_nonce)?;
        let request = Request {
            method: "HEAD",
            url: &self.directory.new_nonce,
            content: None,
            proxy: None,
        };
        let answer = ask(self.tls, request).await?;
        let nonce = answer.field("Replay-Nonce").map(str::to_owned);
        nonce.ok_or_else(|| "the authority gives no nonce".to_owned())
    }
}

/// Names are the same in either case; those with a wildcard are told without it (RFC 8555 section 7.1.3).
fn is_same(wanted: &str, told: &str) -> bool {
    let wanted = wanted.strip_prefix("*.").unwrap_or(wanted);
    wanted.eq_ignore_ascii_case(told)
}

/// What an answer says, or that it says something else.
fn read<T>(answer: &Answer, what: &str, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, String> {
    read(&answer.body).ok_or_else(|| format!("the authority's {what} cannot be read"))
}

fn problem_of(answer: &Answer) -> String {
    let Problem { kind, detail } = Problem::read(&answer.body);
    format!("status {}, \"{detail}\" ({kind})", answer.status)
}

/// Waits before the next look, for as long as the authority wants.
async fn rest(answer: &Answer, pause: &mut Duration) {
    let wanted = answer.field("Retry-After");
    let wanted = wanted.and_then(|seconds| seconds.trim().parse().ok());
    let wanted = wanted.map(Duration::from_secs);
    sleep(wanted.unwrap_or(*pause).min(PAUSE_MAX)).await;
    *pause = (*pause * 2).min(PAUSE_LAST);
}
