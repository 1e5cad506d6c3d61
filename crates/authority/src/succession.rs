//! Keys of one kind, one after the other.

use std::time::SystemTime;

use plastron_mint::BACKDATE;

use crate::Policy;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Published in the bundle, not signing yet.
    Prepared,
    /// Signing.
    Active,
    /// No longer signing; in the bundle until what it signed has ended.
    Old,
}

/// A key in its place.
#[derive(Clone, Debug)]
pub struct Slot<K> {
    /// What the key is called: in logs, metrics, and in tokens that it signs.
    pub id: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends, and with it all that it signed.
    pub ends_at: SystemTime,
    /// The key.
    pub key: K,
}

/// When to ask again where there is nothing to wait for.
#[cfg(feature = "wit")]
const NO_END: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What the clock asks for next.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// Make a key and prepare it.
    Prepare,
    /// Activate the prepared key.
    Activate,
    /// Nothing before this moment.
    Wait(SystemTime),
}

/// Keys of one kind: at most one prepared, at most one active, any number of old ones.
#[derive(Clone, Debug)]
pub(crate) struct Succession<K> {
    slots: Vec<Slot<K>>,
}

impl<K> Succession<K> {
    pub(crate) fn new(slots: Vec<Slot<K>>) -> Self {
        Self { slots }
    }

    pub(crate) fn slots(&self) -> &[Slot<K>] {
        &self.slots
    }

    pub(crate) fn in_phase(&self, phase: Phase) -> Option<&Slot<K>> {
        self.slots.iter().find(|slot| slot.phase == phase)
    }

    /// Takes out what has ended. The clock alone decides, so that an agent that slept through a key's whole life forgets it.
    pub(crate) fn retire(&mut self, now: SystemTime) -> Vec<String> {
        let ended = self
            .slots
            .iter()
            .filter(|slot| slot.ends_at <= now)
            .map(|slot| slot.id.clone())
            .collect();
        self.slots.retain(|slot| slot.ends_at > now);
        ended
    }

    /// What `now` asks for, after [`Succession::retire`].
    pub(crate) fn need(&self, now: SystemTime) -> Need {
        let first_end = self.slots.iter().map(|slot| slot.ends_at).min();
        let wait = |due: SystemTime| Need::Wait(first_end.map_or(due, |end| end.min(due)));
        // A key that begins later than now was made while the clock was ahead: verifiers would not take it yet.
        let usable = |phase| {
            let slot = self.in_phase(phase)?;
            (slot.created_at <= now + BACKDATE).then_some(slot)
        };
        match (usable(Phase::Active), usable(Phase::Prepared)) {
            (None, None) => Need::Prepare,
            (None, Some(_)) => Need::Activate,
            (Some(active), None) => {
                let due = Policy::prepare_at(active.created_at, active.ends_at);
                if due <= now { Need::Prepare } else { wait(due) }
            }
            (Some(active), Some(_)) => {
                let due = Policy::activate_at(active.created_at, active.ends_at);
                if due <= now {
                    Need::Activate
                } else {
                    wait(due)
                }
            }
        }
    }

    /// What `now` asks for where no key is wanted: nothing until the next one ends.
    #[cfg(feature = "wit")]
    pub(crate) fn need_none(&self, now: SystemTime) -> Need {
        let first_end = self.slots.iter().map(|slot| slot.ends_at).min();
        Need::Wait(first_end.unwrap_or(now + NO_END))
    }

    /// Puts a new key in place, published from now on.
    pub(crate) fn prepare(&mut self, slot: Slot<K>) {
        self.slots.retain(|slot| slot.phase != Phase::Prepared);
        self.slots.push(slot);
    }

    /// Lets the prepared key sign. Returns its ID, if there was one.
    pub(crate) fn activate(&mut self) -> Option<String> {
        let next = self
            .slots
            .iter()
            .position(|slot| slot.phase == Phase::Prepared)?;
        for slot in &mut self.slots {
            if slot.phase == Phase::Active {
                slot.phase = Phase::Old;
            }
        }
        let slot = &mut self.slots[next];
        slot.phase = Phase::Active;
        Some(slot.id.clone())
    }
}
