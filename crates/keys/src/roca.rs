//! RSA moduli that can be factored, because of how a widespread chip made its primes: CVE-2017-15361, "ROCA".
//!
//! Its primes are `k·M + (65537^a mod M)`, where `M` is the product of the first primes. So modulo each of those the
//! modulus is a power of 65537, which for other keys happens about once in 2²⁷ of them. Spec: M. Nemec et al., "The
//! Return of Coppersmith's Attack", 2017, §2.

/// Whether the big-endian modulus `n` carries the mark. Most moduli are seen not to after one pass over them.
pub(crate) fn is_marked(n: &[u8]) -> bool {
    PRIMES.iter().all(|primes| {
        let product: u64 = primes.iter().product();
        let remainder = n.iter().fold(0, |remainder, byte| {
            (remainder << 8 | u64::from(*byte)) % product
        });
        primes
            .iter()
            .all(|prime| is_power_of_65537(remainder % prime, *prime))
    })
}

fn is_power_of_65537(number: u64, prime: u64) -> bool {
    let mut power = 1;
    loop {
        if power == number {
            return true;
        }
        power = power * 65537 % prime;
        if power == 1 {
            return false;
        }
    }
}

/// The primes up to 167, in groups whose product leaves room for a byte in 64 bits.
const PRIMES: [&[u64]; 7] = [
    &[3, 5, 7, 11, 13, 17, 19, 23],
    &[29, 31, 37, 41, 43, 47, 53],
    &[59, 61, 67, 71, 73, 79],
    &[83, 89, 97, 101, 103, 107],
    &[109, 113, 127, 131, 137],
    &[139, 149, 151, 157],
    &[163, 167],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_65537_carry_the_mark_and_their_neighbours_do_not() {
        // (2^16 + 1)^128, the smallest such number of more than 2048 bits: multiplying shifts by two bytes and adds.
        let mut n = vec![1u8];
        for _ in 0..128 {
            let shifted = [&n[..], &[0, 0]].concat();
            let mut sum = vec![0; shifted.len()];
            let mut carry = 0;
            for i in (0..sum.len()).rev() {
                let own = i.checked_sub(2).map_or(0, |i| n[i]);
                carry += u16::from(shifted[i]) + u16::from(own);
                sum[i] = carry as u8;
                carry >>= 8;
            }
            assert_eq!(carry, 0);
            n = sum;
        }
        assert_eq!(n.len(), 257);
        assert!(is_marked(&n));
        for low in [0x03, 0x05, 0x81, 0xff] {
            *n.last_mut().unwrap() = low;
            assert!(!is_marked(&n), "{low:#x}");
        }
    }
}
