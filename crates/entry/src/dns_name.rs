//! The syntax of DNS names that go into certificates.

/// Why a text is no DNS name for a certificate.
///
/// Spec: RFC 5280 §4.2.1.6, RFC 1034 §3.5, RFC 1123 §2.1; wildcards as in RFC 6125 §6.4.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsNameError {
    /// There is nothing, or a wildcard alone.
    #[error("name is empty")]
    Empty,
    /// The name has more than 253 bytes.
    #[error("name has more than 253 bytes")]
    TooLong,
    /// A label is empty or has more than 63 bytes. A trailing dot ends in an empty label.
    #[error("a label is empty or has more than 63 bytes")]
    LabelLength,
    /// A label holds something else than ASCII letters, digits and inner hyphens.
    #[error("a label holds something else than letters, digits and inner hyphens")]
    Label,
    /// The last label has digits alone, so this is an IP address.
    #[error("name is an IP address")]
    Address,
}

/// Checks a name. A whole left-most label may be a wildcard.
pub(crate) fn check(name: &str) -> Result<(), DnsNameError> {
    if name.len() > 253 {
        return Err(DnsNameError::TooLong);
    }
    let labels = name.strip_prefix("*.").unwrap_or(name);
    if labels.is_empty() {
        return Err(DnsNameError::Empty);
    }
    labels.split('.').try_for_each(check_label)?;
    let last = labels.rsplit('.').next().unwrap_or(labels);
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DnsNameError::Address);
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), DnsNameError> {
    if !(1..=63).contains(&label.len()) {
        return Err(DnsNameError::LabelLength);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !label.bytes().all(allowed) || label.starts_with('-') || label.ends_with('-') {
        return Err(DnsNameError::Label);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_pass_and_others_do_not() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for (name, want) in [
            ("cart", Ok(())),
            ("cart.internal", Ok(())),
            ("Cart.Internal", Ok(())),
            ("3com.xn--p1ai", Ok(())),
            ("*.shop.internal", Ok(())),
            ("a--b.c", Ok(())),
            (&longest, Ok(())),
            (&format!("{longest}a"), Err(DnsNameError::TooLong)),
            (&format!("{label}a.b"), Err(DnsNameError::LabelLength)),
            ("", Err(DnsNameError::Empty)),
            ("*.", Err(DnsNameError::Empty)),
            ("*", Err(DnsNameError::Label)),
            ("a.*.b", Err(DnsNameError::Label)),
            ("a*.b", Err(DnsNameError::Label)),
            ("cart.internal.", Err(DnsNameError::LabelLength)),
            (".internal", Err(DnsNameError::LabelLength)),
            ("a..b", Err(DnsNameError::LabelLength)),
            ("-a.b", Err(DnsNameError::Label)),
            ("a-.b", Err(DnsNameError::Label)),
            ("a_b.c", Err(DnsNameError::Label)),
            ("a b", Err(DnsNameError::Label)),
            ("cart.internal:443", Err(DnsNameError::Label)),
            ("bücher.example", Err(DnsNameError::Label)),
            ("a\0b", Err(DnsNameError::Label)),
            ("10.0.0.1", Err(DnsNameError::Address)),
        ] {
            assert_eq!(check(name), want, "{name:?}");
        }
    }
}
