//! Names of users and groups, remembered for a while.
//!
//! The databases may be on the network, and may not answer. So a name is looked up only when an entry asks for names, on a
//! blocking thread, and nobody has to wait for it: who comes back later finds what has been answered meanwhile. Each uid has
//! few look-ups at a time, as with the [lanes](crate::lanes), and all together have a bound, which leaves threads to the rest
//! of the agent when the databases hang.
//!
//! A name that is not answered is missing, and never another than was answered. The last answer stands in for one that does
//! not come, for some minutes, so that nobody loses an identity to a database that is slow for a moment.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::asked::{Asked, NoAnswer};
use crate::lanes::Lanes;
use crate::sys;

/// How long a name is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long it is believed that there is none. Shorter: it is what somebody is about to mend.
const BELIEVED_ABSENT: Duration = Duration::from_secs(10);
/// How long after it was answered a name stands in for an answer that does not come.
const STANDS_IN: Duration = Duration::from_secs(600);
/// How many are remembered.
const KEPT: usize = 4096;
/// How many are looked up at once for one uid.
const AT_ONCE: usize = 4;
/// How many are looked up at once for all: a quarter of the threads of a Tokio runtime on its defaults.
const AT_ONCE_IN_ALL: usize = 128;
/// How many may be due for one uid. Whoever has a thousand groups is answered a few at a time.
const DUE: usize = 64;

/// The machine's users and groups. Cloning shares what is remembered.
#[derive(Clone)]
pub(crate) struct Names(Arc<Shared>);

struct Shared {
    databases: Box<Databases>,
    known: Mutex<HashMap<Who, Known>>,
    /// Those that are being looked up, by the uid for whose processes.
    due: Mutex<HashMap<u32, HashMap<Who, Asked<Answer>>>>,
    lanes: Lanes,
    places: Arc<Semaphore>,
}

/// Asks the databases for a name. May take as long as the network does.
type Databases = dyn Fn(Who) -> io::Result<Option<String>> + Send + Sync;

/// Whose name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Who {
    User(u32),
    Group(u32),
}

/// A name, or that there is none.
pub(crate) type Name = Option<Arc<str>>;

type Answer = Result<Name, Arc<io::Error>>;

/// Why it is not known what the name is.
#[derive(Clone, Debug)]
pub(crate) enum NoName {
    /// No answer has come.
    Unanswered(NoAnswer),
    /// Too many names are being looked up for this user already.
    TooMany,
    /// The databases could not be asked.
    Failed(Arc<io::Error>),
}

#[derive(Debug)]
struct Known {
    name: Name,
    answered: Instant,
}

impl Names {
    /// Those that the C library knows of.
    pub(crate) fn new() -> Self {
        Self::from_databases(Who::look_up)
    }

    fn from_databases(
        databases: impl Fn(Who) -> io::Result<Option<String>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            databases: Box::new(databases),
            known: Mutex::default(),
            due: Mutex::default(),
            lanes: Lanes::new(AT_ONCE),
            places: Arc::new(Semaphore::new(AT_ONCE_IN_ALL)),
        }))
    }

    /// The name, or `None` if there is none, for a process of `asker`. Waits for the databases until `deadline`, but not longer
    /// than others have waited for the same already; they go on after that, and their answer is remembered.
    ///
    /// # Errors
    ///
    /// It is not known what the name is, and was not a few minutes ago.
    pub(crate) async fn of(&self, asker: u32, who: Who, deadline: Instant) -> Result<Name, NoName> {
        if let Some(name) = self.0.remembered(who, Known::is_believed) {
            return Ok(name);
        }
        let answer = match self.ask(asker, who) {
            Err(too_many) => Err(too_many),
            Ok(mut asked) => {
                let left = deadline.saturating_duration_since(Instant::now());
                match asked.within(left).await {
                    Err(none) => Err(NoName::Unanswered(none)),
                    Ok(answer) => answer.map_err(NoName::Failed),
                }
            }
        };
        answer.or_else(|none| self.0.remembered(who, Known::may_stand_in).ok_or(none))
    }

    /// Has the name looked up, unless that is under way for this uid. Nobody waits for what others ask.
    fn ask(&self, asker: u32, who: Who) -> Result<Asked<Answer>, NoName> {
        let mut due = lock(&self.0.due);
        let of_asker = due.entry(asker).or_default();
        if let Some(asked) = of_asker.get(&who) {
            return Ok(asked.clone());
        }
        if of_asker.len() >= DUE {
            return Err(NoName::TooMany);
        }
        let (tell, asked) = Asked::now();
        of_asker.insert(who, asked.clone());
        drop(due);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answer = shared.look_up(asker, who).await;
            if let Ok(name) = &answer {
                shared.remember(who, name.clone());
            }
            shared.is_done(asker, who);
            tell.give(answer);
        });
        Ok(asked)
    }
}

impl Shared {
    async fn look_up(self: &Arc<Self>, asker: u32, who: Who) -> Answer {
        let place = Arc::clone(&self.places).acquire_owned();
        let shared = Arc::clone(self);
        let looked_up = self
            .lanes
            .run_with(asker, place, move |_place| (shared.databases)(who));
        let name = looked_up.await.and_then(|name| name).map_err(Arc::new)?;
        Ok(name.map(Arc::from))
    }

    fn is_done(&self, asker: u32, who: Who) {
        let mut due = lock(&self.due);
        if let Some(of_asker) = due.get_mut(&asker) {
            of_asker.remove(&who);
            if of_asker.is_empty() {
                due.remove(&asker);
            }
        }
    }

    fn remembered(&self, who: Who, if_it: impl FnOnce(&Known, Instant) -> bool) -> Option<Name> {
        let known = lock(&self.known);
        let known = known.get(&who)?;
        if_it(known, Instant::now()).then(|| known.name.clone())
    }

    /// Remembers a name, in the place of the one that was answered longest ago if need be.
    fn remember(&self, who: Who, name: Name) {
        let answered = Instant::now();
        let mut known = lock(&self.known);
        if known.len() >= KEPT
            && !known.contains_key(&who)
            && let Some(oldest) = known
                .iter()
                .min_by_key(|(_, known)| known.believed_until())
                .map(|(who, _)| *who)
        {
            known.remove(&oldest);
        }
        known.insert(who, Known { name, answered });
    }
}

impl Known {
    fn believed_until(&self) -> Instant {
        self.answered
            + match self.name {
                Some(_) => BELIEVED,
                None => BELIEVED_ABSENT,
            }
    }

    fn is_believed(&self, now: Instant) -> bool {
        now < self.believed_until()
    }

    /// That there was no name says nothing of now.
    fn may_stand_in(&self, now: Instant) -> bool {
        self.name.is_some() && now < self.answered + STANDS_IN
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl fmt::Display for NoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(none) => none.fmt(f),
            Self::TooMany => f.write_str("waits for other names of this user's processes"),
            Self::Failed(error) => write!(f, "cannot be looked up: {error}"),
        }
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
pub(crate) mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Databases that answer each question when they are told to, and tell of each.
    pub(crate) struct Told {
        pub(crate) names: Names,
        pub(crate) asked: mpsc::UnboundedReceiver<Who>,
        answers: Arc<Semaphore>,
        out_of_order: Arc<Mutex<bool>>,
    }

    impl Told {
        pub(crate) fn new() -> Self {
            let (tell, asked) = mpsc::unbounded_channel();
            let answers = Arc::new(Semaphore::new(0));
            let out_of_order = Arc::new(Mutex::new(false));
            let (leave, broken) = (answers.clone(), out_of_order.clone());
            let runtime = tokio::runtime::Handle::current();
            let names = Names::from_databases(move |who| {
                let _nobody_listens = tell.send(who);
                let leave = runtime.block_on(leave.acquire());
                leave.map_err(io::Error::other)?.forget();
                if *lock(&broken) {
                    return Err(io::ErrorKind::HostUnreachable.into());
                }
                Ok(match who {
                    Who::User(uid) if uid >= 60_000 => None,
                    Who::User(uid) => Some(format!("user{uid}")),
                    Who::Group(gid) => Some(format!("group{gid}")),
                })
            });
            Self {
                names,
                asked,
                answers,
                out_of_order,
            }
        }

        pub(crate) fn answer(&self, questions: usize) {
            self.answers.add_permits(questions);
        }

        /// Waits for the answer.
        async fn of(&self, asker: u32, who: Who) -> Result<Option<String>, String> {
            let deadline = Instant::now() + Duration::from_millis(500);
            let name = self.names.of(asker, who, deadline).await;
            name.map(|name| name.as_deref().map(str::to_owned))
                .map_err(|none| none.to_string())
        }

        /// Has half a second pass. (By itself it does not, while there are threads at work.)
        async fn in_time(&self, asker: u32, who: Who) -> Result<Option<String>, String> {
            let pass = tokio::time::advance(Duration::from_millis(500));
            tokio::join!(biased; self.of(asker, who), pass).0
        }

        /// Until nobody is asked anything.
        async fn settle(&self) {
            while !lock(&self.names.0.due).is_empty() {
                tokio::task::yield_now().await;
            }
        }

        fn asked(&mut self) -> usize {
            std::iter::from_fn(|| self.asked.try_recv().ok()).count()
        }
    }

    const LATE: &str = "has not been answered yet";

    fn name(name: &str) -> Result<Option<String>, String> {
        Ok(Some(name.to_owned()))
    }

    #[tokio::test]
    async fn names_come_from_the_system() {
        let names = Names::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        for (who, want) in [
            (Who::User(0), Some("root")),
            (Who::Group(0), Some("root")),
            (Who::User(4_000_000_001), None),
        ] {
            let name = names.of(1, who, deadline).await.unwrap();
            assert_eq!(name.as_deref(), want, "{who}");
        }
        assert!(lock(&names.0.due).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_is_there_for_who_asks_again() {
        let mut told = Told::new();
        assert_eq!(told.in_time(1, Who::User(7)).await, Err(LATE.into()));
        // Somebody has waited long enough for it.
        assert_eq!(told.of(1, Who::User(7)).await, Err(LATE.into()));
        told.answer(1);
        told.settle().await;
        assert_eq!(told.of(1, Who::User(7)).await, name("user7"));
        assert_eq!(told.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_one_uid_waits_for_hold_up_no_other() {
        let mut told = Told::new();
        for gid in 0..100 {
            let why = told.in_time(1, Who::Group(gid)).await.unwrap_err();
            let many = "waits for other names of this user's processes";
            assert_eq!(why, if gid < 64 { LATE } else { many }, "{gid}");
        }
        for _ in 0..AT_ONCE {
            told.asked.recv().await.unwrap();
        }
        // Also one that the other waits for.
        for gid in [63, 200] {
            assert_eq!(told.in_time(2, Who::Group(gid)).await, Err(LATE.into()));
            assert_eq!(told.asked.recv().await, Some(Who::Group(gid)));
        }
        told.answer(usize::from(u16::MAX));
        told.settle().await;
        assert_eq!(told.of(2, Who::Group(200)).await, name("group200"));
        assert_eq!(told.of(1, Who::Group(62)).await, name("group62"));
        assert!(lock(&told.names.0.due).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_stands_in_for_one_that_does_not_come_but_not_for_long() {
        let mut told = Told::new();
        let (user, nobody) = (Who::User(7), Who::User(60_000));
        told.answer(2);
        assert_eq!(told.of(1, user).await, name("user7"));
        assert_eq!(told.of(1, nobody).await, Ok(None));
        tokio::time::advance(BELIEVED - Duration::from_secs(1)).await;
        assert_eq!(told.of(1, user).await, name("user7"), "believed");
        assert_eq!(told.asked(), 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(told.in_time(1, user).await, name("user7"), "late");
        assert_eq!(told.in_time(1, nobody).await, Err(LATE.into()));
        *lock(&told.out_of_order) = true;
        told.answer(2);
        told.settle().await;
        told.answer(1);
        assert_eq!(told.of(1, user).await, name("user7"), "not to be had");
        tokio::time::advance(STANDS_IN).await;
        told.answer(1);
        let why = told.of(1, user).await.unwrap_err();
        assert!(why.starts_with("cannot be looked up: "), "{why}");
        *lock(&told.out_of_order) = false;
        told.answer(1);
        assert_eq!(told.of(1, user).await, name("user7"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_memory_loses_the_oldest_alone() {
        let mut told = Told::new();
        told.answer(KEPT + 2);
        told.of(1, Who::Group(1)).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let newer = || (2..).map(Who::Group).take(KEPT);
        for who in newer() {
            told.of(1, who).await.unwrap();
        }
        assert_eq!(told.asked(), KEPT + 1);
        for who in newer() {
            told.of(1, who).await.unwrap();
        }
        assert_eq!(told.asked(), 0, "all others are there");
        told.of(1, Who::Group(1)).await.unwrap();
        assert_eq!(told.asked(), 1, "the oldest is not");
    }
}
