//! What a certificate is made of before it is known to be whole: certificate, chain, key and what is shown beside them.
//!
//! Files, and commands that replace one file after the other, give pieces; only [`Pieces::assemble`] makes a
//! [`Certificate`] of them, which can be presented.

use std::fmt;

use super::certificate::{self, CHAIN_MAX, Certificate, CertificateError, PrivateKey};

/// Longest response to staple, and longest list of timestamps, in bytes.
const EXTRA_BYTES_MAX: usize = 65_535;

/// What a name with this extension stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Certificate, chain and key.
    Pem,
    Key,
    Ocsp,
    Sct,
    Issuer,
}

impl Piece {
    /// The certificate's name, and what of it is meant: `site.pem.key` is the key of `site.pem`.
    pub fn of(name: &str) -> (&str, Self) {
        let known = [
            ("key", Self::Key),
            ("ocsp", Self::Ocsp),
            ("sctl", Self::Sct),
            ("issuer", Self::Issuer),
        ];
        let found = name.rsplit_once('.').and_then(|(stem, extension)| {
            let known = known.iter().find(|(known, _)| *known == extension);
            known.map(|(_, piece)| (stem, *piece))
        });
        found.unwrap_or((name, Self::Pem))
    }
}

/// The pieces of one certificate. Keys are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Its own certificate, then those that lead to an authority, in DER; empty: nothing is known yet.
    pub chain: Vec<Vec<u8>>,
    pub key: Option<PrivateKey>,
    /// An OCSP response to staple, in DER.
    pub ocsp: Option<Vec<u8>>,
    /// A list of signed certificate timestamps.
    pub sct: Option<Vec<u8>>,
    /// The certificate of the issuer, where it is not in the chain.
    pub issuer: Option<Vec<u8>>,
    /// The file that the chain was completed from.
    pub chain_file: Option<String>,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("chain", &self.chain.len())
            .field("key", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

impl From<&Certificate> for Pieces {
    fn from(certificate: &Certificate) -> Self {
        Self {
            chain: certificate.chain.clone(),
            key: Some(certificate.key.clone()),
            ocsp: certificate.ocsp.clone(),
            sct: certificate.sct.clone(),
            issuer: certificate.issuer.clone(),
            chain_file: certificate.chain_file.clone(),
        }
    }
}

impl Pieces {
    /// What a PEM text has: a certificate at least. Nothing of what was known before stays.
    ///
    /// # Errors
    /// When there is no certificate in it, or it is malformed.
    pub fn read(pem: &[u8]) -> Result<Self, CertificateError> {
        let (chain, key) = certificate::sections(pem)?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        if chain.len() > CHAIN_MAX {
            return Err(CertificateError::TooLong);
        }
        for certificate in &chain {
            certificate::parse(certificate)?;
        }
        Ok(Self {
            chain,
            key,
            ..Self::default()
        })
    }

    /// Replaces one piece by what a person sent: PEM, or base64 for what has no PEM form.
    ///
    /// # Errors
    /// When the text is not what it should be; then nothing has changed.
    pub fn replace(&mut self, piece: Piece, text: &str) -> Result<(), CertificateError> {
        match piece {
            Piece::Pem => *self = Self::read(text.as_bytes())?,
            Piece::Key => self.set_key(text.as_bytes())?,
            Piece::Issuer => self.set_issuer(text.as_bytes())?,
            Piece::Ocsp => self.ocsp = Some(decoded(text)?),
            Piece::Sct => self.sct = Some(decoded(text)?),
        }
        Ok(())
    }

    /// # Errors
    /// When there is no usable key in the text.
    pub fn set_key(&mut self, pem: &[u8]) -> Result<(), CertificateError> {
        let (_, key) = certificate::sections(pem)?;
        self.key = Some(key.ok_or_else(|| certificate::no_key(pem))?);
        Ok(())
    }

    /// # Errors
    /// When there is no certificate in the text.
    pub fn set_issuer(&mut self, pem: &[u8]) -> Result<(), CertificateError> {
        let (chain, _) = certificate::sections(pem)?;
        let issuer = chain.into_iter().next();
        let issuer = issuer.ok_or(CertificateError::NoCertificate)?;
        certificate::parse(&issuer)?;
        self.issuer = Some(issuer);
        Ok(())
    }

    /// Gives a certificate that comes without a chain the one of `chains` that begins with its issuer.
    pub fn complete<'a>(&mut self, chains: impl Iterator<Item = (&'a str, &'a [Vec<u8>])>) {
        let [own] = self.chain.as_slice() else {
            return;
        };
        let Ok(parsed) = certificate::parse(own) else {
            return;
        };
        let issuer = parsed.issuer().as_raw().to_vec();
        let begins = |(_, chain): &(&str, &[Vec<u8>])| {
            let first = chain
                .first()
                .and_then(|first| certificate::parse(first).ok());
            first.is_some_and(|first| first.subject().as_raw() == issuer)
        };
        let mut chains = chains;
        if let Some((file, chain)) = chains.find(begins) {
            self.chain.extend(chain.iter().take(CHAIN_MAX - 1).cloned());
            self.chain_file = Some(file.to_owned());
        }
    }

    /// Whether a key is there and belongs to another certificate.
    pub fn is_inconsistent(&self) -> bool {
        let (Some(own), Some(key)) = (self.chain.first(), &self.key) else {
            return false;
        };
        let parsed = certificate::parse(own);
        parsed.is_ok_and(|parsed| certificate::matching_kind(&parsed, key).is_err())
    }

    /// Puts the certificate together.
    ///
    /// # Errors
    /// What keeps it from being presented.
    pub fn assemble(self, name: &str) -> Result<Certificate, CertificateError> {
        let own = self.chain.first().ok_or(CertificateError::NoCertificate)?;
        let key = self.key.ok_or(CertificateError::NoKey)?;
        let parsed = certificate::parse(own)?;
        let kind = certificate::matching_kind(&parsed, &key)?;
        let names = certificate::names(&parsed);
        Ok(Certificate {
            name: name.to_owned(),
            key,
            kind,
            names,
            ocsp: self.ocsp,
            sct: self.sct,
            issuer: self.issuer,
            chain_file: self.chain_file,
            chain: self.chain,
        })
    }
}

/// What stands in base64, on as many lines as it likes.
fn decoded(text: &str) -> Result<Vec<u8>, CertificateError> {
    let packed: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let decoded = data_encoding::BASE64.decode(&packed);
    let decoded = decoded.map_err(|_| CertificateError::Encoding)?;
    match decoded.len() {
        1..=EXTRA_BYTES_MAX => Ok(decoded),
        _ => Err(CertificateError::Encoding),
    }
}
