//! Ids that are nobody's.

use std::sync::OnceLock;

/// The ids that stand for those without a number in the agent's user namespace. Anybody could have them.
pub(crate) struct Overflow {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What they are unless somebody changed it.
const USUAL: u32 = 65534;

impl Overflow {
    pub(crate) fn of_this_system() -> &'static Self {
        static OVERFLOW: OnceLock<Overflow> = OnceLock::new();
        OVERFLOW.get_or_init(|| {
            let read = |name: &str| {
                std::fs::read_to_string(format!("/proc/sys/kernel/{name}"))
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .unwrap_or(USUAL)
            };
            Self {
                uid: read("overflowuid"),
                gid: read("overflowgid"),
            }
        })
    }
}

/// Whether many users may have this uid as the agent sees it, so that having it proves nothing: the one that the kernel
/// shows for those without a number in the agent's user namespace, and `nobody`, who is that one on most systems.
pub fn is_uid_of_many(uid: u32) -> bool {
    uid == USUAL || uid == Overflow::of_this_system().uid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_for_those_without_a_number_is_nobodys() {
        let shown = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
        for (uid, want) in [
            (shown.trim().parse().unwrap(), true),
            (65534, true),
            (0, false),
            (1000, false),
        ] {
            assert_eq!(is_uid_of_many(uid), want, "{uid}");
        }
    }
}
