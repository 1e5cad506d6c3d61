//! Names in certificates, as people read them: `CN=cart, O=SPIFFE, C=US`. Spec: RFC 4514, for display alone.

/// The attributes that have short names.
const ATTRIBUTES: [(&[u8], &str); 8] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
];

/// The name in `der`, an RDNSequence; hex where it is something else. Empty for the empty name.
pub(crate) fn show(der: &[u8]) -> String {
    parse(der).unwrap_or_else(|| crate::report::hex(der))
}

fn parse(der: &[u8]) -> Option<String> {
    let (0x30, mut sets, []) = element(der)? else {
        return None;
    };
    let mut parts = Vec::new();
    while !sets.is_empty() {
        let (0x31, mut pairs, rest) = element(sets)? else {
            return None;
        };
        sets = rest;
        while !pairs.is_empty() {
            let (0x30, pair, rest) = element(pairs)? else {
                return None;
            };
            pairs = rest;
            let (0x06, kind, value) = element(pair)? else {
                return None;
            };
            let (_, text, []) = element(value)? else {
                return None;
            };
            let known = ATTRIBUTES.iter().find(|(oid, _)| *oid == kind);
            let kind = known.map_or_else(
                || format!("OID.{}", crate::report::hex(kind)),
                |(_, name)| (*name).to_owned(),
            );
            // What is printed comes from a stranger's certificate.
            let text = String::from_utf8_lossy(text).replace(|c: char| c.is_control(), "\u{fffd}");
            parts.push(format!("{kind}={text}"));
        }
    }
    // The most specific first, as RFC 4514 has it.
    parts.reverse();
    Some(parts.join(", "))
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])),
            rest.get(2..)?,
        ),
        _ => return None,
    };
    Some((tag, rest.get(..len)?, rest.get(len..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_with_the_most_specific_part_first() {
        let c_us = [
            0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 4, 6, 0x13, 2, b'U', b'S',
        ];
        let cn_a = [
            0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 4, 3, 0x0c, 1, b'a',
        ];
        let mut name = vec![0x30, 25];
        name.extend(c_us);
        name.extend(cn_a);
        assert_eq!(show(&name), "CN=a, C=US");
        assert_eq!(show(&[0x30, 0]), "");
        assert_eq!(
            show(&name[..20]),
            crate::report::hex(&name[..20]),
            "what is cut is shown raw"
        );
        *name.last_mut().unwrap() = 0x1b;
        assert!(
            !show(&name).contains('\u{1b}'),
            "no control characters on a terminal"
        );
    }
}
