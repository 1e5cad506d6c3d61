//! What is recorded, by whom, and what of it survives.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use plastron_agent::{
    Clock,
    audit::{
        Audit, AuditError, AuditFileError, AuditOptions, Note, Place, Problem, Remark, Verify,
    },
    health::Health,
    metrics::Metrics,
};
use plastron_attest::PeerLost;
use plastron_keys::{KeyBackend, PublicKey, SignError, SignatureAlgorithm, SigningKey};
use plastron_keys_aws_lc::AwsLc;
use plastron_workload_api::Refusal;
use serde_json::json;

use crate::log::{Log, caller, credential, kinds, records, verify};

#[test]
fn a_release_is_recorded_with_the_credential_and_the_caller() {
    let log = Log::with_releases(1);
    let records = log.records();
    assert_eq!(
        kinds(&records),
        ["start", "head", "x509_svid", "stop", "head"]
    );
    let mut release = records[2].clone();
    let members = release.as_object_mut().unwrap();
    for chained in ["prev", "hash", "time"] {
        assert!(members.remove(chained).unwrap().is_string());
    }
    assert_eq!(
        release,
        json!({
            "seq": 3, "kind": "x509_svid",
            "spiffe_id": "spiffe://example.org/shop/cart", "entry": "cart",
            "serial": "0000000000000000", "expires_at": "2026-08-01T13:00:00Z",
            "pid": 0, "uid": 1000, "gid": 100, "groups": [100, 4242],
            "path": "/usr/bin/cart", "selectors": ["unix:uid:1000"],
        })
    );
    assert_eq!(records[0]["trust_domain"], "example.org");
    assert!(log.verify().is_intact());
}

// S-13: the number of records is the number of releases, also when everybody records at once.
#[test]
fn no_release_of_many_threads_is_missing() {
    const THREADS: u64 = 8;
    const EACH: u64 = 5_000;
    let log = Log::new();
    // More room than there are records: what is under test is that none gets lost on the way.
    let (audit, thread) = log
        .options()
        .room((THREADS * EACH) as usize)
        .heads(3_000, Duration::from_secs(10))
        .start()
        .unwrap();
    std::thread::scope(|scope| {
        for nth in 0..THREADS {
            let audit = audit.clone();
            scope.spawn(move || {
                let caller = caller(nth as i32);
                for serial in 0..EACH {
                    audit.released(&caller, &credential(nth * EACH + serial));
                }
            });
        }
    });
    thread.stop();
    let records = log.records();
    let serials: HashSet<&str> = records
        .iter()
        .filter_map(|record| record["serial"].as_str())
        .collect();
    assert_eq!(serials.len() as u64, THREADS * EACH);
    let report = log.verify();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!(
        (report.records, report.unsigned, report.lost),
        (records.len() as u64, 0, 0)
    );
    assert!(
        kinds(&records)
            .iter()
            .filter(|kind| **kind == "head")
            .count()
            > 2,
        "heads are signed on the way"
    );
}

#[test]
fn refusals_are_recorded_and_those_alike_are_counted() {
    let log = Log::new();
    let (audit, thread) = log.start();
    let refusal = Refusal::permission_denied("no registration entry matches this process");
    for _ in 0..100 {
        audit.refused(&caller(7), "FetchX509SVID", &refusal);
    }
    audit.refused(&caller(8), "FetchX509SVID", &refusal);
    audit.refused_uid(
        1001,
        "connect",
        &Refusal::unavailable("too many connections"),
    );
    audit.lost(&caller(9), &PeerLost::ForeignWriter { pid: 66 });
    // That a process ends is nobody's refusal.
    audit.lost(&caller(10), &PeerLost::Exited);
    audit.lost(&caller(11), &PeerLost::Unobservable);
    thread.stop();

    let records = log.records();
    let refusals: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "refusal")
        .collect();
    let of = |pid: i32| refusals.iter().filter(move |record| record["pid"] == pid);
    assert_eq!(
        of(7).count(),
        2,
        "the first at once, the others when the second is over or the agent stops"
    );
    assert_eq!(
        of(7)
            .map(|record| record["count"].as_u64().unwrap())
            .sum::<u64>(),
        100
    );
    let first = of(7).next().unwrap();
    assert_eq!(first["call"], "FetchX509SVID");
    assert_eq!(first["code"], "PermissionDenied");
    assert_eq!(
        first["reason"],
        "no registration entry matches this process"
    );
    assert_eq!(of(8).count(), 1);
    assert_eq!(
        of(9).next().unwrap()["reason"],
        PeerLost::ForeignWriter { pid: 66 }.to_string()
    );
    assert_eq!(of(9).next().unwrap()["code"], "PermissionDenied");
    assert_eq!(of(10).count(), 0);
    assert_eq!(of(11).next().unwrap()["code"], "Unavailable");
    assert!(
        refusals
            .iter()
            .any(|record| record["uid"] == 1001 && record["call"] == "connect")
    );
    assert!(log.verify().is_intact());
}

#[test]
fn the_chain_goes_on_over_a_restart() {
    let log = Log::with_releases(2);
    log.release(2);
    let report = log.verify();
    assert!(report.is_intact() && report.notes.is_empty(), "{report:?}");
    let records = log.records();
    assert_eq!(records.last().unwrap()["seq"], records.len());
}

#[test]
fn a_restart_after_a_crash_goes_on_after_a_torn_line() {
    let log = Log::with_releases(3);
    let lines = log.lines();
    let whole = lines.concat();
    for cut in 1..=lines.last().unwrap().len() {
        fs::write(log.path(), &whole[..whole.len() - cut]).unwrap();
        log.release(1);
        let report = log.verify();
        assert!(report.is_intact(), "cut {cut}: {:?}", report.findings);
        // Without its newline a line is still whole; without all of it nothing is torn.
        let torn = cut > 1 && cut < lines.last().unwrap().len();
        let torn: Vec<_> = torn.then_some(Remark::Torn).into_iter().collect();
        assert_eq!(
            report
                .notes
                .into_iter()
                .map(|note| note.remark)
                .collect::<Vec<_>>(),
            torn,
            "cut {cut}"
        );
    }
}

#[test]
fn what_is_recorded_after_a_rotation_is_in_the_new_file() {
    let log = Log::new();
    let (audit, thread) = log.start();
    for nth in 1..=50 {
        audit.released(&caller(1), &credential(1));
        fs::rename(log.path(), log.rotated(nth)).unwrap();
        audit.reopen();
        // However late the writer hears of it.
        audit.released(&caller(2), &credential(2));
        audit.flush();
        assert_eq!(
            kinds(&log.records()),
            ["open", "head", "x509_svid"],
            "{nth}"
        );
    }
    thread.stop();
}

#[test]
fn a_rotated_file_is_continued_in_the_new_one() {
    let log = Log::new();
    let (audit, thread) = log.start();
    audit.released(&caller(1), &credential(1));
    // Nothing was renamed: nothing happens.
    audit.reopen();
    audit.flush();
    for nth in [2, 1] {
        audit.released(&caller(2), &credential(2));
        audit.flush();
        fs::rename(log.path(), log.rotated(nth)).unwrap();
        audit.released(&caller(3), &credential(3));
        audit.reopen();
        audit.flush();
    }
    audit.released(&caller(4), &credential(4));
    thread.stop();

    assert_eq!(
        kinds(&records(&log.rotated(2))),
        [
            "start",
            "head",
            "x509_svid",
            "x509_svid",
            "x509_svid",
            "head"
        ]
    );
    assert_eq!(
        kinds(&records(&log.rotated(1))),
        ["open", "head", "x509_svid", "x509_svid", "head"]
    );
    assert_eq!(
        kinds(&log.records()),
        ["open", "head", "x509_svid", "stop", "head"]
    );
    let in_order = vec![log.rotated(2), log.rotated(1), log.path()];
    let mut paths = in_order.clone();
    for _ in 0..paths.len() {
        paths.rotate_left(1);
        let report = verify(&paths);
        assert!(report.is_intact() && report.notes.is_empty(), "{report:?}");
        assert_eq!(report.files, in_order);
        assert_eq!(report.unsigned, 0);
    }

    // Old files are deleted some day: that is told.
    let report = log.verify();
    assert!(report.is_intact());
    assert_eq!(
        report.notes,
        [Note {
            at: Place { file: 0, line: 1 },
            remark: Remark::Begins { seq: 12 }
        }]
    );
    // One from the middle is missed.
    let report = verify(&[log.rotated(2), log.path()]);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        report.findings[0].problem,
        Problem::Missing { first: 7, last: 11 }
    );
}

#[test]
fn a_file_that_is_truncated_in_place_by_whoever_copied_it_is_written_on() {
    let log = Log::new();
    let (audit, thread) = log.start();
    audit.released(&caller(1), &credential(1));
    audit.flush();
    fs::copy(log.path(), log.rotated(1)).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(log.path())
        .unwrap();
    audit.released(&caller(2), &credential(2));
    thread.stop();
    let report = verify(&[log.path(), log.rotated(1)]);
    assert!(report.is_intact() && report.notes.is_empty(), "{report:?}");
}

#[test]
fn a_full_disk_is_health_and_metrics_and_no_outage() {
    let log = Log::new();
    symlink("/dev/full", log.path()).unwrap();
    let (health, metrics) = (
        Arc::new(Health::new()),
        Metrics::new("example.org", std::time::SystemTime::UNIX_EPOCH),
    );
    let component = health.component("audit");
    let options = log
        .options()
        .health(component)
        .metrics(metrics.audit())
        .room(100);
    let (audit, thread) = options.start().unwrap();
    for nth in 0..1000 {
        audit.released(&caller(nth), &credential(nth as u64));
        if nth % 50 == 0 {
            audit.flush();
        }
    }
    audit.flush();
    let standing = health.standing();
    assert!(standing.ready);
    assert_eq!(standing.problems.len(), 1);
    assert!(
        standing.problems[0].contains("audit file")
            && standing.problems[0].contains("No space left"),
        "{standing:?}"
    );
    assert!(
        metrics
            .encode()
            .contains("plastron_agent_audit_failing 1\n")
    );

    // There is a disk with room again.
    fs::remove_file(log.path()).unwrap();
    audit.reopen();
    audit.flush();
    audit.released(&caller(1000), &credential(1000));
    thread.stop();
    assert!(health.standing().problems.is_empty());
    assert!(
        metrics
            .encode()
            .contains("plastron_agent_audit_failing 0\n")
    );

    let report = log.verify();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert!(report.lost > 0);
    let releases = log
        .records()
        .iter()
        .filter(|record| record["kind"] == "x509_svid")
        .count() as u64;
    assert_eq!(
        releases + report.lost,
        1001,
        "what waited was written, what did not fit was counted"
    );
    assert!(metrics.encode().contains(&format!(
        "plastron_agent_audit_lost_total {}\n",
        report.lost
    )));
}

#[test]
fn a_new_file_that_cannot_be_had_is_health_and_the_old_one_is_written_on() {
    let log = Log::new();
    let health = Health::new();
    let component = health.component("audit");
    let (audit, thread) = log.options().health(component).start().unwrap();
    audit.flush();
    assert!(health.standing().ready && health.standing().problems.is_empty());
    fs::rename(log.path(), log.rotated(1)).unwrap();
    fs::create_dir(log.path()).unwrap();
    audit.reopen();
    audit.released(&caller(1), &credential(1));
    audit.flush();
    let problems = health.standing().problems;
    assert!(
        matches!(&problems[..], [problem] if problem.contains("the old one is written on")),
        "{problems:?}"
    );
    assert_eq!(kinds(&records(&log.rotated(1))).last(), Some(&"x509_svid"));

    fs::remove_dir(log.path()).unwrap();
    audit.reopen();
    audit.flush();
    assert!(health.standing().problems.is_empty());
    thread.stop();
    let report = verify(&[log.path(), log.rotated(1)]);
    assert!(report.is_intact() && report.notes.is_empty(), "{report:?}");
}

#[test]
fn an_agent_that_stops_on_a_full_disk_stops() {
    let log = Log::new();
    symlink("/dev/full", log.path()).unwrap();
    let (audit, thread) = log.start();
    audit.released(&caller(1), &credential(1));
    thread.stop();
    // Whoever still records afterwards does no harm and never waits.
    audit.released(&caller(1), &credential(1));
    audit.flush();
}

#[test]
fn records_cut_while_the_agent_was_down_are_missed_when_it_kept_the_head() {
    let log = Log::new();
    let kept = log.dir.path().join("audit-head");
    let run = || {
        let (audit, thread) = log.options().head_file(kept.clone()).start().unwrap();
        audit.released(&caller(1), &credential(1));
        thread.stop();
    };
    run();
    let lines = log.lines();
    assert_eq!(lines.len(), 5);
    // Up to the first head: a chain that would do by itself.
    log.write(&lines[..2]);
    assert!(log.verify().is_intact());
    let head = plastron_agent::audit::read_head_file(&kept)
        .unwrap()
        .unwrap();
    assert_eq!(head.seq, 5);
    let asked = Verify::new(AwsLc.algorithms()).head(head);
    assert_eq!(
        asked.files(&[log.path()]).unwrap().findings[0].problem,
        Problem::Missing { first: 3, last: 5 }
    );
    run();
    let report = log.verify();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        report.findings[0].problem,
        Problem::Missing { first: 3, last: 5 }
    );

    // The file is gone altogether: the chain goes on, and does not look as if it began.
    fs::remove_file(log.path()).unwrap();
    run();
    assert_eq!(log.records()[0]["seq"], 11);
}

#[test]
fn what_cannot_be_an_audit_file_is_an_error_at_start() {
    let log = Log::new();
    fs::write(log.path(), "Dear diary,\n").unwrap();
    assert!(matches!(
        log.options().start(),
        Err(AuditError::File(AuditFileError::Foreign { .. }))
    ));
    fs::remove_file(log.path()).unwrap();
    let (_audit, _thread) = log.start();
    assert!(matches!(
        log.options().start(),
        Err(AuditError::File(AuditFileError::InUse { .. }))
    ));
}

#[test]
fn an_audit_that_is_off_records_nothing_and_waits_for_nothing() {
    let audit = Audit::off(Clock::system());
    audit.released(&caller(1), &credential(1));
    audit.refused(&caller(1), "connect", &Refusal::unavailable("no"));
    audit.reopen();
    audit.flush();
}

/// A key that has a bug, which shows at the second signature.
#[derive(Debug)]
struct Buggy {
    key: Arc<dyn SigningKey>,
    signed: AtomicBool,
}

impl SigningKey for Buggy {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        assert!(!self.signed.swap(true, Relaxed), "a bug");
        self.key.sign(message)
    }
}

#[test]
fn a_writer_that_panics_is_health_and_metrics_and_no_outage() {
    let log = Log::new();
    let health = Health::new();
    let metrics = Metrics::new("example.org", log.clock.now());
    let key = Buggy {
        key: log.key.clone(),
        signed: false.into(),
    };
    let (audit, thread) = AuditOptions::new(log.path(), Arc::new(key), "example.org")
        .clock(log.clock)
        .heads(1, Duration::from_secs(3600))
        .metrics(metrics.audit())
        .health(health.component("audit"))
        .start()
        .unwrap();
    audit.released(&caller(7), &credential(0));
    audit.flush();
    for nth in 1..4 {
        audit.released(&caller(7), &credential(nth));
        audit.flush();
    }
    let standing = health.standing();
    assert!(standing.ready);
    assert_eq!(
        standing.problems,
        [
            "audit: the thread that writes records has panicked, and nothing is recorded until the agent is restarted"
        ]
    );
    let page = metrics.encode();
    for series in ["audit_failing 1", "audit_lost_total 3"] {
        assert!(page.contains(series), "{series}: {page}");
    }
    thread.stop();
}
