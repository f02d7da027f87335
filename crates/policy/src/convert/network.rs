//! Converters of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Row, pure};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "ipmask",
    usage: "MASK4[,MASK6]",
    doc: "The network an address belongs to; masks are lengths or addresses.",
    input: Type::Address,
    output: Some(Type::Address),
    read: |arguments, _| {
        let text = arguments.word("a mask for IPv4")?;
        let mask4 = mask(&text, 32, |bits| Ipv4Addr::from_bits(bits as u32).to_bits());
        let mask4 = match text.parse::<Ipv4Addr>() {
            Ok(mask) => Some(mask.to_bits()),
            Err(_) => mask4,
        };
        let wrong = |text: &str| arguments.invalid(format_args!("'{text}' is not a mask"));
        let mask4 = mask4.ok_or_else(|| wrong(&text))?;
        let text = arguments.clone().optional();
        let mask6 = match &text {
            None => None,
            Some(text) => Some(match text.parse::<Ipv6Addr>() {
                Ok(mask) => mask.to_bits(),
                Err(_) => mask(text, 128, |bits| bits).ok_or_else(|| wrong(text))?,
            }),
        };
        arguments.optional();
        pure(move |value| {
            let address = value.as_address()?;
            // What stands for an IPv4 address is masked as one.
            let masked = match (value.as_ipv4(), address) {
                (Some(address), _) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask4)),
                (None, IpAddr::V6(address)) => {
                    IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask6?))
                }
                (None, IpAddr::V4(_)) => return None,
            };
            Some(Value::Address(masked))
        })
    },
}];

/// A mask written as the number of its leading ones.
fn mask<T>(text: &str, width: u32, make: fn(u128) -> T) -> Option<T> {
    let length: u32 = text.parse().ok().filter(|length| *length <= width)?;
    let ones = u128::MAX.checked_shl(width - length).unwrap_or(0);
    let all = u128::MAX.checked_shr(128 - width).unwrap_or(u128::MAX);
    Some(make(ones & all))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn addresses_are_masked() {
        let bench = Bench::default();
        for (text, expected) in [
            ("ipv4(10.1.2.3),ipmask(24)", Some("10.1.2.0")),
            ("ipv4(10.1.2.3),ipmask(0)", Some("0.0.0.0")),
            ("ipv4(10.1.2.3),ipmask(32)", Some("10.1.2.3")),
            ("ipv4(10.1.2.3),ipmask(255.255.0.0)", Some("10.1.0.0")),
            ("ipv4(10.1.2.3),ipmask(255.0.255.0)", Some("10.0.2.0")),
            ("ipv6(2001:db8::1),ipmask(24,32)", Some("2001:db8::")),
            ("ipv6(2001:db8::1),ipmask(24)", None),
            (
                "ipv6(2001:db8:1:2::1),ipmask(24,ffff:ffff::)",
                Some("2001:db8::"),
            ),
            ("ipv6(::ffff:10.1.2.3),ipmask(24,64)", Some("10.1.2.0")),
            ("str(10.1.2.3),ipmask(24)", Some("10.1.2.0")),
            ("int(167838211),ipmask(8)", Some("10.0.0.0")),
            ("src,ipmask(24),concat(/24)", Some("192.0.2.0/24")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        for (text, part) in [
            ("src,ipmask", "lacks"),
            ("src,ipmask(33)", "not a mask"),
            ("src,ipmask(24,129)", "not a mask"),
            ("src,ipmask(24,64,1)", "too many"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
