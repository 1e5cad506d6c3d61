//! Notices changes of files, however they are made: written in place, renamed over, or switched by a symbolic link
//! anywhere on the way, as Kubernetes does with `..data`.
//!
//! What is watched are folders, for names: each folder on the way to a file in which a symbolic link could be switched,
//! and the one it really lies in. inotify is asked for the few events that end a change, so that nothing wakes up while
//! files are read or half written. A change is told at once, without waiting whether another follows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs, io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt, unix::fs::MetadataExt},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::{Interest, unix::AsyncFd};

/// Symbolic links followed for one file; as many as the kernel follows.
const MAX_LINKS: usize = 40;
/// How long a file may be away before that is told. Editors move the old file away before they write the new one.
const AWAY: Duration = Duration::from_millis(100);

/// Watches files.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: AsyncFd<OwnedFd>,
    files: BTreeSet<PathBuf>,
    folders: HashMap<i32, Folder>,
    by_path: HashMap<PathBuf, i32>,
    /// What was read and not told yet, and by which watch.
    news: BTreeMap<PathBuf, (News, i32)>,
    /// A folder that cannot be watched, and why.
    unwatched: Option<(PathBuf, io::Error)>,
}

/// A watched folder: which names in it matter, and to which files.
#[derive(Debug, Default)]
struct Folder {
    path: PathBuf,
    names: BTreeMap<OsString, BTreeSet<PathBuf>>,
}

/// What an event says about a name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum News {
    /// It is gone, perhaps for a moment.
    Gone,
    /// Something whole stands there.
    There,
}

impl Watcher {
    /// Watches these files from now on. They need not be there yet.
    ///
    /// # Errors
    ///
    /// When the kernel has no inotify instance left for this user.
    pub(crate) fn new(files: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe for the sake of types that might close early; this one owns"
        )]
        let inotify = AsyncFd::with_interest(inotify, Interest::READABLE)?;
        let mut watcher = Self {
            inotify,
            files: BTreeSet::new(),
            folders: HashMap::new(),
            by_path: HashMap::new(),
            news: BTreeMap::new(),
            unwatched: None,
        };
        watcher.set(files);
        Ok(watcher)
    }

    /// Watches these files instead.
    pub(crate) fn set(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.files = files
            .into_iter()
            .map(|file| std::path::absolute(&file).unwrap_or(file))
            .collect();
        self.resolve();
    }

    /// Waits until some of the files are other than they were, and says which. Dropping the future loses nothing.
    ///
    /// What changes between two calls is told by the later one.
    ///
    /// # Errors
    ///
    /// Events cannot be read: nothing more will be told.
    pub(crate) async fn changed(&mut self) -> io::Result<BTreeSet<PathBuf>> {
        loop {
            self.read_events().await?;
            if !self.news.is_empty() {
                // Give what was moved away the time to be replaced.
                let replaced = async {
                    while self.news.values().all(|(what, _)| *what == News::Gone) {
                        self.read_events().await?;
                    }
                    io::Result::Ok(())
                };
                if let Ok(outcome) = tokio::time::timeout(AWAY, replaced).await {
                    outcome?;
                }
                self.resolve();
                return Ok(std::mem::take(&mut self.news).into_keys().collect());
            }
        }
    }

    /// A folder that cannot be watched, so that what changes in it will not be told, and why.
    pub(crate) fn unwatched(&self) -> Option<(&Path, &io::Error)> {
        let (folder, error) = self.unwatched.as_ref()?;
        Some((folder, error))
    }

    /// Waits for events and takes in all there are.
    async fn read_events(&mut self) -> io::Result<()> {
        let mut ready = self.inotify.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                    events.push((event.wd(), event.events(), name));
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        drop(ready);
        for (watch, flags, name) in events {
            self.take(watch, flags, name.as_deref());
        }
        Ok(())
    }

    fn take(&mut self, watch: i32, flags: ReadFlags, name: Option<&OsStr>) {
        let news = &mut self.news;
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            let there = |file: &PathBuf| (file.clone(), (News::There, watch));
            news.extend(self.files.iter().map(there));
            return;
        }
        let Some(folder) = self.folders.get(&watch) else {
            return;
        };
        // The folder itself was moved or removed: what its names led to is elsewhere now.
        if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED) {
            for file in folder.names.values().flatten() {
                news.entry(file.clone()).or_insert((News::Gone, watch));
            }
            if flags.contains(ReadFlags::IGNORED) {
                self.by_path.remove(&folder.path);
                self.folders.remove(&watch);
            }
            return;
        }
        let Some((name, files)) = name.and_then(|name| folder.names.get_key_value(name)) else {
            return;
        };
        let what = if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            News::Gone
        } else if flags.contains(ReadFlags::CREATE) && is_being_written(&folder.path.join(name)) {
            return;
        } else {
            News::There
        };
        for file in files {
            // A link was switched, and then the folder was removed that it had led to.
            let left_behind = what == News::Gone
                && matches!(news.get(file), Some((News::There, other)) if *other != watch);
            if !left_behind {
                news.insert(file.clone(), (what, watch));
            }
        }
    }

    /// Watches the folders on the way to the files as that way is now.
    fn resolve(&mut self) {
        let mut wanted: BTreeMap<PathBuf, BTreeMap<OsString, BTreeSet<PathBuf>>> = BTreeMap::new();
        for file in &self.files {
            for (folder, name) in stations(file) {
                wanted
                    .entry(folder)
                    .or_default()
                    .entry(name)
                    .or_default()
                    .insert(file.clone());
            }
        }
        self.unwatched = None;
        let gone: Vec<_> = self
            .by_path
            .iter()
            .filter(|(path, _)| !wanted.contains_key(*path))
            .map(|(path, id)| (path.clone(), *id))
            .collect();
        for (path, watch) in gone {
            self.by_path.remove(&path);
            self.folders.remove(&watch);
            let _ = inotify::remove_watch(self.inotify.get_ref(), watch);
        }
        for (path, names) in wanted {
            let flags = WatchFlags::CLOSE_WRITE
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            // Asked for again even when it is watched: another folder may stand at the path by now.
            match inotify::add_watch(self.inotify.get_ref(), &path, flags) {
                Ok(watch) => {
                    if let Some(before) = self.by_path.insert(path.clone(), watch)
                        && before != watch
                    {
                        self.folders.remove(&before);
                        let _ = inotify::remove_watch(self.inotify.get_ref(), before);
                    }
                    self.folders.insert(watch, Folder { path, names });
                }
                Err(error) => self.unwatched = Some((path, error.into())),
            }
        }
    }
}

/// Whether a new name is a file that somebody has just begun to write: its end will be told too. A symbolic link, a
/// folder and a hard link are whole when they appear.
fn is_being_written(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|facts| facts.is_file() && facts.nlink() == 1)
}

/// The folders in which a change of a name changes what `file` is: that of the file itself and those of each symbolic
/// link on the way. Where the way ends early, the last folder there is, with the name that is missing.
fn stations(file: &Path) -> Vec<(PathBuf, OsString)> {
    let mut stations = Vec::new();
    let mut folder = PathBuf::from("/");
    // What is still to go, the next part last.
    let mut rest: Vec<OsString> = parts(file);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            folder.pop();
            continue;
        }
        let path = folder.join(&name);
        match path.symlink_metadata() {
            Ok(facts) if facts.is_symlink() && links < MAX_LINKS => {
                links += 1;
                stations.push((folder.clone(), name));
                let Ok(target) = fs::read_link(&path) else {
                    break;
                };
                if target.is_absolute() {
                    folder = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            Ok(facts) if facts.is_dir() => folder = path,
            _ => {
                stations.push((folder, name));
                break;
            }
        }
    }
    stations
}

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::symlink};

    use super::*;

    /// Longer than any event takes, and never waited for when things work.
    const SOON: Duration = Duration::from_secs(5);

    struct Scene {
        temp: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                temp: tempfile::tempdir().unwrap(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.temp.path().canonicalize().unwrap().join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, text).unwrap();
            path
        }

        /// Puts a file there as Kubernetes mounts a ConfigMap, and switches it to `version`.
        fn switch(&self, version: &str, text: &str) {
            let versioned = self.path(&format!("..{version}"));
            fs::create_dir(&versioned).unwrap();
            fs::write(versioned.join("agent.toml"), text).unwrap();
            symlink(format!("..{version}"), self.path("..data_tmp")).unwrap();
            fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        }
    }

    async fn told(watcher: &mut Watcher) -> BTreeSet<PathBuf> {
        tokio::time::timeout(SOON, watcher.changed())
            .await
            .expect("a change is told")
            .unwrap()
    }

    /// What was told of `change`, which is the first thing that is: reading, or other files, are not.
    async fn told_of(file: &Path, change: impl FnOnce()) {
        let mut watcher = Watcher::new([file.to_owned()]).unwrap();
        let _ = fs::read(file);
        fs::write(file.with_file_name("other"), "x").unwrap();
        change();
        assert_eq!(told(&mut watcher).await, BTreeSet::from([file.to_owned()]));
    }

    #[tokio::test]
    async fn writing_in_place_is_told_when_the_writer_closes() {
        let scene = Scene::new();
        let file = scene.write("agent.toml", "one");
        told_of(&file, || fs::write(&file, "two").unwrap()).await;

        let mut watcher = Watcher::new([file.clone()]).unwrap();
        let mut writer = fs::File::create(&file).unwrap();
        writer.write_all(b"half").unwrap();
        tokio::select! {
            biased;
            changed = watcher.changed() => panic!("half a file is no news: {changed:?}"),
            () = tokio::task::yield_now() => {}
        }
        writer.write_all(b" and whole").unwrap();
        drop(writer);
        told(&mut watcher).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), "half and whole");
    }

    #[tokio::test]
    async fn renaming_over_is_told() {
        let scene = Scene::new();
        let file = scene.write("agent.toml", "one");
        let new = scene.write("agent.toml.new", "two");
        told_of(&file, || fs::rename(&new, &file).unwrap()).await;
    }

    #[tokio::test]
    async fn a_switched_link_on_the_way_is_told_again_and_again() {
        let scene = Scene::new();
        scene.switch("1", "one");
        let file = scene.path("agent.toml");
        symlink("..data/agent.toml", &file).unwrap();
        let mut watcher = Watcher::new([file.clone()]).unwrap();
        for version in ["2", "3", "4"] {
            scene.switch(version, version);
            assert_eq!(told(&mut watcher).await, BTreeSet::from([file.clone()]));
            assert_eq!(fs::read_to_string(&file).unwrap(), version);
        }
        // The file behind the link is watched where it really is.
        fs::write(scene.path("..4/agent.toml"), "in place").unwrap();
        told(&mut watcher).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_switched_link_is_told_at_once_though_the_folder_behind_it_goes() {
        let scene = Scene::new();
        scene.switch("1", "one");
        let file = scene.path("agent.toml");
        symlink("..data/agent.toml", &file).unwrap();
        let mut watcher = Watcher::new([file.clone()]).unwrap();
        let start = tokio::time::Instant::now();
        for version in ["2", "3", "4"] {
            let before = fs::read_link(scene.path("..data")).unwrap();
            scene.switch(version, version);
            fs::remove_dir_all(scene.temp.path().join(before)).unwrap();
            assert_eq!(told(&mut watcher).await, BTreeSet::from([file.clone()]));
        }
        // Time passes only where something waits for it.
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_switched_link_of_the_file_itself_is_told() {
        let scene = Scene::new();
        let file = scene.path("agent.toml");
        let (one, two) = (scene.write("one", "1"), scene.write("two", "2"));
        symlink(&one, &file).unwrap();
        told_of(&file, || {
            symlink(&two, scene.path("new")).unwrap();
            fs::rename(scene.path("new"), &file).unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn an_editor_that_moves_the_old_file_away_causes_one_change() {
        let scene = Scene::new();
        let file = scene.write("agent.toml", "one");
        let mut watcher = Watcher::new([file.clone()]).unwrap();
        fs::rename(&file, scene.path("agent.toml~")).unwrap();
        let waiting = tokio::time::timeout(SOON, watcher.changed());
        let (changed, ()) = tokio::join!(waiting, async { fs::write(&file, "two").unwrap() });
        assert_eq!(changed.unwrap().unwrap(), BTreeSet::from([file.clone()]));
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "two",
            "not told while the file was away"
        );
    }

    #[tokio::test]
    async fn a_file_that_stays_away_is_told_and_so_is_its_return() {
        let scene = Scene::new();
        fs::create_dir(scene.path("etc")).unwrap();
        let file = scene.write("etc/agent.toml", "one");
        let mut watcher = Watcher::new([file.clone()]).unwrap();
        fs::remove_dir_all(scene.path("etc")).unwrap();
        told(&mut watcher).await;

        fs::create_dir(scene.path("new")).unwrap();
        scene.write("new/agent.toml", "two");
        fs::rename(scene.path("new"), scene.path("etc")).unwrap();
        told(&mut watcher).await;
        scene.write("etc/agent.toml", "three");
        told(&mut watcher).await;
    }

    #[tokio::test]
    async fn the_set_of_files_can_change() {
        let scene = Scene::new();
        let (a, b) = (scene.write("a", "1"), scene.write("b", "1"));
        let mut watcher = Watcher::new([a.clone()]).unwrap();
        watcher.set([b.clone(), scene.path("missing")]);
        fs::write(&a, "2").unwrap();
        fs::write(&b, "2").unwrap();
        assert_eq!(told(&mut watcher).await, BTreeSet::from([b]));
        assert_eq!(watcher.folders.len(), 1, "one watch for each folder");
        fs::write(scene.path("missing"), "1").unwrap();
        assert_eq!(
            told(&mut watcher).await,
            BTreeSet::from([scene.path("missing")])
        );
    }

    #[test]
    fn a_loop_of_links_ends() {
        let scene = Scene::new();
        symlink("b", scene.path("a")).unwrap();
        symlink("a", scene.path("b")).unwrap();
        assert!(stations(&scene.path("a")).len() <= MAX_LINKS + 1);
    }
}
