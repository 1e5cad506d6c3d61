//! Figures of the libraries, without a socket.

use std::hint::black_box;
use std::time::Duration;

use plastron_keys::{KeyBackend, KeyType, verify};
use plastron_keys_aws_lc::AwsLc;

use crate::{Result, clock};

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

/// The median time of each, batches of them taking turns.
fn medians<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut samples = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (work, samples) in works.iter_mut().zip(&mut samples) {
            let began = clock::now();
            let mut count = 0;
            while clock::now() - began < Duration::from_millis(10) {
                for _ in 0..16 {
                    work();
                }
                count += 16;
            }
            samples.push((clock::now() - began) / count);
        }
    }
    samples.map(|samples| clock::Quantiles::of(samples).p50)
}
