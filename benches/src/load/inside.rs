//! Figures of the libraries, without a socket.

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use plastron_attest_unix::release_free_memory;
use plastron_entry::{EntryIndex, RegistrationEntry, Selectors};
use plastron_keys::{KeyBackend, KeyType, verify};
use plastron_keys_aws_lc::AwsLc;

use crate::report::{Figure, Reach, Report};
use crate::{Result, clock, target};

/// Bytes of a certificate that are signed, about.
const MESSAGE: [u8; 600] = [7; 600];
const ROUNDS: usize = 15;

/// One P-256 verification by aws-lc-rs.
pub(crate) fn verification() -> Result<Duration> {
    let key = AwsLc.generate(KeyType::EcP256)?;
    let signature = key.sign(&MESSAGE)?;
    let check = || {
        verify(
            AwsLc.algorithms(),
            key.algorithm(),
            key.public_key(),
            &MESSAGE,
            &signature,
        )
    };
    check()?;
    let [took] = medians([&mut || {
        let _ = black_box(check());
    }]);
    Ok(took)
}

/// How long it takes to find one caller's entries among `count`, and what each entry takes in memory.
pub(crate) fn matching(report: &mut Report, count: usize) -> Result<()> {
    let entry = |number: usize| -> Result<RegistrationEntry> {
        let id = format!("spiffe://example.org/ns/shop/service/{number}").parse()?;
        let path = format!("unix:path:/usr/lib/shop/service-{number}");
        let selectors = [
            format!("unix:uid:{}", 10_000 + number / 3),
            "unix:group:shop".to_owned(),
            path,
        ];
        Ok(RegistrationEntry::builder(id, selectors_of(&selectors)?).build()?)
    };
    // What earlier work has freed would be used again, and not be seen.
    release_free_memory();
    let before = target::own_memory()?;
    let began = clock::now();
    let index = EntryIndex::new((0..count).map(entry).collect::<Result<Vec<_>>>()?);
    let built = clock::now() - began;
    let each = target::own_memory()?
        .anonymous
        .saturating_sub(before.anonymous) as f64
        / count as f64;
    let number = count / 2;
    let caller = selectors_of(&[
        format!("unix:uid:{}", 10_000 + number / 3),
        "unix:gid:500".to_owned(),
        "unix:group:shop".to_owned(),
        "unix:supplementary_group:staff".to_owned(),
        format!("unix:path:/usr/lib/shop/service-{number}"),
    ])?;
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    if index.matching(&caller, now).len() != 1 {
        return Err("the caller matches one entry".into());
    }
    let [took] = medians([&mut || drop(black_box(index.matching(&caller, now)))]);
    let figure = |figure| vec![Some(figure)];
    let limit = Reach::AtMost(Figure::Time(Duration::from_micros(20)));
    report.row(
        format!("match one caller among {count} entries"),
        figure(Figure::Time(took)),
        limit,
    );
    report.row(
        "… memory per entry",
        figure(Figure::KiB(each)),
        Reach::AtMost(Figure::KiB(1.0)),
    );
    report.row(
        "… index built in",
        figure(Figure::Time(built)),
        Reach::AtMost(Figure::Time(Duration::from_secs(1))),
    );
    Ok(())
}

fn selectors_of(texts: &[String]) -> Result<Selectors> {
    let mut selectors = Selectors::default();
    for text in texts {
        selectors.insert(text.parse()?);
    }
    Ok(selectors)
}

/// The median CPU time of each, batches of them taking turns.
fn medians<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut samples = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (work, samples) in works.iter_mut().zip(&mut samples) {
            let (began, ran) = (clock::now(), thread_time());
            let mut count = 0;
            while clock::now() - began < Duration::from_millis(10) {
                for _ in 0..16 {
                    work();
                }
                count += 16;
            }
            samples.push((thread_time() - ran) / count);
        }
    }
    samples.map(|samples| clock::Quantiles::of(samples).p50)
}

/// CPU time of this thread so far, in the kernel's nanoseconds: what else the machine does is not in it.
fn thread_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(first.unwrap_or_default())
}
