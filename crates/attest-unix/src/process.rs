//! One program image of one process: what is held of it, what was seen of it, and whether that still holds.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use plastron_attest::{AttestError, PeerLost};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use crate::asked::Asked;
use crate::digest::{Hashed, NoDigest, Program};
use crate::features::KernelFeatures;
use crate::image::Image;
use crate::lost::Lost;
use crate::processes::Table;
use crate::seen::{self, FileId, Seen, Unseen};
use crate::status::Status;
use crate::sys::{self, Ids};

/// A process, held from when somebody connected until the last of its connections is gone.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Whose lane and whose descriptors it counts to.
    pub(crate) uid: u32,
    pub(crate) lost: Lost,
    pidfd: OwnedFd,
    taken: OnceCell<Taken>,
    hashing: Mutex<Option<Hashing>>,
    /// When all facts were last looked at, in the table's milliseconds.
    pub(crate) looked_at: AtomicU64,
    /// How many wait for it to be lost.
    pub(crate) watchers: AtomicUsize,
    /// How often the sweep has come by.
    pub(crate) looks: AtomicU32,
    /// A look at all facts is under way, and how often it should have been over.
    pub(crate) looking: AtomicBool,
    pub(crate) overdue: AtomicU32,
    table: Weak<Table>,
}

/// The facts of one program image.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Not known only where neither the kernel nor `/proc` tells.
    pub(crate) ids: Option<Ids>,
    pub(crate) image: Result<Image, Unseen>,
    pub(crate) seen: Seen,
}

/// Why there are no facts.
#[derive(Debug)]
pub(crate) enum NoFacts {
    Lost(PeerLost),
    /// The agent's fault, not the peer's.
    Failed(io::Error),
}

impl Process {
    pub(crate) fn new(pid: i32, uid: u32, pidfd: OwnedFd, table: &Arc<Table>) -> Arc<Self> {
        Arc::new(Self {
            pid,
            uid,
            pidfd,
            lost: Lost::default(),
            taken: OnceCell::new(),
            hashing: Mutex::default(),
            looked_at: AtomicU64::new(0),
            watchers: AtomicUsize::new(0),
            // Spreads out the close looks at processes that came together.
            looks: AtomicU32::new(pid.unsigned_abs()),
            looking: AtomicBool::new(false),
            overdue: AtomicU32::new(0),
            table: Arc::downgrade(table),
        })
    }

    /// The facts, taken now if nobody has yet.
    pub(crate) async fn facts(self: &Arc<Self>, table: &Arc<Table>) -> Result<&Taken, NoFacts> {
        self.lost.check()?;
        self.taken
            .get_or_try_init(async || {
                let process = Arc::clone(self);
                let features = table.features;
                let now = table.now();
                let taken = table
                    .lanes
                    .run(self.uid, move || process.take_facts(features))
                    .await??;
                self.looked_at.store(now, Relaxed);
                Ok(taken)
            })
            .await
            .map_err(|none| match none {
                NoFacts::Lost(why) => NoFacts::Lost(self.lost.say(why)),
                failed @ NoFacts::Failed(_) => failed,
            })
    }

    /// The facts, if they have been taken.
    pub(crate) fn facts_taken(&self) -> Option<&Taken> {
        self.taken.get()
    }

    /// How old the facts are, in milliseconds.
    pub(crate) fn age(&self, table: &Table) -> u64 {
        table.now().saturating_sub(self.looked_at.load(Relaxed))
    }

    /// Frames the facts so that they are those of one image: the file that runs is looked at, then the image taken hold
    /// of, then everything is looked at, that file again included; and then the image must still be there. (The image
    /// alone would not do, since its memory can be kept in use by others after another program has taken its place.)
    fn take_facts(&self, features: KernelFeatures) -> Result<Taken, NoFacts> {
        let ids = self.ids(features)?;
        let taken = if features.proc {
            let before = seen::program_file(self.pid)?;
            let image =
                seen::sort_out(features.image.file(), Image::open(self.pid, features.image))?;
            let seen = self.see(features)?;
            if before.as_ref().copied() != seen.file() {
                return Err(self.gone_or(PeerLost::ProgramChanged).into());
            }
            Taken { ids, image, seen }
        } else {
            Taken {
                ids,
                image: Err(Unseen::NoProc),
                seen: Seen::nothing(),
            }
        };
        self.check_against(&taken, features)?;
        Ok(taken)
    }

    fn see(&self, features: KernelFeatures) -> io::Result<Seen> {
        // What has the one has the other.
        Seen::look(self.pid, features.pidfd_info.then(|| self.pidfd.as_fd()))
    }

    /// Looks at everything again; says that the peer is lost if anything has changed.
    pub(crate) async fn look_closely(self: &Arc<Self>, table: &Arc<Table>) -> Result<(), NoFacts> {
        let taken = self.facts(table).await?;
        if !table.features.proc {
            return Ok(self.check(table.features)?);
        }
        let now = table.now();
        let process = Arc::clone(self);
        let features = table.features;
        let seen = table
            .lanes
            .run(self.uid, move || process.see(features))
            .await??;
        // If it has exited or executed something, then that is why it looks different.
        self.check(table.features)?;
        if seen != taken.seen {
            return Err(self.lost.say(PeerLost::FactsChanged).into());
        }
        self.looked_at.store(now, Relaxed);
        Ok(())
    }

    /// Whether it lives, runs the program whose facts were taken, and has the same ids. Two system calls.
    pub(crate) fn check(&self, features: KernelFeatures) -> Result<(), PeerLost> {
        self.lost.check()?;
        match self.taken.get() {
            Some(taken) => self.check_against(taken, features),
            None => check_alive(&self.pidfd),
        }
        .map_err(|why| self.lost.say(why))
    }

    fn check_against(&self, taken: &Taken, features: KernelFeatures) -> Result<(), PeerLost> {
        // Ids need not be compared where they are unknown: what is missing was missing before.
        if let (Some(ids), Some(before)) = (self.ids(features)?, taken.ids)
            && ids != before
        {
            return Err(PeerLost::IdsChanged);
        }
        match &taken.image {
            Err(_unseen) => check_alive(&self.pidfd),
            Ok(image) => match image.is_current() {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.gone_or(PeerLost::ProgramChanged)),
                Err(_error) => Err(self.gone_or(PeerLost::Unobservable)),
            },
        }
    }

    /// A process loses its memory a moment before it counts as exited.
    fn gone_or(&self, otherwise: PeerLost) -> PeerLost {
        if check_alive(&self.pidfd) == Err(PeerLost::Exited)
            || Status::read(self.pid).is_ok_and(|status| !status.has_memory)
            || check_alive(&self.pidfd) == Err(PeerLost::Exited)
        {
            return PeerLost::Exited;
        }
        otherwise
    }

    /// The ids it has now, if they can be seen.
    fn ids(&self, features: KernelFeatures) -> Result<Option<Ids>, PeerLost> {
        if features.pidfd_info {
            return match sys::pidfd_ids(self.pidfd.as_fd()) {
                Ok(None) => Err(PeerLost::Exited),
                Ok(ids) => Ok(ids),
                Err(_error) => Err(PeerLost::Unobservable),
            };
        }
        let status = features.proc.then(|| Status::read(self.pid));
        // Only then was it that of this process.
        check_alive(&self.pidfd)?;
        Ok(status.and_then(Result::ok).map(|status| status.ids))
    }

    /// Has what runs hashed, once. That goes on for as long as this process is held, and in the background: where it can
    /// take long, the answer is there when somebody asks again.
    pub(crate) fn hash(
        &self,
        table: &Arc<Table>,
        limit: Option<u64>,
        file: FileId,
    ) -> Asked<Hashed> {
        let mut hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hashing) = &*hashing
            && !hashing.asked.is_over(|hashed| !is_for_now(hashed))
        {
            return hashing.asked.clone();
        }
        let (tell, asked) = Asked::now();
        let (pid, uid, table) = (self.pid, self.uid, Arc::clone(table));
        let task = tokio::spawn(async move {
            let look = table
                .lanes
                .run(uid, move || look_at_program(pid, uid, file));
            let hashed = match look.await.and_then(|seen| seen) {
                Ok(Ok(program)) => table.digests.of(program, limit).await,
                Ok(Err(none)) => Err(none),
                Err(error) => Err(NoDigest::Failed(Arc::new(error))),
            };
            tell.give(hashed);
        });
        *hashing = Some(Hashing {
            asked: asked.clone(),
            task: task.abort_handle(),
        });
        asked
    }
}

/// Whether it is none of the program's doing that there is no digest.
fn is_for_now(hashed: &Hashed) -> bool {
    hashed.as_ref().is_err_and(NoDigest::may_come)
}

/// What `pid` runs, if that is `file`.
fn look_at_program(pid: i32, uid: u32, file: FileId) -> io::Result<Result<Program, NoDigest>> {
    let path = PathBuf::from(format!("/proc/{pid}/exe"));
    let seen = FileId::at(&path).and_then(|seen| Ok((seen, Program::look_at(path, uid)?)));
    Ok(match seen::sort_out("exe", seen)? {
        Err(unseen) => Err(NoDigest::Unseen(unseen)),
        Ok((seen, _)) if seen != file => Err(NoDigest::Changing),
        Ok((_, program)) => Ok(program),
    })
}

/// The digest of a process's program, on its way or there.
#[derive(Debug)]
struct Hashing {
    asked: Asked<Hashed>,
    task: AbortHandle,
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the process of a pidfd has not exited. A zombie has.
pub(crate) fn check_alive(pidfd: &OwnedFd) -> Result<(), PeerLost> {
    let mut exit = [PollFd::new(pidfd, PollFlags::IN)];
    match poll(&mut exit, Some(&rustix::event::Timespec::default())) {
        Ok(0) => Ok(()),
        Ok(_) => Err(PeerLost::Exited),
        Err(_error) => Err(PeerLost::Unobservable),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.forget(self);
        }
    }
}

impl From<PeerLost> for NoFacts {
    fn from(lost: PeerLost) -> Self {
        Self::Lost(lost)
    }
}

impl From<io::Error> for NoFacts {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<NoFacts> for AttestError {
    fn from(none: NoFacts) -> Self {
        match none {
            NoFacts::Lost(lost) => Self::Lost(lost),
            NoFacts::Failed(error) => Self::Failed {
                what: "looking at the process",
                source: Box::new(error),
            },
        }
    }
}
