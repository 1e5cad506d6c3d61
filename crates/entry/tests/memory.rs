//! What entries and their index take of memory. Alone in its program, as it measures the whole of it.

#![cfg(target_os = "linux")]

use std::time::Duration;

use plastron_entry::{EntryIndex, RegistrationEntry, Selectors};

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse::<usize>()
                .ok()
        })
        .expect("a line of kibibytes")
        * 1024
}

fn entry(of: usize) -> RegistrationEntry {
    let selectors: Selectors = [
        format!("unix:uid:{}", 1000 + of % 100),
        format!("unix:path:/usr/lib/shop/service-{of}"),
        format!("unix:supplementary_group:group-{}", of % 500),
    ]
    .iter()
    .map(|text| text.parse().expect("a selector"))
    .collect();
    let id = format!("spiffe://example.org/shop/service-{of}")
        .parse()
        .expect("a SPIFFE ID");
    RegistrationEntry::builder(id, selectors)
        .x509_svid_ttl(Duration::from_secs(600))
        .dns_names([format!("service-{of}.internal")])
        .hint(format!("service-{of}"))
        .build()
        .expect("a valid entry")
}

#[test]
fn an_entry_takes_less_than_a_kibibyte_index_included() {
    const MANY: usize = 100_000;
    let before = resident();
    let index = EntryIndex::new((0..MANY).map(entry));
    let each = (resident() - before) / index.len();
    assert_eq!(index.len(), MANY);
    assert!(each <= 1024, "{each} bytes an entry");
    println!("{each} bytes an entry");
}
