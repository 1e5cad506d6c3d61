//! The bundles of foreign trust domains, from files: a file that is missing or broken never takes away what it held
//! before.

use std::{collections::HashMap, fs, sync::Arc};

use plastron_agent::health::Component;
use plastron_bundle::{Bundle, BundleSet};
use plastron_id::TrustDomain;

use crate::{bundle_file, config::ForeignBundle};

/// The last good bundle of each foreign trust domain.
#[derive(Debug)]
pub(super) struct ForeignBundles {
    good: HashMap<TrustDomain, Arc<Bundle>>,
    health: Component,
}

impl ForeignBundles {
    pub(super) fn new(health: Component) -> Self {
        Self {
            good: HashMap::new(),
            health,
        }
    }

    /// Reads the files, and says in log and health what could not be read.
    pub(super) fn read(&mut self, wanted: &[ForeignBundle]) -> BundleSet {
        self.good.retain(|trust_domain, _| {
            wanted
                .iter()
                .any(|bundle| bundle.trust_domain == *trust_domain)
        });
        let mut problems = Vec::new();
        for bundle in wanted {
            match read_one(bundle) {
                Ok(read) => {
                    self.good
                        .insert(bundle.trust_domain.clone(), Arc::new(read));
                }
                Err(problem) => {
                    let meanwhile = match self.good.contains_key(&bundle.trust_domain) {
                        true => "the one before stays in force",
                        false => "there is none until then",
                    };
                    tracing::warn!(
                        trust_domain = bundle.trust_domain.as_str(),
                        "{problem}; {meanwhile}"
                    );
                    problems.push(format!(
                        "bundle of {}: {problem}; {meanwhile}",
                        bundle.trust_domain
                    ));
                }
            }
        }
        match problems.is_empty() {
            true => self.health.ok(),
            false => self.health.degraded(problems.join("; ")),
        }
        let mut set = BundleSet::new();
        for bundle in self.good.values() {
            set.insert(bundle.clone());
        }
        set
    }
}

fn read_one(wanted: &ForeignBundle) -> Result<Bundle, String> {
    let file = wanted.file.display();
    let bytes =
        fs::read(&wanted.file).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let parsed = bundle_file::parse(wanted.trust_domain.clone(), &bytes)
        .map_err(|error| format!("{file} is not a bundle: {error}"))?;
    for skipped in &parsed.skipped {
        tracing::warn!(file = %file, trust_domain = wanted.trust_domain.as_str(), "a key is left out: {skipped:?}");
    }
    if parsed.bundle.is_empty() {
        return Err(format!("{file} has no key that can be used"));
    }
    Ok(parsed.bundle)
}
