//! Whether the agent works as it should: what its parts say of themselves, for whoever asks.
//!
//! A part that has [failed](Component::failed) or not [started](Health::component) makes the agent unready; one that is
//! [degraded](Component::degraded) does not, since the agent goes on serving with a full disk or a broken configuration
//! file. Both are problems, and named. [`HealthServer`] tells them over HTTP.

mod server;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::watch;

pub use self::server::{HealthServer, HealthServerError};

/// What the parts of an agent say of themselves.
#[derive(Debug)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    conditions: BTreeMap<&'static str, Condition>,
    ready: watch::Sender<bool>,
    reload: Option<Reload>,
    reloads: Reloads,
}

/// How many configurations were read, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) in_force: u64,
    pub(crate) refused: u64,
    pub(crate) last_in_force: Option<SystemTime>,
}

#[derive(Debug)]
enum Condition {
    Starting,
    Works,
    Degraded(String),
    Failed(String),
}

/// How loading the configuration went last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reload {
    /// When it was read.
    pub at: SystemTime,
    /// Why it is not in force; `None` when it is.
    pub error: Option<String>,
    /// What looked odd, a sentence each.
    pub warnings: Vec<String>,
}

/// How an agent stands at a moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// It serves.
    pub ready: bool,
    /// What is wrong, a sentence each, beginning with the part.
    pub problems: Vec<String>,
    /// How loading the configuration went last.
    pub reload: Option<Reload>,
}

impl Health {
    /// An agent without parts, which is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the agent is ready, now and as that changes.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.lock().ready.subscribe()
    }

    /// A part that says how it is. Until it does, the agent is not ready.
    pub fn component(&self, name: &'static str) -> Component {
        self.lock().set(name, Condition::Starting);
        Component {
            name,
            state: self.0.clone(),
        }
    }

    /// Says how loading the configuration went. What was in force stays so when it failed: a problem, no failure.
    pub fn reloaded(&self, reload: Reload) {
        let mut state = self.lock();
        if reload.error.is_none() {
            state.reloads.in_force += 1;
            state.reloads.last_in_force = Some(reload.at);
        } else {
            state.reloads.refused += 1;
        }
        state.reload = Some(reload);
    }

    /// How the agent stands.
    pub fn standing(&self) -> Standing {
        let state = self.lock();
        let mut problems = Vec::new();
        for (name, condition) in &state.conditions {
            match condition {
                Condition::Works => {}
                Condition::Degraded(what) | Condition::Failed(what) => {
                    problems.push(format!("{name}: {what}"));
                }
                Condition::Starting => problems.push(format!("{name}: not started yet")),
            }
        }
        let reload = state.reload.clone();
        if let Some(error) = reload.as_ref().and_then(|reload| reload.error.as_ref()) {
            problems.push(format!("configuration: not in force: {error}"));
        }
        Standing {
            ready: *state.ready.borrow(),
            problems,
            reload,
        }
    }

    pub(crate) fn reloads(&self) -> Reloads {
        self.lock().reloads
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            conditions: BTreeMap::new(),
            ready: watch::Sender::new(true),
            reload: None,
            reloads: Reloads::default(),
        })))
    }
}

impl State {
    fn set(&mut self, name: &'static str, condition: Condition) {
        self.conditions.insert(name, condition);
        let serves = |condition| matches!(condition, &Condition::Works | &Condition::Degraded(_));
        let ready = self.conditions.values().all(serves);
        self.ready
            .send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }
}

/// One part of an agent, as [`Health`] knows it.
#[derive(Clone)]
pub struct Component {
    name: &'static str,
    state: Arc<Mutex<State>>,
}

impl Component {
    /// It works.
    pub fn ok(&self) {
        self.set(Condition::Works);
    }

    /// Something is wrong, but the agent serves.
    pub fn degraded(&self, what: impl Into<String>) {
        self.set(Condition::Degraded(what.into()));
    }

    /// The agent cannot serve.
    pub fn failed(&self, what: impl Into<String>) {
        self.set(Condition::Failed(what.into()));
    }

    fn set(&self, condition: Condition) {
        lock(&self.state).set(self.name, condition);
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Component").field(&self.name).finish()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing that holds the lock leaves the state half changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_ready_once_every_part_serves_and_says_what_is_wrong_meanwhile() {
        let health = Health::new();
        let standing = || {
            let standing = health.standing();
            (standing.ready, standing.problems)
        };
        assert_eq!(standing(), (true, vec![]));
        let (audit, listener) = (health.component("audit"), health.component("listener"));
        assert_eq!(
            standing(),
            (
                false,
                vec![
                    "audit: not started yet".into(),
                    "listener: not started yet".into()
                ]
            )
        );
        audit.degraded("no space left on device");
        listener.ok();
        assert_eq!(
            standing(),
            (true, vec!["audit: no space left on device".into()])
        );
        let mut ready = health.ready();
        assert!(*ready.borrow_and_update());
        audit.degraded("no space left on device");
        assert!(!ready.has_changed().unwrap(), "it serves as before");
        listener.failed("socket is gone");
        assert!(!*ready.borrow_and_update());
        assert_eq!(
            standing(),
            (
                false,
                vec![
                    "audit: no space left on device".into(),
                    "listener: socket is gone".into()
                ]
            )
        );
        audit.ok();
        listener.ok();
        assert_eq!(standing(), (true, vec![]));
    }

    #[test]
    fn a_configuration_that_is_not_in_force_is_a_problem_and_no_failure() {
        let health = Health::new();
        let reload = Reload {
            at: SystemTime::UNIX_EPOCH,
            error: Some("line 3: unknown key".into()),
            warnings: vec![],
        };
        health.reloaded(reload.clone());
        let standing = health.standing();
        assert!(standing.ready);
        assert_eq!(
            standing.problems,
            ["configuration: not in force: line 3: unknown key"]
        );
        assert_eq!(standing.reload.as_ref(), Some(&reload));
        health.reloaded(Reload {
            error: None,
            ..reload
        });
        assert!(health.standing().problems.is_empty());
    }
}
