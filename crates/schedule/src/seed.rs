//! Chance that stays the same.

/// What an object's own deviation from a common schedule is drawn from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Seed(u64);

impl Seed {
    /// The seed of something that has a name or number of its own. Not secret, and no source of secrets.
    pub const fn from_bytes(bytes: &[u8]) -> Self {
        // FNV-1a.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        Self(hash)
    }

    /// A number from -1 up to, not including, 1. The same for the same seed.
    pub fn fraction(self) -> f64 {
        // The 53 bits that a float holds, as a fraction of 2^52.
        (mixed(self.0) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// The seed of the next draw, for what is drawn more than once.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(GOLDEN))
    }
}

/// The finalizer of SplitMix64: each bit of the input moves half of the output.
const fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The step of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_published_generator() {
        // SplitMix64 from state 0: 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4 (Vigna, splitmix64.c).
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mixed(Seed(0).next().0), 0x6e78_9e6a_a1b9_65f4);
        // FNV-1a of "a" (draft-eastlake-fnv).
        assert_eq!(Seed::from_bytes(b"a"), Seed(0xaf63_dc4c_8601_ec8c));
        assert_eq!(Seed::from_bytes(b""), Seed(0xcbf2_9ce4_8422_2325));
    }

    #[test]
    fn fractions_fill_their_range_evenly() {
        let mut tenths = [0_u32; 10];
        for serial in 0..10_000_u32 {
            let fraction = Seed::from_bytes(&serial.to_be_bytes()).fraction();
            assert!((-1.0..1.0).contains(&fraction));
            tenths[((fraction + 1.0) * 5.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (850..1150).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn a_seed_always_gives_the_same() {
        let seed = Seed::from_bytes(b"serial");
        assert_eq!(seed.fraction(), Seed::from_bytes(b"serial").fraction());
        assert_ne!(seed.fraction(), seed.next().fraction());
    }
}
