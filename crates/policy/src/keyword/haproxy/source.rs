//! `source`: where connections to servers come from.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{address, value};
use crate::draft::{AddressDraft, ForeignDraft, SourceDraft};
use crate::model::source::Foreign;

pub(super) const USAGE: &str = "ADDRESS[:PORT[-LAST]] [interface NAME] [usesrc client|clientip|ADDRESS|hdr_ip(NAME[,OCCURRENCE])]";

/// Longest name of a network interface, in bytes (netdevice(7), less the final zero).
const INTERFACE_BYTES_MAX: usize = 15;

/// Reads the words behind `source` in a proxy.
pub(super) fn read(args: &mut Args<'_>) -> Result<SourceDraft, Diagnostic> {
    let address = address::source(args)?;
    behind(args, address, None)
}

/// Reads the words behind `source` of a server, which may have a range of ports.
pub(super) fn of_server(args: &mut Args<'_>) -> Result<SourceDraft, Diagnostic> {
    let (address, last_port) = address::source_range(args)?;
    behind(args, address, last_port)
}

fn behind(
    args: &mut Args<'_>,
    address: AddressDraft,
    last_port: Option<u16>,
) -> Result<SourceDraft, Diagnostic> {
    let mut source = SourceDraft {
        address,
        last_port,
        interface: None,
        foreign: None,
    };
    loop {
        if args.take("interface") {
            source.interface = Some(interface(args)?);
        } else if args.take("usesrc") {
            source.foreign = foreign(args)?;
        } else {
            return Ok(source);
        }
    }
}

fn interface(args: &mut Args<'_>) -> Result<String, Diagnostic> {
    let word = args.word("the name of a network interface")?;
    if word.text.is_empty() || word.text.len() > INTERFACE_BYTES_MAX {
        let message = format_args!("no network interface can be called '{}'", word.text);
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(word.text.clone())
}

fn foreign(args: &mut Args<'_>) -> Result<Option<ForeignDraft>, Diagnostic> {
    let Some(word) = args.peek() else {
        let message = "whose address connections are to come from is missing here";
        let help = "write 'client', 'clientip', an address or 'hdr_ip(NAME)'";
        return Err(Diagnostic::error(Kind::Invalid, args.end(), message).help(help));
    };
    let known = match word.text.as_str() {
        "client" => Foreign::Client,
        "clientip" => Foreign::ClientIp,
        text if text.starts_with("hdr_ip(") => {
            args.next();
            return Ok(of_header(word)?.map(ForeignDraft::Known));
        }
        _ => return Ok(Some(ForeignDraft::Address(address::source(args)?))),
    };
    args.next();
    Ok(Some(ForeignDraft::Known(known)))
}

/// `hdr_ip(NAME[,OCCURRENCE])`; the occurrence 0 switches it off.
fn of_header(word: &Word) -> Result<Option<Foreign>, Diagnostic> {
    let wrong = || {
        let message = format_args!(
            "'{}' is not 'hdr_ip(NAME)' or 'hdr_ip(NAME,OCCURRENCE)'",
            word.text
        );
        Diagnostic::error(Kind::Invalid, word.span, message)
    };
    let inner = word
        .text
        .strip_prefix("hdr_ip(")
        .and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(wrong)?;
    let (name, occurrence) = match inner.split_once(',') {
        Some((name, occurrence)) => (name, occurrence.trim().parse().map_err(|_| wrong())?),
        None => (inner, -1),
    };
    let name = name.trim();
    if !value::is_field_name(name) {
        return Err(wrong());
    }
    Ok((occurrence != 0).then(|| Foreign::Header {
        name: name.to_ascii_lowercase(),
        occurrence,
    }))
}
