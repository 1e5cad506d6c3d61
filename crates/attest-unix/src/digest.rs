//! SHA-256 of programs, computed once for each state of a file.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use rustix::fs::statfs;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::asked::NoAnswer;
use crate::lanes::Lanes;
use crate::seen::{Unseen, sort_out};

/// How many digests are kept: programs on a machine that ask for identities, with room for upgrades.
const KEPT: usize = 1024;

/// How old the last change of a file must be for its digest to be kept. The time stamps of a file advance by clock ticks,
/// so a change within the tick in which it was hashed would not show.
const SETTLED: Duration = Duration::from_secs(2);

/// File systems on which a file can change and keep its attributes: with FUSE they are whatever some program says, and
/// those in memory do not notice what is written through a mapping.
const CHANGES_UNSEEN: [u64; 4] = [
    0x6573_5546, // FUSE_SUPER_MAGIC
    0x0102_1994, // TMPFS_MAGIC
    0x8584_58f6, // RAMFS_MAGIC
    0x9584_58f6, // HUGETLBFS_MAGIC
];

/// A SHA-256 digest. Displayed in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Digest([u8; 32]);

/// A digest, or that there is none.
pub(crate) type Hashed = Result<Digest, NoDigest>;

/// Why there is no digest.
#[derive(Clone, Debug)]
pub(crate) enum NoDigest {
    Unseen(Unseen),
    TooLarge {
        size: u64,
        limit: u64,
    },
    /// What runs is not the file any more that did, or changed while it was read.
    Changing,
    Unreadable(i32),
    /// It takes longer than anybody waits.
    Unanswered(NoAnswer),
    /// The agent could not look: nothing about the program.
    Failed(Arc<io::Error>),
}

/// The state of a file that has a digest.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Key {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The digests of programs seen lately. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Digests(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    under_way: Mutex<Flights>,
    /// One file of each uid is read at a time. Reading can take for ever, so nothing is held meanwhile that others need.
    lanes: Lanes,
    /// So many pieces of all are hashed at a time.
    hashers: Arc<Semaphore>,
}

/// A program to be hashed, and the state its file is in. The file is opened when it is its turn: whoever has many programs
/// waits for them without a descriptor of the agent's.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    key: Key,
    may_be_kept: bool,
    uid: u32,
}

impl Program {
    /// Looks at the file that is at `path`, for a process of `uid`. On a blocking thread: the file system answers when it
    /// likes.
    pub(crate) fn look_at(path: PathBuf, uid: u32) -> io::Result<Self> {
        let key = Key::of(&std::fs::metadata(&path)?);
        Ok(Self {
            may_be_kept: may_be_kept(&path, key),
            path,
            key,
            uid,
        })
    }
}

/// By whose lane reads it, too: nobody waits in the lane of another.
type Flights = HashMap<(u32, Key), Arc<Flight>>;
type Flight = OnceCell<Hashed>;

#[derive(Debug, Default)]
struct Kept {
    digests: HashMap<Key, (Digest, u64)>,
    uses: u64,
}

impl Digests {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Shared {
            kept: Mutex::default(),
            under_way: Mutex::default(),
            lanes: Lanes::new(1),
            hashers: Arc::new(Semaphore::new(cores.div_ceil(2))),
        }))
    }

    /// The digest of a program, on behalf of a process of its uid. Those of one uid that want the same file wait for one
    /// reading of it. Once that has begun it goes to its end, and is remembered, whoever is still there; of a file whose
    /// digest cannot be remembered it goes on for as long as this future is.
    pub(crate) async fn of(&self, program: Program, limit: Option<u64>) -> Hashed {
        let (key, uid) = (program.key, program.uid);
        if let Some(limit) = limit.filter(|limit| key.size > *limit) {
            return Err(NoDigest::TooLarge {
                size: key.size,
                limit,
            });
        }
        if !program.may_be_kept {
            return self.read(program).await?;
        }
        if let Some(digest) = self.0.kept().find(key) {
            return Ok(digest);
        }
        let flight = Arc::clone(lock(&self.0.under_way).entry((uid, key)).or_default());
        let _seat = Seat {
            under_way: &self.0.under_way,
            key: (uid, key),
            flight: &flight,
        };
        let hashed = flight.get_or_try_init(|| self.read(program));
        hashed.await?.clone()
    }

    /// Reads it when it is the uid's turn, unless somebody has by then.
    async fn read(&self, program: Program) -> Result<Hashed, NoDigest> {
        let waiting = Arc::new(());
        let wanted: Weak<dyn Send + Sync> = if program.may_be_kept {
            // By whoever comes next, as long as there is an agent.
            let digests: Weak<Shared> = Arc::downgrade(&self.0);
            digests
        } else {
            let waiting: Weak<()> = Arc::downgrade(&waiting);
            waiting
        };
        let digests = Arc::downgrade(&self.0);
        let hashers = Arc::clone(&self.0.hashers);
        let kept = program.may_be_kept;
        let (uid, key) = (program.uid, program.key);
        let job = move || {
            let known = || digests.upgrade().filter(|_| kept);
            if let Some(digest) = known().and_then(|digests| digests.kept().find(key)) {
                return Ok(Ok(digest));
            }
            let opened = File::open(&program.path);
            let mut file = match sort_out("exe", opened).map_err(Arc::new) {
                Ok(Ok(file)) => file,
                Ok(Err(unseen)) => return Ok(Err(NoDigest::Unseen(unseen))),
                Err(error) => return Err(NoDigest::Failed(error)),
            };
            let hashed = read(&mut file, key, &wanted, &hashers);
            if let (Ok(digest), Some(digests)) = (&hashed, known()) {
                digests.kept().keep(key, *digest);
            }
            Ok(hashed)
        };
        let hashed = self.0.lanes.run(uid, job).await;
        hashed.unwrap_or_else(|error| Err(NoDigest::Failed(Arc::new(error))))
    }
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

/// Somebody waits for a file to be read. The last one takes it off the list.
struct Seat<'a> {
    under_way: &'a Mutex<Flights>,
    key: (u32, Key),
    flight: &'a Arc<Flight>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(self.under_way);
        // The map's and this one.
        if Arc::strong_count(self.flight) == 2 || self.flight.initialized() {
            under_way.remove(&self.key);
        }
    }
}

/// Runs on a blocking thread.
fn read(file: &mut File, key: Key, wanted: &Weak<dyn Send + Sync>, hashers: &Semaphore) -> Hashed {
    if Key::of(&file.metadata()?) != key {
        return Err(NoDigest::Changing);
    }
    let runtime = tokio::runtime::Handle::current();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut left = key.size;
    while wanted.strong_count() > 0 {
        let bytes = file.read(&mut buffer)?;
        if bytes == 0 {
            // Unless it was written to meanwhile, in which case the digest is of no state that it ever had.
            if left > 0 || Key::of(&file.metadata()?) != key {
                break;
            }
            return Ok(Digest(hasher.finalize().into()));
        }
        {
            let _turn = runtime.block_on(hashers.acquire());
            hasher.update(&buffer[..bytes]);
        }
        let Some(rest) = left.checked_sub(bytes as u64) else {
            break;
        };
        left = rest;
    }
    Err(NoDigest::Changing)
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether a file was changed just now is between it and the system's clock"
)]
fn may_be_kept(path: &Path, key: Key) -> bool {
    let unseen = statfs(path).map_or(true, |fs| {
        // Some architectures have 32 bits for it, with a sign.
        CHANGES_UNSEEN.contains(&(fs.f_type as u64 & 0xffff_ffff))
    });
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let changed = u64::try_from(key.changed.0).unwrap_or(u64::MAX);
    !unseen && now.as_secs().saturating_sub(SETTLED.as_secs()) > changed
}

impl Key {
    fn of(seen: &Metadata) -> Self {
        Self {
            device: seen.dev(),
            inode: seen.ino(),
            size: seen.size(),
            modified: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        }
    }
}

impl Kept {
    fn find(&mut self, key: Key) -> Option<Digest> {
        self.uses += 1;
        let (digest, used) = self.digests.get_mut(&key)?;
        *used = self.uses;
        Some(*digest)
    }

    fn keep(&mut self, key: Key, digest: Digest) {
        if self.digests.len() >= KEPT {
            let oldest = self.digests.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.digests.remove(&oldest);
            }
        }
        self.uses += 1;
        self.digests.insert(key, (digest, self.uses));
    }
}

impl NoDigest {
    /// Whether there may be a digest the next time that somebody looks.
    pub(crate) fn may_come(&self) -> bool {
        matches!(self, Self::Unanswered(_) | Self::Failed(_))
    }

    /// In words for an operator.
    pub(crate) fn words(&self, pid: i32) -> std::borrow::Cow<'static, str> {
        match self {
            Self::Unseen(unseen) => unseen.words(pid),
            Self::TooLarge { size, limit } => {
                format!("the program has {size} bytes, and at most {limit} are hashed").into()
            }
            Self::Changing => "the program changed while it was hashed".into(),
            Self::Unreadable(code) => format!(
                "the program cannot be read: {}",
                io::Error::from_raw_os_error(*code)
            )
            .into(),
            Self::Unanswered(NoAnswer::Late) => {
                "the program has not been read to its end yet".into()
            }
            Self::Unanswered(NoAnswer::BrokenOff) => "reading the program broke off".into(),
            Self::Failed(error) => format!("the program could not be looked at: {error}").into(),
        }
    }
}

impl From<io::Error> for NoDigest {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::os::fd::AsRawFd as _;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    impl Digests {
        async fn of_file(&self, uid: u32, file: File, limit: Option<u64>) -> Hashed {
            self.of(Program::look_at(path_of(&file), uid)?, limit).await
        }

        fn remembered(&self) -> usize {
            self.0.kept().digests.len()
        }

        fn under_way(&self) -> usize {
            lock(&self.0.under_way).len()
        }
    }

    /// Where the file can be opened for as long as it is open.
    fn path_of(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }

    fn key_of(file: &File) -> Key {
        Key::of(&file.metadata().unwrap())
    }

    /// A file that nobody has changed for long.
    fn settled() -> File {
        let file = File::open("/bin/sh").unwrap();
        assert!(may_be_kept(&path_of(&file), key_of(&file)));
        file
    }

    fn fresh(text: &str) -> File {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), text).unwrap();
        File::open(path.path()).unwrap()
    }

    async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn a_digest_is_of_the_bytes_of_the_file() {
        let digest = Digests::new().of_file(1, fresh("abc"), None).await;
        assert_eq!(
            digest.unwrap().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[tokio::test]
    async fn only_files_that_have_settled_are_remembered() {
        let digests = Digests::new();
        digests.of_file(1, fresh("abc"), None).await.unwrap();
        assert_eq!(digests.remembered(), 0);
        let first = digests.of_file(1, settled(), None).await.unwrap();
        assert_eq!(digests.remembered(), 1);
        // Nobody has to read it again.
        let _busy = all_hashers(&digests).await;
        assert_eq!(digests.of_file(2, settled(), None).await.unwrap(), first);
    }

    #[test]
    fn a_file_that_can_change_without_a_trace_is_not_remembered() {
        let Ok(mut file) = tempfile::tempfile_in("/dev/shm") else {
            plastron_testing::parts::left_out("no /dev/shm");
            return;
        };
        std::io::Write::write_all(&mut file, b"abc").unwrap();
        let long_ago = Key {
            changed: (0, 0),
            ..key_of(&file)
        };
        assert!(!may_be_kept(&path_of(&file), long_ago));
    }

    /// A file that is never read to its end, and what keeps it from that.
    fn endless() -> (File, std::os::fd::OwnedFd) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        (File::from(read), write)
    }

    #[tokio::test]
    async fn files_that_take_for_ever_hold_up_their_own_uid_alone() {
        let digests = Digests::new();
        let (files, ends): (Vec<_>, Vec<_>) = (0..64).map(|_| endless()).unzip();
        let mut hanging = Vec::new();
        for file in files {
            let mut digest = Box::pin(digests.of_file(1, file, None));
            assert!(is_pending(digest.as_mut()).await);
            hanging.push(digest);
        }
        // Whoever hangs wants the program of another, too.
        let mut behind = Box::pin(digests.of_file(1, settled(), None));
        assert!(is_pending(behind.as_mut()).await);
        let others = digests.of_file(2, settled(), None);
        let digest = tokio::time::timeout(Duration::from_secs(20), others).await;
        drop(ends);
        digest.expect("uid 1 keeps uid 2 waiting").unwrap();
    }

    async fn all_hashers(digests: &Digests) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(digests.0.hashers.available_permits()).unwrap();
        Arc::clone(&digests.0.hashers)
            .acquire_many_owned(all)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn one_reads_for_all_and_to_the_end_whoever_goes() {
        let digests = Digests::new();
        let busy = all_hashers(&digests).await;
        let mut second = pin!(digests.of_file(1, settled(), None));
        {
            let mut first = Box::pin(digests.of_file(1, settled(), None));
            assert!(is_pending(first.as_mut()).await);
            assert!(is_pending(second.as_mut()).await);
            assert_eq!(digests.under_way(), 1);
        }
        assert_eq!(digests.under_way(), 1);
        drop(busy);
        second.await.unwrap();
        assert_eq!(digests.under_way(), 0);

        let digests = Digests::new();
        let busy = all_hashers(&digests).await;
        {
            let program = Program::look_at("/bin/sh".into(), 1).unwrap();
            let mut only = pin!(digests.of(program, None));
            // It is its turn at once, as nobody else of its uid waits.
            assert!(is_pending(only.as_mut()).await);
        }
        assert_eq!(digests.under_way(), 0);
        drop(busy);
        while digests.remembered() == 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_or_that_nobody_wants_has_no_digest() {
        let read = |mut file: File, key: Key, wanted: bool| {
            tokio::task::spawn_blocking(move || {
                let somebody = wanted.then(|| Arc::new(()));
                let waits = somebody.as_ref().map_or_else(Weak::new, Arc::downgrade);
                let waits: Weak<dyn Send + Sync> = waits;
                read(&mut file, key, &waits, &Semaphore::new(1))
            })
        };
        let key = key_of(&fresh("abc"));
        for text in ["abcd", "ab", "abc"] {
            let hashed = read(fresh(text), key, true).await.unwrap();
            assert!(matches!(hashed, Err(NoDigest::Changing)), "{text}");
        }
        let [unwanted, wanted] = [false, true].map(|wanted| {
            let same = fresh("abc");
            let key = key_of(&same);
            read(same, key, wanted)
        });
        assert!(matches!(unwanted.await.unwrap(), Err(NoDigest::Changing)));
        assert!(wanted.await.unwrap().is_ok());
    }

    #[test]
    fn the_digests_used_longest_ago_make_room() {
        let mut kept = Kept::default();
        let base = key_of(&fresh(""));
        let key = |inode| Key { inode, ..base };
        for inode in 0..KEPT as u64 {
            kept.keep(key(inode), Digest([0; 32]));
        }
        assert!(kept.find(key(0)).is_some());
        kept.keep(key(u64::MAX), Digest([1; 32]));
        assert_eq!(kept.digests.len(), KEPT);
        assert!(kept.find(key(0)).is_some());
        assert!(kept.find(key(1)).is_none());
        assert_eq!(kept.find(key(u64::MAX)), Some(Digest([1; 32])));
    }
}
