//! The configuration: what each version says, and the ways of putting it in force.

use std::fmt::{self, Write as _};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::chance::Chance;
use crate::moment::Moment;
use crate::news::Image;

pub(crate) const TRUST_DOMAIN: &str = "example.org";

/// Short lives: an SVID is renewed every other second, an authority several times a minute.
pub(crate) const X509_SVID_TTL: u64 = 4;
pub(crate) const JWT_SVID_TTL: u64 = 6;
const CA_TTL: u64 = 36;

/// What never changes: keys on disk, audit on.
fn settings() -> String {
    format!(
        r#"trust_domain = "{TRUST_DOMAIN}"
data_dir = "state"

[workload_api]
socket = "agent.sock"

[authority]
x509_ca_ttl = "{CA_TTL}s"
x509_svid_ttl = "{X509_SVID_TTL}s"
jwt_svid_ttl = "{JWT_SVID_TTL}s"

[audit]
file = "audit.jsonl"
head_every = 500

[limits]
jwt_signatures_per_uid = 2000
"#
    )
}

/// One version of the entries.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) number: u32,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    path: String,
    whose: Whose,
}

/// Whom an entry is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    /// All processes of the load, by uid.
    All,
    /// Those that run the copy, by uid and path.
    Guests,
    /// Some other uid.
    Nobody(u32),
}

impl Version {
    /// One that gives everybody something.
    pub(crate) fn plain(number: u32) -> Self {
        let entries = [
            ("/base".to_owned(), Whose::All),
            (format!("/v/{number}"), Whose::All),
            ("/guest/base".to_owned(), Whose::Guests),
        ];
        Self {
            number,
            entries: entries.map(|(path, whose)| Entry { path, whose }).into(),
        }
    }

    /// Some version, now and then one that leaves some or all without an entry. Each that gives anything names its number.
    pub(crate) fn any(number: u32, chance: &mut Chance) -> Self {
        let mut entries = Vec::new();
        let mut entry = |path: String, whose| entries.push(Entry { path, whose });
        let (to_all, to_guests) = (!chance.once_in(6), !chance.once_in(3));
        if to_all {
            entry("/base".to_owned(), Whose::All);
            entry(format!("/v/{number}"), Whose::All);
            for extra in 0..3 {
                if chance.once_in(2) {
                    entry(format!("/extra/{extra}"), Whose::All);
                }
            }
        } else if to_guests {
            entry(format!("/v/{number}"), Whose::Guests);
        }
        if to_guests {
            entry("/guest/base".to_owned(), Whose::Guests);
        }
        for other in 0..chance.below(20) {
            let uid = 3_000_000_000 + u32::try_from(other).expect("below twenty");
            entry(format!("/other/{other}"), Whose::Nobody(uid));
        }
        chance.shuffle(&mut entries);
        Self { number, entries }
    }

    /// The SPIFFE IDs that a process is entitled to, in order.
    pub(crate) fn ids(&self, image: Image) -> Vec<String> {
        let mine = |entry: &&Entry| match entry.whose {
            Whose::All => true,
            Whose::Guests => image == Image::Guest,
            Whose::Nobody(_) => false,
        };
        let id = |entry: &Entry| format!("spiffe://{TRUST_DOMAIN}{}", entry.path);
        self.entries.iter().filter(mine).map(id).collect()
    }
}

/// The version that a SPIFFE ID names.
pub(crate) fn version_of(id: &str) -> Option<u32> {
    id.split_once("/v/")?.1.parse().ok()
}

/// Ways of changing a file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Way {
    InPlace,
    RenamedOver,
    LinkSwitched,
}

impl Way {
    pub(crate) fn any(chance: &mut Chance) -> Self {
        match chance.below(3) {
            0 => Self::InPlace,
            1 => Self::RenamedOver,
            _ => Self::LinkSwitched,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InPlace => "in place",
            Self::RenamedOver => "renamed over",
            Self::LinkSwitched => "link switched",
        })
    }
}

/// The file, in a folder that is the soak's own.
#[derive(Debug)]
pub(crate) struct File {
    folder: PathBuf,
    uid: u32,
    guest: PathBuf,
    /// Number of the folder behind the link.
    linked: u32,
}

impl File {
    pub(crate) fn new(folder: PathBuf, guest: PathBuf) -> Self {
        Self {
            folder,
            uid: rustix::process::geteuid().as_raw(),
            guest,
            linked: 0,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("plastron.toml")
    }

    /// Puts a version in force. The moment before it was.
    pub(crate) fn write(&mut self, version: &Version, way: Way) -> Result<Moment> {
        self.write_text(&self.text(version), way)
    }

    /// Writes something that is no configuration.
    pub(crate) fn break_it(&mut self, version: &Version, way: Way) -> Result<Moment> {
        let text = self.text(version) + "[[entry]]\nspiffe_id = \"spiffe://elsewhere.example/x\"\n";
        self.write_text(&text, way)
    }

    fn text(&self, version: &Version) -> String {
        let mut text = settings();
        for entry in &version.entries {
            let selectors = match entry.whose {
                Whose::All => format!("\"unix:uid:{}\"", self.uid),
                Whose::Guests => {
                    format!(
                        "\"unix:uid:{}\", \"unix:path:{}\"",
                        self.uid,
                        self.guest.display()
                    )
                }
                Whose::Nobody(uid) => format!("\"unix:uid:{uid}\""),
            };
            write!(
                text,
                "\n[[entry]]\nspiffe_id = \"spiffe://{TRUST_DOMAIN}{}\"\nselectors = [{selectors}]\n",
                entry.path
            )
            .expect("a String takes everything");
        }
        text
    }

    fn write_text(&mut self, text: &str, way: Way) -> Result<Moment> {
        let path = self.path();
        match way {
            Way::InPlace => {
                let at = Moment::now();
                fs::write(path, text)?;
                Ok(at)
            }
            Way::RenamedOver => {
                let new = self.folder.join("plastron.toml.new");
                fs::write(&new, text)?;
                let at = Moment::now();
                fs::rename(new, path)?;
                Ok(at)
            }
            Way::LinkSwitched => self.switch(&path, text),
        }
    }

    /// As a ConfigMap is mounted: the file is a link into `..data`, and that one to a folder that changes.
    fn switch(&mut self, path: &Path, text: &str) -> Result<Moment> {
        let before = self.folder.join(format!("..{}", self.linked));
        self.linked += 1;
        let name = format!("..{}", self.linked);
        let folder = self.folder.join(&name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("plastron.toml"), text)?;
        let new = self.folder.join("..new");
        symlink(&name, &new)?;
        let at = Moment::now();
        fs::rename(&new, self.folder.join("..data"))?;
        if !path.is_symlink() {
            symlink("..data/plastron.toml", &new)?;
            fs::rename(&new, path)?;
        }
        if before.exists() {
            fs::remove_dir_all(before)?;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_puts_the_version_in_force_after_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::new(folder.path().to_owned(), "/guest".into());
        let mut chance = Chance::new(1);
        for number in 1..50 {
            let version = Version::any(number, &mut chance);
            file.write(&version, Way::any(&mut chance)).unwrap();
            assert_eq!(
                fs::read_to_string(file.path()).unwrap(),
                file.text(&version)
            );
        }
    }

    #[test]
    fn guests_have_what_all_have_and_more() {
        let version = Version::plain(7);
        let members = version.ids(Image::Member);
        assert_eq!(
            members,
            ["spiffe://example.org/base", "spiffe://example.org/v/7"]
        );
        assert_eq!(version.ids(Image::Guest).len(), 3);
        assert_eq!(version_of(&members[1]), Some(7));
    }
}
