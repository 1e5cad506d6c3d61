//! What checking a SPIFFE ID costs, beside the crate `spiffe`.
//!
//! ```text
//! cargo bench -p plastron-benches --bench id
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops at what it cannot do"
)]

use std::hint::black_box;

use plastron_benches::interleaved::Group;
use plastron_id::{SpiffeId, SpiffeIdRef};

/// 60 bytes.
const ID: &str = "spiffe://prod.example.org/ns/payments/sa/api-server-frontend";

fn main() {
    let theirs = |id: &str| spiffe::SpiffeId::new(id).unwrap();
    let borrowed = |id: &str| SpiffeIdRef::parse(id).unwrap().path().len();
    let owned = |id: &str| id.parse::<SpiffeId>().unwrap();

    Group::new("SPIFFE ID of 60 bytes")
        .row("spiffe: SpiffeId::new", || theirs(black_box(ID)))
        .row("borrowed", || borrowed(black_box(ID)))
        .row("owned", || owned(black_box(ID)))
        .row("floor: copied", || Box::<str>::from(black_box(ID)))
        .run();

    // So many that no branch predictor knows them by heart.
    let ids: Vec<String> = (0..1024).map(various).collect();
    let turn = || ids.iter().cycle();
    let (mut a, mut b, mut c) = (turn(), turn(), turn());
    Group::new("1,024 SPIFFE IDs of about 60 bytes in turn")
        .row("spiffe: SpiffeId::new", move || theirs(a.next().unwrap()))
        .row("borrowed", move || borrowed(b.next().unwrap()))
        .row("owned", move || owned(c.next().unwrap()))
        .run();

    let mut sizes = Group::new("borrowed, against size");
    for len in [20, 60, 250, 1000, 2048] {
        let id = of_len(len);
        sizes = sizes.row(format!("{len} bytes"), move || borrowed(black_box(&id)));
    }
    sizes.run();

    let mut hostile = Group::new("refused, 2,048 bytes or more");
    for (name, id) in [
        ("a megabyte", of_len(1 << 20)),
        ("wrong last byte", of_len(2047) + "%"),
        (
            "segments of one byte",
            "spiffe://a".to_owned() + &"/b".repeat(1018) + "/",
        ),
        (
            "a name that is too long",
            "spiffe://".to_owned() + &"a".repeat(2039),
        ),
    ] {
        hostile = hostile.row(name, move || {
            SpiffeIdRef::parse(black_box(&id)).map(|_| ()).unwrap_err()
        });
    }
    hostile.run();
}

/// IDs that differ in their bytes and in the lengths of their segments.
fn various(seed: usize) -> String {
    let names = [
        "api-server",
        "frontend",
        "db",
        "payments-v2",
        "x",
        "orders.cache",
    ];
    let name = |at: usize| names[seed / 7_usize.pow(at as u32) % names.len()];
    let id = format!(
        "spiffe://td{seed}.example.org/ns/{}/sa/{}",
        name(0),
        name(1)
    );
    let rest = 60_usize.saturating_sub(id.len() + 1);
    format!("{id}/{}", "n0de_".repeat(13).split_at(rest.max(1)).0)
}

/// An ID of this length with segments of ten bytes.
fn of_len(len: usize) -> String {
    let mut id = "spiffe://td".to_owned();
    while id.len() < len {
        id.push_str("/segment-9");
    }
    id.truncate(len);
    if id.ends_with('/') {
        id.pop();
        id.push('x');
    }
    id
}
