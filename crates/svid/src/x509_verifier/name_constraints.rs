//! Which names certificates below an authority may carry.
//!
//! Constraints on URIs, DNS names, IP addresses and, where they permit, distinguished names are honoured. A constraint of
//! another type refuses every name of that type, since one that is not understood must not be passed over. Spec: RFC 5280
//! §4.2.1.10, X509-SVID §4.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plastron_bundle::certificate::{Certificate, GeneralName, NameConstraints};

use super::PathError;
use super::path::Budget;

/// Why a name may not stand below an authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NameConstraintError {
    /// A name lies in none of the subtrees that are permitted for its type (X509-26).
    #[error("a name is not permitted")]
    NotPermitted,
    /// A name lies in a subtree that is excluded (X509-26).
    #[error("a name is excluded")]
    Excluded,
    /// URIs are constrained, and the host of one looks like an IP address (X509-27).
    #[error("the host of a URI looks like an IP address")]
    IpHost,
    /// A constrained name, or a constraint, is not what its type says (X509-25).
    #[error("a malformed name or constraint")]
    Malformed,
    /// Names of this type cannot be judged here (X509-26).
    #[error("a constraint of a type that is not supported")]
    Unsupported,
}

/// Checks all names of a certificate, its subject included.
pub(super) fn check(
    constraints: &NameConstraints<'_>,
    certificate: &Certificate<'_>,
    budget: &mut Budget,
) -> Result<(), PathError> {
    let subject =
        (!certificate.subject_is_empty()).then(|| GeneralName::Directory(certificate.subject()));
    for name in certificate.subject_alt_names().chain(subject) {
        check_name(constraints, name, budget)?;
    }
    Ok(())
}

/// By the type of the name (X509-26, X509-28).
fn check_name(
    constraints: &NameConstraints<'_>,
    name: GeneralName<'_>,
    budget: &mut Budget,
) -> Result<(), PathError> {
    for base in constraints.excluded() {
        budget.spend_name_comparison(base.content().len() + name.content().len())?;
        if base.number() == name.number() && is_excluded(base, name)? {
            return Err(NameConstraintError::Excluded.into());
        }
    }
    let mut is_constrained = false;
    for base in constraints.permitted() {
        budget.spend_name_comparison(base.content().len() + name.content().len())?;
        if base.number() == name.number() {
            is_constrained = true;
            if is_within(base, name)? {
                return Ok(());
            }
        }
    }
    if is_constrained {
        return Err(NameConstraintError::NotPermitted.into());
    }
    Ok(())
}

/// Whether any of what `name` stands for lies in the subtree of `base`.
fn is_excluded(base: GeneralName<'_>, name: GeneralName<'_>) -> Result<bool, NameConstraintError> {
    match (base, name) {
        // A wildcard stands for names that are excluded although it is not itself.
        (GeneralName::Dns(base), GeneralName::Dns(name)) => {
            let name = dns_name(name)?;
            let base = dns_base(base)?;
            let covers = name
                .strip_prefix(b"*.")
                .is_some_and(|parent| is_dns_within(parent, base));
            Ok(covers || is_dns_within(base, name))
        }
        // Names that differ as bytes may be equal under the rules of X.520, which nobody follows.
        (GeneralName::Directory(_), GeneralName::Directory(_)) => {
            Err(NameConstraintError::Unsupported)
        }
        _ => is_within(base, name),
    }
}

/// Whether `name` lies in the subtree of `base`, which has the same type.
fn is_within(base: GeneralName<'_>, name: GeneralName<'_>) -> Result<bool, NameConstraintError> {
    match (base, name) {
        (GeneralName::Uri(base), GeneralName::Uri(uri)) => {
            Ok(is_host_within(host_base(base)?, host(uri)?))
        }
        (GeneralName::Dns(base), GeneralName::Dns(name)) => {
            Ok(is_dns_within(dns_base(base)?, dns_name(name)?))
        }
        (GeneralName::Ip(base), GeneralName::Ip(address)) => is_ip_within(base, address),
        (GeneralName::Directory(base), GeneralName::Directory(name)) => {
            Ok(rdn_sequence(name).starts_with(rdn_sequence(base)))
        }
        _ => Err(NameConstraintError::Unsupported),
    }
}

/// The host of a URI, which must be a name.
fn host(uri: &[u8]) -> Result<&[u8], NameConstraintError> {
    let scheme_end = find(uri, b':').ok_or(NameConstraintError::Malformed)?;
    let authority = uri[scheme_end..]
        .strip_prefix(b"://")
        .ok_or(NameConstraintError::Malformed)?;
    let end = authority
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(authority.len());
    let authority = &authority[..end];
    let host_and_port = find(authority, b'@').map_or(authority, |at| &authority[at + 1..]);
    let host_end = find(host_and_port, b':').unwrap_or(host_and_port.len());
    let host = &host_and_port[..host_end];
    if host_and_port.first() == Some(&b'[') || looks_like_ipv4(host) {
        return Err(NameConstraintError::IpHost);
    }
    if host.is_empty() || !host.iter().all(is_name_byte) {
        return Err(NameConstraintError::Malformed);
    }
    Ok(host)
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// Four groups of digits, whether or not each stays below 256 (X509-27).
fn looks_like_ipv4(host: &[u8]) -> bool {
    let mut groups = 0;
    host.split(|byte| *byte == b'.').all(|group| {
        groups += 1;
        !group.is_empty() && group.iter().all(u8::is_ascii_digit)
    }) && groups == 4
}

/// What a trust domain name may have, upper case besides.
fn is_name_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// A constraint on hosts: a name, or a dot and a name. Anything else, a whole URI say, is a mistake of the issuer's that
/// must not come to permit everything, nor to exclude nothing.
fn host_base(base: &[u8]) -> Result<&[u8], NameConstraintError> {
    let name = base.strip_prefix(b".").unwrap_or(base);
    if name.is_empty() || name.starts_with(b".") || !name.iter().all(is_name_byte) {
        return Err(NameConstraintError::Malformed);
    }
    Ok(base)
}

/// Without a dot in front exactly that host; with one, hosts that have labels in front of it (X509-26).
fn is_host_within(base: &[u8], host: &[u8]) -> bool {
    if base.starts_with(b".") {
        host.len() > base.len() && ends_with_ignoring_case(host, base)
    } else {
        host.eq_ignore_ascii_case(base)
    }
}

fn dns_name(name: &[u8]) -> Result<&[u8], NameConstraintError> {
    let labels = name.strip_prefix(b"*.").unwrap_or(name);
    let is_malformed = labels.is_empty()
        || labels.starts_with(b".")
        || labels.ends_with(b".")
        || !labels.iter().all(is_name_byte);
    if is_malformed {
        return Err(NameConstraintError::Malformed);
    }
    Ok(name)
}

/// A constraint on DNS names: a name, or nothing, which all names lie in. A dot in front is not of RFC 5280, and what it
/// would mean differs from verifier to verifier.
fn dns_base(base: &[u8]) -> Result<&[u8], NameConstraintError> {
    if base.starts_with(b".") || base.ends_with(b".") || !base.iter().all(is_name_byte) {
        return Err(NameConstraintError::Malformed);
    }
    Ok(base)
}

/// The name itself, or it with labels in front.
fn is_dns_within(base: &[u8], name: &[u8]) -> bool {
    if base.is_empty() || name.len() == base.len() {
        return base.is_empty() || name.eq_ignore_ascii_case(base);
    }
    ends_with_ignoring_case(name, base) && name[name.len() - base.len() - 1] == b'.'
}

fn ends_with_ignoring_case(name: &[u8], end: &[u8]) -> bool {
    name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// An address under an address and a mask, which must be ones followed by zeros.
fn is_ip_within(base: &[u8], address: &[u8]) -> Result<bool, NameConstraintError> {
    if !base.len().is_multiple_of(2) {
        return Err(NameConstraintError::Malformed);
    }
    let (network, mask) = base.split_at(base.len() / 2);
    let (network, mask, address) = (ip_bits(network)?, ip_bits(mask)?, ip_bits(address)?);
    if mask.bits.leading_ones() + mask.bits.trailing_zeros() != 128 {
        return Err(NameConstraintError::Malformed);
    }
    let is_same_family = network.is_v4 == address.is_v4;
    Ok(is_same_family && network.bits & mask.bits == address.bits & mask.bits)
}

/// An address, or a mask, as high bits; those of IPv4 are followed by zeros.
struct IpBits {
    bits: u128,
    is_v4: bool,
}

fn ip_bits(octets: &[u8]) -> Result<IpBits, NameConstraintError> {
    let address = if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        IpAddr::V4(Ipv4Addr::from(octets))
    } else if let Ok(octets) = <[u8; 16]>::try_from(octets) {
        IpAddr::V6(Ipv6Addr::from(octets))
    } else {
        return Err(NameConstraintError::Malformed);
    };
    Ok(match address {
        IpAddr::V4(address) => IpBits {
            bits: u128::from(address.to_bits()) << 96,
            is_v4: true,
        },
        IpAddr::V6(address) => IpBits {
            bits: address.to_bits(),
            is_v4: false,
        },
    })
}

/// The relative names of a distinguished name, without tag and length around them.
fn rdn_sequence(name: &[u8]) -> &[u8] {
    let header = match name {
        [_, 0x82, ..] => 4,
        [_, 0x81, ..] => 3,
        _ => 2,
    };
    &name[header..]
}
