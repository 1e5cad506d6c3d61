//! Which DNS names may stand beside a SPIFFE ID.

/// Whether `name` is a host name, perhaps with a wildcard as its first label: letters, digits and inner hyphens.
///
/// Spec: RFC 5280 §4.2.1.6 ("preferred name syntax"), RFC 1034 §3.5, RFC 1123 §2.1.
pub(crate) fn is_dns_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253 && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (1..=63).contains(&label.len())
        && label.as_bytes().iter().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_host_names_only() {
        let long = "a".repeat(63);
        let longest = [&*long, &long, &long, &"b".repeat(61)].join(".");
        assert_eq!(longest.len(), 253);
        for name in [
            "a",
            "cart.internal",
            "*.example.org",
            "xn--bcher-kva.example",
            "1.2.3.4",
            &long,
            &longest,
        ] {
            assert!(is_dns_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "*",
            "*.",
            "a.",
            ".a",
            "a..b",
            "a.*.b",
            "*a.b",
            "-a",
            "a-",
            "a_b",
            "a b",
            "a\0",
            "bücher.example",
            "https://a",
            &format!("{long}a"),
            &format!("{longest}c"),
        ] {
            assert!(!is_dns_name(name), "{name:?}");
        }
    }
}
