//! `run --dev`: an agent for the one who tries it, that leaves nothing behind.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use plastron_id::SpiffeId;
use serde_json::json;

use crate::{accounts::Accounts, config::Given, report::Format, socket};

const TRUST_DOMAIN: &str = "example.org";

/// A private folder with a configuration in it. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct Dev {
    folder: PathBuf,
    spiffe_id: SpiffeId,
}

impl Dev {
    /// Makes the folder and writes the configuration: keys and records in it, and one entry for the user who runs this.
    pub(super) fn new(given: &[Given]) -> io::Result<Self> {
        let uid = rustix::process::getuid().as_raw();
        let trust_domain = given.iter().find(|given| given.key.name == "trust_domain");
        let trust_domain = trust_domain.and_then(|given| given.text.parse().ok());
        let trust_domain: plastron_id::TrustDomain = trust_domain
            .unwrap_or_else(|| TRUST_DOMAIN.parse().expect("the constant is a valid name"));
        let spiffe_id = Accounts::read()
            .user(uid)
            .and_then(|name| SpiffeId::from_segments(trust_domain.as_ref(), &["user", name]).ok())
            .or_else(|| {
                SpiffeId::from_segments(trust_domain.as_ref(), &["user", &uid.to_string()]).ok()
            })
            .ok_or_else(|| io::Error::other("the trust domain's name leaves no room for a path"))?;
        let dev = Self {
            folder: private_folder()?,
            spiffe_id,
        };
        let text = format!(
            "# A configuration to play with: what you write here is in force at once.\n\
             trust_domain = \"{trust_domain}\"\n\
             data_dir = \"state\"\n\n\
             [workload_api]\nsocket = {:?}\n\n\
             [audit]\nfile = \"audit.jsonl\"\n\n\
             [[entry]]\nspiffe_id = \"{}\"\nselectors = [\"unix:uid:{uid}\"]\n",
            socket::default_path(),
            dev.spiffe_id,
        );
        fs::write(dev.config(), text)?;
        Ok(dev)
    }

    /// The configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// Says what there is, and what to type next.
    pub(super) fn greet(&self, socket: &Path, format: Format) -> io::Result<()> {
        let (folder, config) = (self.folder.display(), self.config());
        let mut out = io::stdout().lock();
        if format == Format::Json {
            let object = json!({
                "socket": socket,
                "config": config,
                "folder": self.folder,
                "spiffe_id": self.spiffe_id.as_str(),
            });
            writeln!(out, "{object}")?;
            return out.flush();
        }
        write!(
            out,
            "This agent is for you alone. Whatever you run is {id}.\n\
             Its keys, its record and its configuration are in {folder},\nwhich goes away when it stops (Ctrl-C).\n\n\
             In another terminal:\n\n",
            id = self.spiffe_id,
        )?;
        // Found without being told when it is where agents listen by default.
        if socket != socket::default_path() {
            writeln!(
                out,
                "  export SPIFFE_ENDPOINT_SOCKET=unix://{}",
                socket.display()
            )?;
        }
        let command = this_command();
        let next = [
            (format!("{command} api fetch x509"), "your certificate"),
            (
                format!("{command} api fetch jwt --audience test"),
                "your token",
            ),
            (
                format!("{command} api watch"),
                "how it is renewed, and changes with the configuration",
            ),
            (
                format!("{command} explain --pid $$"),
                "why you are who you are",
            ),
            (
                format!("{command} bundle show"),
                "what others need to check you",
            ),
            (format!("{command} authority rotate"), "new signing keys"),
            (
                format!("{command} audit verify {folder}/audit.jsonl"),
                "who was given what, and that nobody changed it",
            ),
            (
                format!("$EDITOR {}", config.display()),
                "who may be what; in force when you save it",
            ),
        ];
        let width = next
            .iter()
            .map(|(command, _)| command.chars().count())
            .max()
            .unwrap_or(0);
        for (command, why) in next {
            writeln!(out, "  {command:width$}  # {why}")?;
        }
        writeln!(out)?;
        out.flush()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the temporary folder stays");
        }
    }
}

/// How this program was called, as far as it can be typed again.
fn this_command() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = name.to_string_lossy();
    if name.is_empty() || name.contains(char::is_whitespace) {
        "plastron-agent".to_owned()
    } else {
        name.into_owned()
    }
}

/// A new folder that nobody else can look into. Making it fails where something is already, so nobody can lay one out.
fn private_folder() -> io::Result<PathBuf> {
    let temp = std::env::temp_dir();
    let pid = std::process::id();
    let mut number = 0;
    loop {
        let folder = temp.join(format!("plastron-dev-{pid}-{number}"));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {
                number += 1;
            }
            outcome => return outcome.map(|()| folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config;

    #[test]
    fn the_folder_is_private_and_goes_away_and_its_configuration_is_fine() {
        let dev = Dev::new(&[]).unwrap();
        let folder = dev.folder.clone();
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        let checked = config::load(&dev.config(), &[]).unwrap();
        let settings = &checked.settings;
        assert_eq!(settings.trust_domain.as_str(), "example.org");
        assert_eq!(
            settings.data_dir.as_deref(),
            Some(folder.join("state").as_path())
        );
        assert_eq!(settings.workload_api.socket, socket::default_path());
        assert_eq!(settings.entries.len(), 1);
        assert_eq!(checked.warnings(crate::calendar::now()).to_string(), "");
        drop(dev);
        assert!(!folder.exists());
    }
}
