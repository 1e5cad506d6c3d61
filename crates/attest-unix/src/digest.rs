//! SHA-256 of programs, computed once for each state of a file.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::fstatfs;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::lanes::Lanes;
use crate::seen::Unseen;

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

/// Why there is no digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoDigest {
    Unseen(Unseen),
    TooLarge {
        size: u64,
        limit: u64,
    },
    /// What runs is not the file any more that did, or changed while it was read.
    Changing,
    Unreadable(i32),
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

/// The digests of programs seen lately.
#[derive(Debug)]
pub(crate) struct Digests {
    kept: Mutex<Kept>,
    under_way: Mutex<Flights>,
    /// One file of each uid is read at a time. Reading can take for ever, so nothing is held meanwhile that others need.
    lanes: Lanes,
    /// So many pieces of all are hashed at a time.
    hashers: Arc<Semaphore>,
    /// One file of each uid is closed at a time where it was not read.
    closers: Arc<Lanes>,
}

/// A file to be hashed, and the state it is in. To look at it and to close it can take for ever as well, so nobody does
/// either on a thread that others need.
#[derive(Debug)]
pub(crate) struct Program {
    file: Option<File>,
    key: Key,
    may_be_kept: bool,
    uid: u32,
    closers: Arc<Lanes>,
}

impl Program {
    /// Looks at an open file of `uid`. On a blocking thread.
    pub(crate) fn look_at(file: File, uid: u32, closers: Arc<Lanes>) -> io::Result<Self> {
        let key = Key::of(&file)?;
        Ok(Self {
            may_be_kept: may_be_kept(&file, key),
            file: Some(file),
            key,
            uid,
            closers,
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (uid, closers) = (self.uid, Arc::clone(&self.closers));
            runtime.spawn(async move {
                let _shut_down = closers.run(uid, move || drop(file)).await;
            });
        }
    }
}

/// By whose lane reads it, too: nobody waits in the lane of another.
type Flights = HashMap<(u32, Key), Arc<Flight>>;
type Flight = OnceCell<Result<Digest, NoDigest>>;

#[derive(Debug, Default)]
struct Kept {
    digests: HashMap<Key, (Digest, u64)>,
    uses: u64,
}

impl Digests {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            kept: Mutex::default(),
            under_way: Mutex::default(),
            lanes: Lanes::new(1),
            hashers: Arc::new(Semaphore::new(cores.div_ceil(2))),
            closers: Arc::new(Lanes::new(1)),
        }
    }

    /// Where files are closed that were not read.
    pub(crate) fn closers(&self) -> Arc<Lanes> {
        Arc::clone(&self.closers)
    }

    /// The digest of a file, on behalf of a process of its uid. Callers of one uid that want the same file wait for one
    /// reading of it; when all of them have given up, it stops.
    ///
    /// # Errors
    ///
    /// The runtime is shutting down.
    pub(crate) async fn of(
        &self,
        program: Program,
        limit: Option<u64>,
    ) -> io::Result<Result<Digest, NoDigest>> {
        let (key, uid) = (program.key, program.uid);
        if let Some(limit) = limit.filter(|limit| key.size > *limit) {
            return Ok(Err(NoDigest::TooLarge {
                size: key.size,
                limit,
            }));
        }
        if !program.may_be_kept {
            return self.read(program).await;
        }
        if let Some(digest) = self.kept().find(key) {
            return Ok(Ok(digest));
        }
        let flight = Arc::clone(lock(&self.under_way).entry((uid, key)).or_default());
        let _seat = Seat {
            under_way: &self.under_way,
            key: (uid, key),
            flight: &flight,
        };
        let digest = flight
            .get_or_try_init(async || {
                let digest = self.read(program).await?;
                if let Ok(digest) = digest {
                    self.kept().keep(key, digest);
                }
                Ok::<_, io::Error>(digest)
            })
            .await?;
        Ok(digest.clone())
    }

    async fn read(&self, mut program: Program) -> io::Result<Result<Digest, NoDigest>> {
        let wanted = Arc::new(AtomicBool::new(true));
        let _unwanted_when_dropped = Unwanted(Arc::clone(&wanted));
        let hashers = Arc::clone(&self.hashers);
        let (uid, key) = (program.uid, program.key);
        let job = move || match program.file.take() {
            Some(mut file) => read(&mut file, key, &wanted, &hashers),
            None => Err(NoDigest::Changing),
        };
        self.lanes.run(uid, job).await
    }

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

struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

/// Runs on a blocking thread.
fn read(
    file: &mut File,
    key: Key,
    wanted: &AtomicBool,
    hashers: &Semaphore,
) -> Result<Digest, NoDigest> {
    let runtime = tokio::runtime::Handle::current();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut left = key.size;
    while wanted.load(Relaxed) {
        let bytes = file.read(&mut buffer)?;
        if bytes == 0 {
            // Unless it was written to meanwhile, in which case the digest is of no state that it ever had.
            if left > 0 || Key::of(file)? != key {
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
fn may_be_kept(file: &File, key: Key) -> bool {
    let unseen = fstatfs(file).map_or(true, |fs| {
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
    fn of(file: &File) -> io::Result<Self> {
        let seen = file.metadata()?;
        Ok(Self {
            device: seen.dev(),
            inode: seen.ino(),
            size: seen.size(),
            modified: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        })
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
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    impl Digests {
        async fn of_file(
            &self,
            uid: u32,
            file: File,
            limit: Option<u64>,
        ) -> io::Result<Result<Digest, NoDigest>> {
            let program = Program::look_at(file, uid, self.closers())?;
            self.of(program, limit).await
        }
    }

    /// A file that nobody has changed for long.
    fn settled() -> File {
        let file = File::open("/bin/sh").unwrap();
        assert!(may_be_kept(&file, Key::of(&file).unwrap()));
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
        let digest = Digests::new().of_file(1, fresh("abc"), None).await.unwrap();
        assert_eq!(
            digest.unwrap().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[tokio::test]
    async fn only_files_that_have_settled_are_remembered() {
        let digests = Digests::new();
        digests
            .of_file(1, fresh("abc"), None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(digests.kept().digests.len(), 0);
        let first = digests.of_file(1, settled(), None).await.unwrap();
        assert_eq!(digests.kept().digests.len(), 1);
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
            ..Key::of(&file).unwrap()
        };
        assert!(!may_be_kept(&file, long_ago));
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
        digest.expect("uid 1 keeps uid 2 waiting").unwrap().unwrap();
    }

    async fn all_hashers(digests: &Digests) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(digests.hashers.available_permits()).unwrap();
        Arc::clone(&digests.hashers)
            .acquire_many_owned(all)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn one_reads_for_all_and_another_takes_over_when_it_gives_up() {
        let digests = Digests::new();
        let busy = all_hashers(&digests).await;
        let mut second = pin!(digests.of_file(1, settled(), None));
        {
            let mut first = Box::pin(digests.of_file(1, settled(), None));
            assert!(is_pending(first.as_mut()).await);
            assert!(is_pending(second.as_mut()).await);
            assert_eq!(lock(&digests.under_way).len(), 1);
        }
        assert_eq!(lock(&digests.under_way).len(), 1);
        drop(busy);
        second.await.unwrap().unwrap();
        assert!(lock(&digests.under_way).is_empty());
    }

    #[tokio::test]
    async fn a_file_that_changes_or_that_nobody_wants_has_no_digest() {
        let read = |mut file: File, key, wanted| {
            tokio::task::spawn_blocking(move || {
                read(&mut file, key, &AtomicBool::new(wanted), &Semaphore::new(1))
            })
        };
        let key = Key::of(&fresh("abc")).unwrap();
        for text in ["abcd", "ab", "abc"] {
            let digest = read(fresh(text), key, true).await.unwrap();
            assert_eq!(digest, Err(NoDigest::Changing), "{text}");
        }
        let [unwanted, wanted] = [false, true].map(|wanted| {
            let same = fresh("abc");
            let key = Key::of(&same).unwrap();
            read(same, key, wanted)
        });
        assert_eq!(unwanted.await.unwrap(), Err(NoDigest::Changing));
        assert!(wanted.await.unwrap().is_ok());
    }

    #[test]
    fn the_digests_used_longest_ago_make_room() {
        let mut kept = Kept::default();
        let base = Key::of(&fresh("")).unwrap();
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
