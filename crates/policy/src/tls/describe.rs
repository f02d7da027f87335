//! Certificates and revocation lists as text for people, in the form of HAProxy's `show ssl …` (management guide,
//! section 9.3). Private keys are no part of it.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::ocsp::CertificateId;
use super::{Pieces, certificate, x509};

/// What there is to know of a certificate and of the chain behind it; nothing when it cannot be taken apart.
pub(crate) fn chain(chain: &[Vec<u8>], chain_file: Option<&str>) -> String {
    let mut text = String::new();
    let Some(own) = chain.first() else {
        return text;
    };
    if let Some(file) = chain_file {
        let _ = writeln!(text, "Chain Filename: {file}");
    }
    text.push_str(&one(own));
    for parsed in chain[1..]
        .iter()
        .filter_map(|der| certificate::parse(der).ok())
    {
        let (subject, issuer) = (line(parsed.subject()), line(parsed.issuer()));
        let _ = writeln!(text, "Chain Subject: {subject}\nChain Issuer: {issuer}");
    }
    text
}

/// What there is to know of one certificate.
pub(crate) fn one(der: &[u8]) -> String {
    let Ok(parsed) = certificate::parse(der) else {
        return String::new();
    };
    let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    let validity = parsed.validity();
    let mut text = String::new();
    for (what, value) in [
        ("Serial", hexadecimal(&x509::serial(&parsed))),
        ("notBefore", moment(&validity.not_before)),
        ("notAfter", moment(&validity.not_after)),
        ("Subject Alternative Name", host_names(&parsed)),
        ("Algorithm", algorithm(&parsed)),
        ("SHA1 FingerPrint", hexadecimal(fingerprint.as_ref())),
        ("Subject", line(parsed.subject())),
        ("Issuer", line(parsed.issuer())),
    ] {
        let _ = writeln!(text, "{what}: {value}");
    }
    text
}

/// What there is to know of one list of revoked certificates.
pub(crate) fn revocation_list(der: &[u8]) -> String {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else {
        return String::new();
    };
    let version = list.version().map_or(0, |version| version.0) + 1;
    let identifier = list.signature_algorithm.algorithm.to_id_string();
    let next = list
        .next_update()
        .map_or(String::new(), |time| moment(&time));
    let mut text = format!(
        "Version {version}\nSignature Algorithm: {}\nIssuer: {}\nLast Update: {}\nNext Update: {next}\n",
        x509::long_algorithm(&identifier),
        line(list.issuer()),
        moment(&list.last_update()),
    );
    let mut revoked = list.iter_revoked_certificates().peekable();
    text.push_str(match revoked.peek() {
        Some(_) => "Revoked Certificates:\n",
        None => "No Revoked Certificates.\n",
    });
    for entry in revoked {
        let serial = hexadecimal(x509::magnitude(entry.raw_serial()));
        let date = moment(&entry.revocation_date);
        let _ = writeln!(
            text,
            "    Serial Number: {serial}\n        Revocation Date: {date}"
        );
    }
    text
}

/// The name of a certificate's OCSP response, as HAProxy shows it; `None` without a response or an issuer.
pub(crate) fn ocsp_key(pieces: &Pieces) -> Option<String> {
    pieces.ocsp.as_ref()?;
    CertificateId::of(pieces).map(|id| id.text())
}

/// The moments between which a certificate is valid, as text: from, to.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (String, String) {
    let validity = certificate.validity();
    (moment(&validity.not_before), moment(&validity.not_after))
}

fn line(name: &x509_parser::x509::X509Name<'_>) -> String {
    String::from_utf8_lossy(&x509::one_line(name)).into_owned()
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    data_encoding::HEXUPPER.encode(bytes)
}

/// As OpenSSL prints it: `Sep  7 14:01:20 2048 GMT`.
pub(super) fn moment(time: &ASN1Time) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let at = time.to_datetime();
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let (day, year) = (at.day(), at.year());
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

/// The alternative names that are names of hosts.
fn host_names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return String::new();
    };
    let mut text = String::new();
    for (index, name) in extension.value.general_names.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        if let GeneralName::DNSName(name) = name {
            let _ = write!(text, "DNS:{name}");
        }
    }
    text
}

/// The kind and the size of its key: `RSA2048`, `EC256`.
pub(super) fn algorithm(certificate: &X509Certificate<'_>) -> String {
    const CURVES: [(&str, usize); 3] = [
        ("1.2.840.10045.3.1.7", 256),
        ("1.3.132.0.34", 384),
        ("1.3.132.0.35", 521),
    ];
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let modulus = x509::magnitude(rsa.modulus);
            let unused = modulus.first().map_or(0, |first| first.leading_zeros());
            format!("RSA{}", modulus.len() * 8 - unused as usize)
        }
        Ok(PublicKey::EC(point)) => {
            let curve = key.algorithm.parameters.as_ref();
            let curve = curve.and_then(|curve| curve.clone().oid().ok());
            let curve = curve.map(|curve| curve.to_id_string());
            let known = CURVES
                .iter()
                .find(|(known, _)| curve.as_deref() == Some(*known));
            format!(
                "EC{}",
                known.map_or_else(|| point.key_size(), |(_, bits)| *bits)
            )
        }
        Ok(PublicKey::DSA(value)) => format!("DSA{}", x509::magnitude(value).len() * 8),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/");
        std::fs::read(format!("{folder}{name}")).expect("a certificate for tests")
    }

    #[test]
    fn certificates_are_described() {
        let site = certificate::authorities(&file("site.pem")).expect("PEM");
        let text = chain(&site, Some("/etc/ca.pem"));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("Chain Filename: /etc/ca.pem"));
        let names: Vec<_> = lines
            .map(|line| line.split_once(": ").expect("a value").0)
            .collect();
        assert_eq!(
            names,
            [
                "Serial",
                "notBefore",
                "notAfter",
                "Subject Alternative Name",
                "Algorithm",
                "SHA1 FingerPrint",
                "Subject",
                "Issuer"
            ]
        );
        assert!(text.contains("\nSubject Alternative Name: DNS:site.test, DNS:*.site.test\n"));
        assert!(text.contains("\nAlgorithm: EC256\n"), "{text}");
        let rsa = certificate::authorities(&file("rsa.pem")).expect("PEM");
        assert!(chain(&rsa, None).contains("\nAlgorithm: RSA2048\n"));
        assert_eq!(chain(&[], None), "");
        assert_eq!(one(b"no certificate"), "");
        assert_eq!(revocation_list(b"no list"), "");
    }
}
