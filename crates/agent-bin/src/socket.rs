//! Where the agent listens without being told, and where the commands look for it.

use std::{
    env, fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::report::Failure;

/// Where a service of the system listens.
const SYSTEM: &str = "/run/plastron/agent.sock";

/// An agent's address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// An address of this machine or link. Plastron's agent never listens there; others do (WEP-05).
    Tcp(SocketAddr),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// What decides where to listen and to look, besides the file.
#[derive(Clone, Debug)]
struct Surroundings {
    uid: u32,
    runtime_dir: Option<PathBuf>,
    temp_dir: PathBuf,
}

impl Surroundings {
    fn here() -> Self {
        let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        Self {
            uid: rustix::process::geteuid().as_raw(),
            runtime_dir: runtime_dir.filter(|path| path.is_absolute()),
            temp_dir: env::temp_dir(),
        }
    }

    /// The socket of an agent that this user starts.
    fn own(&self) -> PathBuf {
        if self.uid == 0 {
            return SYSTEM.into();
        }
        match &self.runtime_dir {
            Some(dir) => dir.join("plastron/agent.sock"),
            None => self
                .temp_dir
                .join(format!("plastron-{}", self.uid))
                .join("agent.sock"),
        }
    }

    /// Where a command looks: first for an agent of the same user, then for the system's.
    fn places(&self) -> Vec<PathBuf> {
        let mut places = vec![self.own()];
        if self.uid != 0 {
            places.push(SYSTEM.into());
        }
        places
    }
}

/// Where the agent listens without being told.
pub(crate) fn default_path() -> PathBuf {
    Surroundings::here().own()
}

/// Makes the folder of a socket, if it is not there, and looks whether nobody else can put a socket of his own in place
/// of ours.
///
/// # Errors
///
/// When it cannot be made, or when it belongs to somebody else who is not root.
pub(crate) fn prepare_folder(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    if folder.symlink_metadata().is_err() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
    }
    let here = Surroundings::here();
    if socket == here.own() && socket != Path::new(SYSTEM) {
        check_folder(folder, here.uid).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Whether a folder is `uid`'s alone to write in: in a temporary folder, anybody may have made it.
fn check_folder(folder: &Path, uid: u32) -> Result<(), String> {
    let shown = folder.display();
    let facts = folder
        .symlink_metadata()
        .map_err(|error| format!("{shown} cannot be looked at: {error}"))?;
    if !facts.is_dir() {
        return Err(format!(
            "{shown} is not a folder but something that somebody put there"
        ));
    }
    if facts.uid() != uid {
        return Err(format!(
            "{shown} belongs to uid {}, not to you (uid {uid})",
            facts.uid()
        ));
    }
    if facts.mode() & 0o022 != 0 {
        return Err(format!(
            "{shown} can be written by others (mode {:04o})",
            facts.mode() & 0o7777
        ));
    }
    Ok(())
}

/// The agent that a command talks to: what `--socket` says, or else `SPIFFE_ENDPOINT_SOCKET`, or else where agents listen
/// without being told.
pub(crate) fn find(given: Option<&str>) -> Result<Address, Failure> {
    if let Some(text) = given {
        return parse(text).map_err(|what| {
            Failure::cannot_tell(format!("--socket {text}: {what}"))
                .hint("write a path, or a URI such as unix:///run/agent.sock")
        });
    }
    if let Some(value) = env::var_os("SPIFFE_ENDPOINT_SOCKET") {
        let text = value.to_string_lossy();
        return parse_uri(&text).map_err(|what| {
            Failure::cannot_tell(format!("SPIFFE_ENDPOINT_SOCKET={text}: {what}")).hint(
                "set it to a URI such as unix:///run/agent.sock, or unset it, or use --socket",
            )
        });
    }
    look(&Surroundings::here())
}

fn look(here: &Surroundings) -> Result<Address, Failure> {
    let places = here.places();
    let Some(found) = places.iter().find(|place| place.symlink_metadata().is_ok()) else {
        let places: Vec<_> = places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        return Err(
            Failure::cannot_tell(format!("no agent listens at {}", places.join(" or "))).hint(
                "start one with `plastron-agent run --dev`, or say with --socket where it listens",
            ),
        );
    };
    if found != Path::new(SYSTEM)
        && let Some(folder) = found.parent()
    {
        check_folder(folder, here.uid).map_err(|what| {
            Failure::cannot_tell(format!(
                "the agent at {} is not to be trusted: {what}",
                found.display()
            ))
            .hint("say with --socket which agent you mean, if you do trust it")
        })?;
    }
    Ok(Address::Unix(found.clone()))
}

/// A path, or a URI.
fn parse(text: &str) -> Result<Address, &'static str> {
    if text.starts_with("unix:") || text.starts_with("tcp:") {
        return parse_uri(text);
    }
    if text.is_empty() {
        return Err("the path is empty");
    }
    if text.contains("://") {
        return Err("neither a path nor a unix: or tcp: URI");
    }
    let path = Path::new(text);
    Ok(Address::Unix(
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    ))
}

/// A URI as `SPIFFE_ENDPOINT_SOCKET` holds it. Spec: Workload Endpoint §4 (WEP-12, WEP-13, WEP-14).
fn parse_uri(text: &str) -> Result<Address, &'static str> {
    if let Some(rest) = text.strip_prefix("unix:") {
        if rest.contains(['?', '#']) {
            return Err("a unix: URI has a path and nothing after it");
        }
        let path = match rest.strip_prefix("//") {
            Some(after) if after.starts_with('/') => after,
            Some("") => return Err("the path is missing"),
            Some(_) => return Err("a unix: URI names no host: three slashes, or one"),
            None => rest,
        };
        return match path {
            path if !path.starts_with('/') => Err("the path of a unix: URI is absolute"),
            "/" => Err("the path is missing"),
            path => Ok(Address::Unix(path.into())),
        };
    }
    let Some(rest) = text.strip_prefix("tcp://") else {
        return Err(if text.is_empty() {
            "it is empty"
        } else {
            "not a unix: or tcp: URI"
        });
    };
    match rest.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(Address::Tcp(address)),
        Ok(_) => Err("port 0 is no port to connect to"),
        Err(_) => Err("a tcp: URI has an IP address and a port, and nothing else"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn unix(path: &str) -> Result<Address, &'static str> {
        Ok(Address::Unix(path.into()))
    }

    #[test]
    fn uris_are_those_of_the_standard() {
        for (rule, text, want) in [
            (
                "WEP-13 +",
                "unix:///run/agent.sock",
                unix("/run/agent.sock"),
            ),
            ("WEP-13 +", "unix:/run/agent.sock", unix("/run/agent.sock")),
            (
                "WEP-14 +",
                "tcp://127.0.0.1:8000",
                Ok(Address::Tcp("127.0.0.1:8000".parse().unwrap())),
            ),
            (
                "WEP-14 +",
                "tcp://[::1]:8000",
                Ok(Address::Tcp("[::1]:8000".parse().unwrap())),
            ),
        ] {
            assert_eq!(parse_uri(text), want, "{rule}: {text}");
            assert_eq!(parse(text), want, "{text}");
        }
        for (rule, text) in [
            ("WEP-11 −", ""),
            ("WEP-12 −", "http://127.0.0.1:1"),
            ("WEP-12 −", "/run/agent.sock"),
            ("WEP-13 −", "unix:agent.sock"),
            ("WEP-13 −", "unix://host/agent.sock"),
            ("WEP-13 −", "unix://agent.sock"),
            ("WEP-13 −", "unix:///agent.sock?x"),
            ("WEP-13 −", "unix:///agent.sock#f"),
            ("WEP-13 −", "unix://"),
            ("WEP-13 −", "unix:///"),
            ("WEP-14 −", "tcp://localhost:1"),
            ("WEP-14 −", "tcp://1.2.3.4"),
            ("WEP-14 −", "tcp://1.2.3.4:1/"),
            ("WEP-14 −", "tcp://1.2.3.4:1/foo"),
            ("WEP-14 −", "tcp://u@1.2.3.4:1"),
            ("WEP-14 −", "tcp://1.2.3.4:0"),
            ("WEP-14 −", "tcp://1.2.3.4:65536"),
        ] {
            assert!(parse_uri(text).is_err(), "{rule}: {text}");
        }
    }

    #[test]
    fn the_flag_takes_a_path_too() {
        assert_eq!(parse("/run/agent.sock"), unix("/run/agent.sock"));
        assert_eq!(
            parse("agent.sock"),
            Ok(Address::Unix(
                env::current_dir().unwrap().join("agent.sock")
            ))
        );
        assert!(parse("").is_err());
        assert!(parse("http://x/y").is_err());
    }

    #[test]
    fn the_default_place_depends_on_who_asks() {
        let here = |uid, runtime_dir: Option<&str>| Surroundings {
            uid,
            runtime_dir: runtime_dir.map(PathBuf::from),
            temp_dir: "/tmp".into(),
        };
        for (here, want) in [
            (here(0, Some("/run/user/0")), "/run/plastron/agent.sock"),
            (
                here(1000, Some("/run/user/1000")),
                "/run/user/1000/plastron/agent.sock",
            ),
            (here(1000, None), "/tmp/plastron-1000/agent.sock"),
        ] {
            assert_eq!(here.own(), Path::new(want));
        }
        assert_eq!(here(0, None).places().len(), 1);
        assert_eq!(
            here(1000, None).places()[1],
            Path::new(SYSTEM),
            "a user finds the system's agent"
        );
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_trusted() {
        let temp = tempfile::tempdir().unwrap();
        let uid = temp.path().metadata().unwrap().uid();
        let here = Surroundings {
            uid: uid.max(1),
            runtime_dir: Some(temp.path().into()),
            temp_dir: temp.path().into(),
        };
        let folder = temp.path().join("plastron");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("agent.sock"), "").unwrap();
        let allow = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();

        allow(0o755);
        assert_eq!(check_folder(&folder, uid), Ok(()));
        assert!(
            check_folder(&folder, uid + 1)
                .unwrap_err()
                .contains("belongs to uid")
        );
        allow(0o777);
        assert!(
            check_folder(&folder, uid)
                .unwrap_err()
                .contains("mode 0777")
        );
        assert!(
            look(&here)
                .unwrap_err()
                .message
                .contains("not to be trusted")
        );

        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(
            check_folder(&link, uid)
                .unwrap_err()
                .contains("not a folder")
        );
    }

    #[test]
    fn without_an_agent_one_is_told_how_to_start_one() {
        let temp = tempfile::tempdir().unwrap();
        let here = Surroundings {
            uid: 1,
            runtime_dir: Some(temp.path().into()),
            temp_dir: "/tmp".into(),
        };
        // An agent of the system may be there.
        if let Err(failure) = look(&here) {
            assert!(failure.hint.unwrap().contains("run --dev"));
        }
    }
}
