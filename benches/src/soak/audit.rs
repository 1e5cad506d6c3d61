//! Whether the audit tells of everything that was received.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::judge::Process;

/// What of a record matters here.
#[derive(Deserialize)]
struct Record {
    kind: String,
    pid: Option<Process>,
    serial: Option<String>,
    jti: Option<String>,
}

/// The releases in audit files.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    pub(crate) x509: u64,
    pub(crate) jwt: u64,
    each: HashMap<(Process, String), u64>,
}

impl Releases {
    pub(crate) fn read(&mut self, file: &Path) -> Result<()> {
        for line in BufReader::new(File::open(file)?).lines() {
            let record: Record = serde_json::from_str(&line?)?;
            let credential = match record.kind.as_str() {
                "x509_svid" => {
                    self.x509 += 1;
                    record.serial
                }
                "jwt_svid" => {
                    self.jwt += 1;
                    record.jti
                }
                _ => continue,
            };
            if let (Some(pid), Some(credential)) = (record.pid, credential) {
                let key = (pid, significant(&credential).to_owned());
                *self.each.entry(key).or_default() += 1;
            }
        }
        Ok(())
    }

    /// How often this credential was given to this process.
    pub(crate) fn times(&self, process: Process, credential: &str) -> u64 {
        let key = (process, significant(credential).to_owned());
        self.each.get(&key).copied().unwrap_or_default()
    }
}

/// A serial is a number: zeros before it say nothing.
fn significant(hex: &str) -> &str {
    hex.trim_start_matches('0')
}
