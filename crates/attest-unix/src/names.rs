//! Names of users and groups, remembered for a while.
//!
//! The databases may be on the network. A name is looked up only when an entry asks for names, on a blocking thread, by one
//! caller at a time for all that want it, and only few names at once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::sys;

/// How long a name is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long it is believed that there is none. Shorter: it is what somebody is about to mend.
const BELIEVED_ABSENT: Duration = Duration::from_secs(10);
/// How many are remembered.
const KEPT: usize = 4096;
/// How many are looked up at once.
const AT_ONCE: usize = 4;

/// The machine's users and groups.
#[derive(Debug)]
pub(crate) struct Names {
    known: Mutex<HashMap<Who, Known>>,
    under_way: Mutex<HashMap<Who, Arc<LookUp>>>,
    turns: Arc<Semaphore>,
}

/// Whose name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Who {
    User(u32),
    Group(u32),
}

type Name = Option<Arc<str>>;
type LookUp = OnceCell<Name>;

#[derive(Debug)]
struct Known {
    name: Name,
    until: Instant,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            known: Mutex::default(),
            under_way: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The name, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// The databases could not be asked.
    pub(crate) async fn of(&self, who: Who) -> io::Result<Name> {
        if let Some(known) = lock(&self.known).get(&who)
            && Instant::now() < known.until
        {
            return Ok(known.name.clone());
        }
        let look_up = Arc::clone(lock(&self.under_way).entry(who).or_default());
        let name = look_up
            .get_or_try_init(async || {
                let turns = Arc::clone(&self.turns);
                let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
                let name = spawn_blocking(move || {
                    let name = who.look_up();
                    drop(turn);
                    name
                })
                .await
                .map_err(io::Error::other)??
                .map(Arc::from);
                self.remember(who, &name);
                Ok::<Name, io::Error>(name)
            })
            .await
            .cloned();
        let mut under_way = lock(&self.under_way);
        if under_way
            .get(&who)
            .is_some_and(|other| Arc::ptr_eq(other, &look_up))
        {
            under_way.remove(&who);
        }
        name
    }

    fn remember(&self, who: Who, name: &Name) {
        let now = Instant::now();
        let mut known = lock(&self.known);
        if known.len() >= KEPT {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= KEPT {
            known.clear();
        }
        let believed = if name.is_some() {
            BELIEVED
        } else {
            BELIEVED_ABSENT
        };
        let name = name.clone();
        known.insert(
            who,
            Known {
                name,
                until: now + believed,
            },
        );
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Group(gid) => write!(f, "gid {gid}"),
        }
    }
}

impl Who {
    fn look_up(self) -> io::Result<Option<String>> {
        match self {
            Self::User(uid) => sys::user_name(uid),
            Self::Group(gid) => sys::group_name(gid),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_come_from_the_system_and_are_remembered() {
        let names = Names::new();
        assert_eq!(
            names.of(Who::User(0)).await.unwrap().as_deref(),
            Some("root")
        );
        assert_eq!(
            names.of(Who::Group(0)).await.unwrap().as_deref(),
            Some("root")
        );
        assert_eq!(names.of(Who::User(4_000_000_001)).await.unwrap(), None);
        assert!(names.under_way.lock().unwrap().is_empty());
        // Remembered, so nobody has to look.
        names.turns.close();
        assert!(names.of(Who::User(0)).await.unwrap().is_some());
        assert_eq!(names.of(Who::User(4_000_000_001)).await.unwrap(), None);
        assert!(names.of(Who::Group(1)).await.is_err());
    }
}
