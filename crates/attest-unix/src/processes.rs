//! The processes that are connected, and the look that is cast at them once a second.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use plastron_attest::{Peer, PeerLost};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::digest::Digests;
use crate::features::KernelFeatures;
use crate::lanes::Lanes;
use crate::names::Names;
use crate::peer::UnixPeer;
use crate::process::{NoFacts, Process, check_alive};
use crate::start_time::start_time;
use crate::status::Status;
use crate::sys::{self, Credentials};

/// How many looks at all facts of one uid's processes run at a time.
const LANE_WIDTH: usize = 4;
/// How many processes are looked at before others get their turn: a tenth of a millisecond.
const BATCH: usize = 64;
/// How many looks at all facts may be due while one is under way.
const OVERDUE: u32 = 3;

/// All processes that somebody holds: one record, with two descriptors, for each program image of each process, shared by
/// all its connections. Cloning shares the table.
#[derive(Clone, Debug)]
pub struct Processes(pub(crate) Arc<Table>);

/// How processes are looked at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProcessOptions {
    /// How long between two looks at processes that somebody waits to [lose](plastron_attest::PeerHandle::lost).
    pub look_every: Duration,
    /// Each so many looks, all facts are looked at. They are as old at most when a call rests on them.
    pub closely_every: u32,
    /// What the kernel offers.
    pub features: KernelFeatures,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(1),
            closely_every: 10,
            features: KernelFeatures::detect(),
        }
    }
}

impl ProcessOptions {
    /// Another interval between looks.
    #[must_use]
    pub const fn look_every(mut self, interval: Duration) -> Self {
        self.look_every = interval;
        self
    }

    /// Another number of looks from one at all facts to the next.
    #[must_use]
    pub const fn closely_every(mut self, looks: u32) -> Self {
        self.closely_every = looks;
        self
    }

    /// A weaker kernel.
    #[must_use]
    pub const fn features(mut self, features: KernelFeatures) -> Self {
        self.features = features;
        self
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self::new(ProcessOptions::default())
    }
}

impl Processes {
    /// A table without processes. Costs nothing while it has none.
    pub fn new(options: ProcessOptions) -> Self {
        Self::with_names(options, Names::new())
    }

    pub(crate) fn with_names(options: ProcessOptions, names: Names) -> Self {
        Self(Arc::new(Table {
            features: options.features,
            options,
            epoch: Instant::now(),
            held: Mutex::default(),
            watched: Mutex::default(),
            lanes: Lanes::new(LANE_WIDTH),
            closers: Lanes::new(1),
            digests: Digests::new(),
            names,
        }))
    }

    /// A process that is not connected, such as one to explain. Its [`spoken`](plastron_attest::PeerHandle::spoken) never
    /// completes.
    ///
    /// # Errors
    ///
    /// There is no such process, or its ids cannot be seen.
    pub fn peer_of_pid(&self, pid: i32) -> io::Result<Peer> {
        let pidfd = pidfd_of(pid)?;
        let ids = if self.0.features.pidfd_info {
            sys::pidfd_ids(pidfd.as_fd())?
        } else {
            Some(Status::read(pid)?.ids)
        };
        let ids = ids.ok_or(rustix::io::Errno::SRCH)?;
        let credentials = Credentials {
            pid,
            uid: ids.uid,
            gid: ids.gid,
        };
        let process = self.0.join(pid, ids.uid, pidfd);
        Ok(UnixPeer::of_process(credentials, process, Arc::clone(&self.0)).into_peer())
    }

    /// Looks at once at all processes that somebody waits to lose, as is done each second. Two system calls for each.
    pub fn look_now(&self) {
        for process in self.0.watched() {
            let _lost_is_said = process.check(self.0.features);
        }
    }

    /// Looks at once at all facts of all processes that somebody waits to lose, as is done each ten seconds.
    pub async fn look_closely_now(&self) {
        for process in self.0.watched() {
            let _lost_is_said = process.look_closely(&self.0).await;
        }
    }

    /// How many descriptors are held for processes of this uid, beside those of their connections. Connections that take
    /// long to close count.
    pub fn descriptors_of(&self, uid: u32) -> usize {
        let held = self.0.held();
        let [processes, closing] = [&held.of_uid, &held.closing_of_uid]
            .map(|counts| counts.get(&uid).copied().unwrap_or_default());
        2 * processes + closing
    }

    /// How many descriptors are held for all processes, beside those of their connections.
    pub fn descriptors(&self) -> usize {
        let held = self.0.held();
        2 * held.count + held.closing_of_uid.values().sum::<usize>()
    }
}

/// What the clones of [`Processes`] share.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) features: KernelFeatures,
    pub(crate) options: ProcessOptions,
    pub(crate) lanes: Lanes,
    closers: Lanes,
    pub(crate) digests: Digests,
    pub(crate) names: Names,
    epoch: Instant,
    held: Mutex<Held>,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Held {
    /// The newest image of each process.
    newest: HashMap<i32, Weak<Process>>,
    of_uid: HashMap<u32, usize>,
    count: usize,
    /// Connections that are being closed beside everything else.
    closing_of_uid: HashMap<u32, usize>,
}

#[derive(Debug, Default)]
struct Watched {
    /// By address.
    processes: HashMap<usize, Arc<Process>>,
    /// Somebody looks at them each second.
    sweeping: bool,
}

impl Table {
    /// The process that has `pid` and that `pidfd` holds, by the record of another connection if there is one that is good.
    pub(crate) fn join(self: &Arc<Self>, pid: i32, uid: u32, pidfd: OwnedFd) -> Arc<Process> {
        let known = self.held().newest.get(&pid).and_then(Weak::upgrade);
        // Two processes that are both there with one pid are one process.
        if let Some(known) = known
            && check_alive(&pidfd).is_ok()
            && known.check(self.features).is_ok()
        {
            return known;
        }
        let process = Process::new(pid, uid, pidfd, self);
        let mut held = self.held();
        held.newest.insert(pid, Arc::downgrade(&process));
        held.count += 1;
        *held.of_uid.entry(uid).or_default() += 1;
        process
    }

    /// The process that has the pid of a peer now, if it may be the peer: for kernels that do not tell who connected.
    pub(crate) fn join_by_pid(
        self: &Arc<Self>,
        peer: Credentials,
        accepted_at: u64,
    ) -> Result<Arc<Process>, NoFacts> {
        let seen = |time| crate::seen::sort_out("stat", time);
        let before = seen(start_time(peer.pid))?;
        let pidfd = match pidfd_of(peer.pid) {
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                return Err(PeerLost::Exited.into());
            }
            Err(error) => return Err(error.into()),
        };
        let after = seen(start_time(peer.pid))?;
        let started_later = after.as_ref().is_ok_and(|start| *start > accepted_at);
        if before != after || started_later {
            return Err(PeerLost::Exited.into());
        }
        check_alive(&pidfd)?;
        Ok(self.join(peer.pid, peer.uid, pidfd))
    }

    /// A record is gone.
    pub(crate) fn forget(&self, process: &Process) {
        let mut held = self.held();
        let newest = held.newest.get(&process.pid).map(Weak::as_ptr);
        if newest.is_some_and(|newest| std::ptr::eq(newest, process)) {
            held.newest.remove(&process.pid);
        }
        held.count -= 1;
        take_one(&mut held.of_uid, process.uid);
    }

    /// Closes a connection where nobody else waits, as there may be descriptors in it that take for ever to close.
    pub(crate) fn close(self: &Arc<Self>, uid: u32, connection: UnixStream) {
        // That does not touch what is in it.
        let _closed_by_the_peer = connection.shutdown(Shutdown::Both);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        *self.held().closing_of_uid.entry(uid).or_default() += 1;
        let closing = Closing {
            table: Arc::clone(self),
            uid,
        };
        runtime.spawn(async move {
            let table = Arc::clone(&closing.table);
            let close = move || drop((connection, closing));
            let _shut_down = table.closers.run(uid, close).await;
        });
    }

    /// Milliseconds, from some time on.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How old facts may be that a call rests on.
    pub(crate) fn oldest(&self) -> u64 {
        let age = self.options.look_every * self.options.closely_every;
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> Vec<Arc<Process>> {
        self.watched_list().processes.values().cloned().collect()
    }

    fn watched_list(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One look at all, a few at a time. Whether there is anybody left to look at.
    async fn sweep(self: &Arc<Self>) -> bool {
        let all = self.watched();
        for batch in all.chunks(BATCH) {
            for process in batch {
                let alive = process.check(self.features).is_ok();
                let looks = process.looks.fetch_add(1, Relaxed) + 1;
                if alive && looks.is_multiple_of(self.options.closely_every) {
                    self.look_closely(process);
                }
            }
            tokio::task::yield_now().await;
        }
        drop(all);
        let mut watched = self.watched_list();
        watched.sweeping = !watched.processes.is_empty();
        watched.sweeping
    }

    /// Starts a look at all facts, unless one is under way. A process that makes it last forever is lost.
    fn look_closely(self: &Arc<Self>, process: &Arc<Process>) {
        if process.looking.swap(true, Relaxed) {
            if process.overdue.fetch_add(1, Relaxed) + 1 >= OVERDUE {
                process.lost.say(PeerLost::Unobservable);
            }
            return;
        }
        let table = Arc::clone(self);
        let process = Arc::clone(process);
        tokio::spawn(async move {
            let failed = match process.look_closely(&table).await {
                Ok(()) | Err(NoFacts::Lost(_)) => false,
                Err(NoFacts::Failed(error)) => {
                    tracing::warn!(pid = process.pid, %error, "process not looked at again");
                    true
                }
            };
            if failed && process.overdue.fetch_add(1, Relaxed) + 1 >= OVERDUE {
                process.lost.say(PeerLost::Unobservable);
            }
            if !failed {
                process.overdue.store(0, Relaxed);
            }
            process.looking.store(false, Relaxed);
        });
    }
}

/// A connection that is being closed.
struct Closing {
    table: Arc<Table>,
    uid: u32,
}

impl Drop for Closing {
    fn drop(&mut self) {
        take_one(&mut self.table.held().closing_of_uid, self.uid);
    }
}

fn take_one(counts: &mut HashMap<u32, usize>, uid: u32) {
    if let Some(count) = counts.get_mut(&uid) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&uid);
        }
    }
}

async fn sweep(table: Arc<Table>) {
    let every = table.options.look_every;
    let sweeping = Sweeping(Some(Arc::clone(&table)));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !table.sweep().await {
            // Somebody else may have begun by now.
            sweeping.done();
            return;
        }
    }
}

/// Dropped when the runtime goes away under the sweep: another may take it up.
struct Sweeping(Option<Arc<Table>>);

impl Sweeping {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(table) = &self.0 {
            table.watched_list().sweeping = false;
        }
    }
}

/// While this is there, the process is looked at each second.
pub(crate) struct Watch {
    table: Arc<Table>,
    process: Arc<Process>,
}

impl Watch {
    pub(crate) fn new(table: &Arc<Table>, process: &Arc<Process>) -> Self {
        let mut watched = table.watched_list();
        if process.watchers.fetch_add(1, Relaxed) == 0 {
            watched
                .processes
                .insert(Arc::as_ptr(process).addr(), Arc::clone(process));
        }
        if !watched.sweeping
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            watched.sweeping = true;
            runtime.spawn(sweep(Arc::clone(table)));
        }
        drop(watched);
        Self {
            table: Arc::clone(table),
            process: Arc::clone(process),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.table.watched_list();
        if self.process.watchers.fetch_sub(1, Relaxed) == 1 {
            watched.processes.remove(&Arc::as_ptr(&self.process).addr());
        }
    }
}

fn pidfd_of(pid: i32) -> io::Result<OwnedFd> {
    let pid = (pid > 0).then(|| Pid::from_raw(pid)).flatten();
    let pid = pid.ok_or(rustix::io::Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}
