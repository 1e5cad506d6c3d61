//! Credentials as files, for programs that can only read files.
//!
//! Each file is written beside its name and renamed over it, so that a reader sees the old or the new one; keys are
//! never readable by others, not for a moment.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64ct::LineEnding;
use plastron_bundle::{certificate::certificates, pem};
use plastron_wire::workload as proto;

use crate::report::Failure;

/// A file to write.
struct File {
    name: String,
    content: Vec<u8>,
    mode: u32,
}

impl File {
    fn public(name: String, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            content: content.into(),
            mode: 0o644,
        }
    }

    fn secret(name: String, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            content: content.into(),
            mode: 0o600,
        }
    }
}

/// `svid.N.pem` with the chain, `svid.N.key`, `bundle.N.pem`, and `federated_bundle.N.M.pem` as SPIRE has it.
pub(super) fn x509_svids(
    dir: &Path,
    response: &proto::X509svidResponse,
) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for (number, svid) in response.svids.iter().enumerate() {
        let key = pem_rfc7468::encode_string("PRIVATE KEY", LineEnding::LF, &svid.x509_svid_key)
            .map_err(|error| unusable(&svid.spiffe_id, "key", &error))?;
        files.push(File::public(
            format!("svid.{number}.pem"),
            pem_of(&svid.spiffe_id, &svid.x509_svid)?,
        ));
        files.push(File::secret(format!("svid.{number}.key"), key));
        files.push(File::public(
            format!("bundle.{number}.pem"),
            pem_of(&svid.spiffe_id, &svid.bundle)?,
        ));
        for (other, (name, bundle)) in response.federated_bundles.iter().enumerate() {
            files.push(File::public(
                format!("federated_bundle.{number}.{other}.pem"),
                pem_of(name, bundle)?,
            ));
        }
    }
    write(dir, files)
}

/// `jwt_svid.N.token`.
pub(super) fn jwt_svids(
    dir: &Path,
    response: &proto::JwtsvidResponse,
) -> Result<Vec<PathBuf>, Failure> {
    let tokens = response.svids.iter().enumerate();
    write(
        dir,
        tokens
            .map(|(number, svid)| {
                File::secret(format!("jwt_svid.{number}.token"), svid.svid.as_bytes())
            })
            .collect(),
    )
}

/// `bundle.N.pem`.
pub(super) fn x509_bundles(
    dir: &Path,
    response: &proto::X509BundlesResponse,
) -> Result<Vec<PathBuf>, Failure> {
    let bundles = response.bundles.iter().enumerate();
    let files = bundles.map(|(number, (name, der))| {
        Ok(File::public(
            format!("bundle.{number}.pem"),
            pem_of(name, der)?,
        ))
    });
    write(dir, files.collect::<Result<_, Failure>>()?)
}

/// `jwt_bundle.N.json`.
pub(super) fn jwt_bundles(
    dir: &Path,
    response: &proto::JwtBundlesResponse,
) -> Result<Vec<PathBuf>, Failure> {
    let bundles = response.bundles.values().enumerate();
    write(
        dir,
        bundles
            .map(|(number, jwks)| File::public(format!("jwt_bundle.{number}.json"), jwks.as_ref()))
            .collect(),
    )
}

fn pem_of(of: &str, der: &[u8]) -> Result<String, Failure> {
    let all = certificates(der)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(of, "certificate", &error))?;
    if all.is_empty() {
        return Err(Failure::cannot_tell(format!(
            "the agent sent no certificate of {of}"
        )));
    }
    Ok(all
        .iter()
        .map(|certificate| pem::certificate(certificate.der()))
        .collect())
}

fn unusable(of: &str, what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::cannot_tell(format!(
        "the agent sent a {what} of {of} that cannot be used: {error}"
    ))
}

fn write(dir: &Path, files: Vec<File>) -> Result<Vec<PathBuf>, Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| Failure::file(dir, "made", &error))?;
    files
        .into_iter()
        .map(|file| {
            let path = dir.join(&file.name);
            replace(&path, &file).map_err(|error| Failure::file(&path, "written", &error))?;
            Ok(path)
        })
        .collect()
}

fn replace(path: &Path, file: &File) -> io::Result<()> {
    let beside = path.with_file_name(format!(".{}.{}", file.name, std::process::id()));
    let written = (|| {
        // Never an existing file or link: whoever may write in the folder gains nothing by it.
        let mut new = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(file.mode)
            .open(&beside)?;
        new.write_all(&file.content)?;
        new.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_replaced_whole_and_secrets_stay_secret() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("new/folder");
        for content in ["one", "two"] {
            let files = vec![
                File::public("a.pem".into(), content),
                File::secret("a.key".into(), content),
            ];
            let written = write(&dir, files).unwrap();
            assert_eq!(written, [dir.join("a.pem"), dir.join("a.key")]);
            assert_eq!(fs::read_to_string(&written[1]).unwrap(), content);
        }
        let mode = |name: &str| dir.join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("a.key"), 0o600);
        assert_eq!(
            fs::read_dir(&dir).unwrap().count(),
            2,
            "nothing is left beside"
        );

        let victim = temp.path().join("victim");
        std::os::unix::fs::symlink(&victim, dir.join("b.key")).unwrap();
        write(&dir, vec![File::secret("b.key".into(), "three")]).unwrap();
        assert!(!victim.exists(), "a link is replaced, not followed");
    }
}
