//! Whatever is done to the file afterwards is found, and where.

use plastron_agent::audit::{Note, Place, Problem, Remark, Report, Verify};
use plastron_keys::{KeyBackend, KeyType};
use plastron_keys_aws_lc::AwsLc;

use crate::log::Log;

/// Lines 1 and 2 are `start` and `head`, 3 to 12 releases, 13 and 14 `stop` and `head`.
fn ten() -> Log {
    Log::with_releases(10)
}

fn found(report: &Report) -> Vec<(u64, Problem)> {
    report
        .findings
        .iter()
        .map(|finding| (finding.at.line, finding.problem.clone()))
        .collect()
}

fn vouched(report: &Report) -> u64 {
    report.vouched.as_ref().map_or(0, |vouched| vouched.seq)
}

#[test]
fn what_was_left_alone_is_vouched_for_to_the_end() {
    let log = ten();
    let report = log.verify();
    assert!(report.is_intact() && report.notes.is_empty());
    assert_eq!(
        (report.records, vouched(&report), report.unsigned),
        (14, 13, 0)
    );
    let vouched = report.vouched.unwrap();
    assert_eq!(vouched.at, Place { file: 0, line: 14 });
    assert!(vouched.time.starts_with("2026-08-01T"));
}

#[test]
fn each_tampering_is_found_where_it_is() {
    type Row = (
        &'static str,
        fn(&mut Vec<Vec<u8>>),
        Vec<(u64, Problem)>,
        u64,
    );
    let table: [Row; 11] = [
        (
            "a byte of a value",
            |lines| flip(&mut lines[4], b"/shop"),
            vec![(5, Problem::Changed { seq: 5 })],
            1,
        ),
        (
            "a byte of the hash",
            |lines| swap_hash_digit(&mut lines[4]),
            vec![
                (5, Problem::Changed { seq: 5 }),
                (6, Problem::Replaced { seq: 6 }),
            ],
            1,
        ),
        (
            "a byte that makes it no record",
            |lines| flip(&mut lines[4], b"\"kind\""),
            vec![(5, Problem::Unreadable)],
            1,
        ),
        (
            "a line taken out",
            |lines| drop(lines.remove(4)),
            vec![(5, Problem::Missing { first: 5, last: 5 })],
            1,
        ),
        (
            "three lines taken out",
            |lines| drop(lines.drain(4..7)),
            vec![(5, Problem::Missing { first: 5, last: 7 })],
            1,
        ),
        (
            "two lines swapped",
            |lines| lines.swap(4, 5),
            vec![(6, Problem::Misplaced { seq: 5, after: 6 })],
            1,
        ),
        (
            "a line copied",
            |lines| lines.insert(6, lines[4].clone()),
            vec![(7, Problem::Repeated { seq: 5 })],
            1,
        ),
        (
            "a line of somebody's own",
            |lines| lines.insert(4, b"{}\n".to_vec()),
            vec![(5, Problem::Unreadable)],
            1,
        ),
        (
            "the beginning cut",
            |lines| drop(lines.drain(..4)),
            vec![
                (1, Problem::BeginningCut { seq: 5 }),
                (10, Problem::UnknownKey { key: String::new() }),
            ],
            0,
        ),
        (
            "two lines joined",
            |lines| assert_eq!(lines[4].pop(), Some(b'\n')),
            vec![
                (5, Problem::Unreadable),
                (6, Problem::Missing { first: 6, last: 6 }),
            ],
            1,
        ),
        (
            "the head's signature",
            |lines| flip(&mut lines[1], b"\"signature\":\"MEU"),
            vec![],
            0,
        ),
    ];
    for (what, tamper, want, vouches) in table {
        let log = ten();
        let mut lines = log.lines();
        tamper(&mut lines);
        log.write(&lines);
        let report = log.verify();
        assert!(!report.is_intact(), "{what}");
        let mut found = found(&report);
        for (_, problem) in &mut found {
            if let Problem::UnknownKey { key } = problem {
                key.clear();
            }
        }
        if !want.is_empty() {
            assert_eq!(found, want, "{what}");
        }
        assert_eq!(vouched(&report), vouches, "{what}");
    }
}

/// Flips a bit in the last byte of `needle`.
fn flip(line: &mut [u8], needle: &[u8]) {
    // A signature begins in several ways; any byte of it will do.
    let found = line
        .windows(needle.len())
        .position(|window| window == needle);
    let at = found.map_or(line.len() / 2, |at| at + needle.len() - 1);
    line[at] ^= 1;
}

fn swap_hash_digit(line: &mut [u8]) {
    let at = line.len() - 4;
    line[at] = if line[at] == b'0' { b'1' } else { b'0' };
}

#[test]
fn any_flipped_byte_is_found() {
    let log = Log::with_releases(2);
    let lines = log.lines();
    for nth in 0..lines.len() {
        for at in (0..lines[nth].len()).step_by(7) {
            let mut changed = lines.clone();
            changed[nth][at] ^= 1;
            log.write(&changed);
            let report = log.verify();
            // The last newline is all that nothing vouches for.
            let last_newline = nth == lines.len() - 1 && at == lines[nth].len() - 1;
            assert_eq!(
                report.is_intact(),
                last_newline,
                "line {} byte {at}: {:?}",
                nth + 1,
                report.findings
            );
        }
    }
}

#[test]
fn a_record_rewritten_with_all_that_follow_is_found_by_the_signature() {
    let log = ten();
    // Another agent's chain in the place of this one's, but without its key: as an intruder would rebuild it.
    let other = ten();
    let (mut lines, theirs) = (log.lines(), other.lines());
    lines.truncate(2);
    lines.extend(theirs[2..].iter().cloned());
    log.write(&lines);
    let report = log.verify();
    let problems: Vec<Problem> = report
        .findings
        .into_iter()
        .map(|finding| finding.problem)
        .collect();
    assert!(
        matches!(
            &problems[..],
            [Problem::Replaced { seq: 3 }, Problem::UnknownKey { .. }]
        ),
        "{problems:?}"
    );
}

#[test]
fn a_chain_replaced_whole_is_found_with_the_key_from_before() {
    let (log, other) = (ten(), ten());
    log.write(&other.lines());
    assert!(
        log.verify().is_intact(),
        "by itself it is a chain like any other"
    );
    let report = Verify::new(AwsLc.algorithms())
        .key(log.public_key())
        .files(&[log.path()])
        .unwrap();
    assert!(
        found(&report)
            .iter()
            .all(|(_, problem)| matches!(problem, Problem::UnknownKey { .. }))
    );
    assert_eq!((report.findings.len(), report.vouched), (2, None));
    let report = Verify::new(AwsLc.algorithms())
        .key(other.public_key())
        .files(&[log.path()])
        .unwrap();
    assert!(report.is_intact());
}

#[test]
fn what_was_cut_after_the_last_head_cannot_be_found_but_what_is_left_tells_how_far_it_vouches() {
    let log = ten();
    let lines = log.lines();
    for kept in 3..13 {
        log.write(&lines[..kept]);
        let report = log.verify();
        assert!(report.is_intact());
        assert_eq!((vouched(&report), report.unsigned), (1, kept as u64 - 2));
    }
}

#[test]
fn a_torn_last_line_is_told_and_no_fault() {
    let log = ten();
    let lines = log.lines();
    let mut torn = lines[..6].to_vec();
    torn.push(lines[6][..30].to_vec());
    log.write(&torn);
    let report = log.verify();
    assert!(report.is_intact());
    assert_eq!(
        report.notes,
        [Note {
            at: Place { file: 0, line: 7 },
            remark: Remark::Torn
        }]
    );
    // Nor is it one when the agent has gone on behind it. In the middle without that it is.
    log.release(1);
    assert!(log.verify().is_intact());
    let mut lines = lines;
    lines[6].truncate(30);
    lines[6].push(b'\n');
    log.write(&lines);
    assert_eq!(found(&log.verify()), [(7, Problem::Unreadable)]);
}

#[test]
fn an_agent_without_a_key_that_stays_names_a_new_one_at_each_start() {
    let mut log = ten();
    log.key = std::sync::Arc::from(
        AwsLc.generate(KeyType::EcP256).unwrap() as Box<dyn plastron_keys::SigningKey>
    );
    log.release(1);
    let report = log.verify();
    assert!(report.is_intact());
    assert!(matches!(
        &report.notes[..],
        [Note {
            at: Place { line: 15, .. },
            remark: Remark::KeyChanged { .. }
        }]
    ));
    assert_eq!(vouched(&report), 18);
}

#[test]
fn an_empty_file_and_no_file_are_told_apart() {
    let log = Log::new();
    assert!(
        Verify::new(AwsLc.algorithms())
            .files(&[log.path()])
            .is_err()
    );
    log.write(&[]);
    let report = log.verify();
    assert_eq!(
        (report.records, report.vouched.clone(), report.is_intact()),
        (0, None, true)
    );
}
