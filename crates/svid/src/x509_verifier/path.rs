//! Looking for a path from a leaf to an authority.
//!
//! Names, validity and the other rules that cost little decide which certificates make a path; only then are its signatures
//! checked, from the authority down, so that a chain that somebody made up costs one check and not many. AKI and SKI say
//! which candidate to try first and no more. Spec: RFC 5280 §6.1.

use pki_types::{SignatureVerificationAlgorithm, UnixTime};
use plastron_bundle::X509Authority;
use plastron_bundle::certificate::Certificate;

use super::leaf::is_key_acceptable;
use super::verified_paths::Signature;
use super::{PathError, PeerRole, VerifiedPaths, name_constraints};

/// The most intermediates between a leaf and its authority (X509-61, which wants six at least).
pub const MAX_INTERMEDIATES: usize = 8;

/// The most signatures that are checked for one chain (X509-61).
///
/// The longest path takes nine; the rest is for rotated authorities of one name.
pub const MAX_SIGNATURES: usize = 32;

/// The most certificates that are tried as the issuer of another for one chain (X509-61).
///
/// A chain of certificates that all have one name would otherwise have as many paths as it has orders.
pub const MAX_PATH_STEPS: usize = 256;

/// The most comparisons of a name with a constraint for one chain (X509-61).
///
/// Two hundred names under a hundred constraints take 20,000; all together take less than ten checks of a signature.
pub const MAX_NAME_COMPARISONS: usize = 50_000;

/// The most comparisons of an authority's name with that of an issuer for one chain (X509-61).
///
/// Nobody is kept from a bundle of thousands: the longest path takes nine looks at it. But two hundred looks, which a chain of
/// certificates that all have one name could ask for, would take more time than all signatures.
pub const MAX_AUTHORITY_COMPARISONS: usize = 250_000;

/// A name counts once more for each of so many bytes, as a comparison and as a step: common ones do not.
const LONG_NAME: usize = 256;

/// What one search has, and looks through.
pub(super) struct Search<'s, 'c> {
    pub(super) algorithms: &'s [&'s dyn SignatureVerificationAlgorithm],
    pub(super) paths: Option<&'s VerifiedPaths<'s>>,
    pub(super) role: PeerRole,
    pub(super) now: UnixTime,
    pub(super) authorities: &'s [X509Authority],
    pub(super) intermediates: &'s [Certificate<'c>],
}

/// When all certificates of a path are valid, both ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) from: UnixTime,
    pub(super) until: UnixTime,
}

impl Window {
    pub(super) fn contains(self, now: UnixTime) -> bool {
        self.from <= now && now <= self.until
    }

    fn narrowed(self, certificate: &Certificate<'_>) -> Self {
        Self {
            from: self.from.max(certificate.not_before()),
            until: self.until.min(certificate.not_after()),
        }
    }
}

/// A path that keeps all rules.
pub(super) struct Found {
    pub(super) window: Window,
    /// How many certificates stand between leaf and authority.
    pub(super) intermediates: usize,
    /// Whether they are the first of those presented, each before its issuer.
    pub(super) is_in_order: bool,
}

/// What may still be spent on a chain.
pub(super) struct Budget {
    signatures: usize,
    steps: usize,
    name_comparisons: usize,
    authority_comparisons: usize,
}

impl Budget {
    pub(super) const FULL: Self = Self {
        signatures: MAX_SIGNATURES,
        steps: MAX_PATH_STEPS,
        name_comparisons: MAX_NAME_COMPARISONS,
        authority_comparisons: MAX_AUTHORITY_COMPARISONS,
    };

    fn spend(of: &mut usize, cost: usize) -> Result<(), PathError> {
        *of = of.checked_sub(cost).ok_or(PathError::TooMuchWork)?;
        Ok(())
    }

    /// Pays for looking at a name and a constraint of so many bytes together.
    pub(super) fn spend_name_comparison(&mut self, bytes: usize) -> Result<(), PathError> {
        Self::spend(&mut self.name_comparisons, 1 + bytes / LONG_NAME)
    }
}

/// A certificate and those below it, down to the leaf.
struct Link<'l, 'c> {
    certificate: &'l Certificate<'c>,
    below: Option<&'l Link<'l, 'c>>,
    /// Intermediates up to here that are not self-issued (X509-59).
    counted: u32,
    /// Intermediates up to here.
    intermediates: usize,
}

impl<'l, 'c> Link<'l, 'c> {
    /// The links from here down to the leaf.
    fn down(&'l self) -> impl Iterator<Item = &'l Link<'l, 'c>> {
        std::iter::successors(Some(self), |link| link.below)
    }

    fn is_leaf(&self) -> bool {
        self.below.is_none()
    }
}

impl<'c> Search<'_, 'c> {
    /// Finds a path for `leaf`.
    pub(super) fn run(&self, leaf: &Certificate<'c>) -> Result<Found, PathError> {
        let leaf = Link {
            certificate: leaf,
            below: None,
            counted: 0,
            intermediates: 0,
        };
        let mut budget = Budget::FULL;
        self.extend(&leaf, &mut budget)
    }

    /// Finds who issued `tip`, and who issued that, up to an authority.
    fn extend(&self, tip: &Link<'_, 'c>, budget: &mut Budget) -> Result<Found, PathError> {
        Budget::spend(
            &mut budget.steps,
            tip.certificate.issuer().len() / LONG_NAME,
        )?;
        let mut outcome = Outcome(PathError::UnknownIssuer);
        let mut some_differ = false;
        for hint in [Hint::Fits, Hint::Differs] {
            if hint == Hint::Differs && !some_differ {
                break;
            }
            let mut is_wanted = |issuer: &Certificate<'_>| {
                let found = Hint::of(tip.certificate, issuer);
                some_differ |= found == Some(Hint::Differs);
                found == Some(hint)
            };
            Budget::spend(&mut budget.authority_comparisons, self.authorities.len())?;
            for authority in self.authorities {
                // Looked at before anything is copied: a bundle may have thousands.
                if authority.subject() != tip.certificate.issuer() {
                    continue;
                }
                let authority = authority.certificate();
                if !is_wanted(&authority) {
                    continue;
                }
                match self.close(tip, &authority, budget) {
                    Ok(found) => return Ok(found),
                    Err(error) => outcome.note(error)?,
                }
            }
            for issuer in self.intermediates {
                if !is_wanted(issuer) || is_repeated(tip, issuer) {
                    continue;
                }
                match self.climb(tip, issuer, budget) {
                    Ok(found) => return Ok(found),
                    Err(error) => outcome.note(error)?,
                }
            }
        }
        Err(outcome.0)
    }

    /// Goes on with `issuer` as the next intermediate.
    fn climb(
        &self,
        tip: &Link<'_, 'c>,
        issuer: &Certificate<'c>,
        budget: &mut Budget,
    ) -> Result<Found, PathError> {
        Budget::spend(&mut budget.steps, 1)?;
        if tip.intermediates == MAX_INTERMEDIATES {
            return Err(PathError::TooLong);
        }
        if !issuer.is_valid_at(self.now) {
            return Err(PathError::IntermediateValidity);
        }
        self.check_issuer(tip, issuer, budget)?;
        let link = Link {
            certificate: issuer,
            below: Some(tip),
            counted: tip.counted + u32::from(!issuer.is_self_issued()),
            intermediates: tip.intermediates + 1,
        };
        self.extend(&link, budget)
    }

    /// Ends the path at `authority`, and checks its signatures from there down.
    ///
    /// An authority is held to what its certificate says, validity included: what a trust domain publishes is a certificate
    /// and not a bare key (AMB-12).
    fn close(
        &self,
        tip: &Link<'_, 'c>,
        authority: &Certificate<'_>,
        budget: &mut Budget,
    ) -> Result<Found, PathError> {
        Budget::spend(&mut budget.steps, 1)?;
        if !authority.is_valid_at(self.now) {
            return Err(PathError::AuthorityValidity);
        }
        self.check_issuer(tip, authority, budget)?;
        let mut window = Window {
            from: authority.not_before(),
            until: authority.not_after(),
        };
        let mut issuer = authority;
        let mut is_in_order = true;
        for link in tip.down() {
            Budget::spend(&mut budget.signatures, 1)?;
            if link.is_leaf() {
                self.check_signature(link.certificate, issuer)?;
            } else {
                self.check_intermediate(link.certificate, issuer)?;
                let presented = &self.intermediates[link.intermediates - 1];
                is_in_order &= std::ptr::eq(link.certificate, presented);
            }
            window = window.narrowed(link.certificate);
            issuer = link.certificate;
        }
        Ok(Found {
            window,
            intermediates: tip.intermediates,
            is_in_order,
        })
    }

    /// Checks all rules on an issuer of `tip` but its validity and signatures. Spec: RFC 5280 §6.1.4
    /// (X509-23, X509-55 to X509-59).
    fn check_issuer(
        &self,
        tip: &Link<'_, 'c>,
        issuer: &Certificate<'_>,
        budget: &mut Budget,
    ) -> Result<(), PathError> {
        if !issuer.is_ca() {
            return Err(PathError::NotCa);
        }
        if issuer
            .key_usage()
            .is_some_and(|usage| !usage.key_cert_sign())
        {
            return Err(PathError::KeyUsage);
        }
        // The standard leaves open whether the purposes of a CA bind what it signs; here, as in Web PKI, they do (X509-38).
        if !self.role.is_allowed_by(issuer.extended_key_usage()) {
            return Err(PathError::ExtendedKeyUsage);
        }
        if issuer.unknown_critical_extension().is_some() {
            return Err(PathError::UnknownCriticalExtension);
        }
        if issuer.path_len().is_some_and(|most| tip.counted > most) {
            return Err(PathError::PathLength);
        }
        if !is_key_acceptable(&issuer.spki(), self.algorithms) {
            return Err(PathError::Key);
        }
        if let Some(constraints) = issuer.name_constraints() {
            for link in tip.down() {
                // Spec: RFC 5280 §6.1.3 (b): self-issued certificates are exempt, unless final.
                if link.is_leaf() || !link.certificate.is_self_issued() {
                    name_constraints::check(&constraints, link.certificate, budget)?;
                }
            }
        }
        Ok(())
    }

    /// As [`check_signature`](Self::check_signature), unless that is known already.
    fn check_intermediate(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
    ) -> Result<(), PathError> {
        let place = self
            .paths
            .and_then(|paths| paths.signature(certificate, issuer));
        if place.as_ref().is_some_and(Signature::is_known) {
            return Ok(());
        }
        self.check_signature(certificate, issuer)?;
        if let Some(place) = place {
            place.remember();
        }
        Ok(())
    }

    /// Checks that `issuer` signed `certificate` (X509-52). Algorithm and key are matched by the bytes of their identifiers,
    /// parameters included (X509-47).
    fn check_signature(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
    ) -> Result<(), PathError> {
        let spki = issuer.spki();
        self.algorithms
            .iter()
            .find(|algorithm| {
                algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm()
                    && algorithm.public_key_alg_id().as_ref() == spki.algorithm()
            })
            .ok_or(PathError::UnsupportedAlgorithm)?
            .verify_signature(spki.key_bits(), certificate.tbs(), certificate.signature())
            .map_err(|_| PathError::Signature)
    }
}

/// Whether a path to `issuer` would only come back to where it has been.
fn is_repeated(tip: &Link<'_, '_>, issuer: &Certificate<'_>) -> bool {
    tip.down().any(|link| {
        let certificate = link.certificate;
        certificate.subject() == issuer.subject() && certificate.spki() == issuer.spki()
    })
}

/// What the key identifiers say of a possible issuer.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Hint {
    /// They are equal, or one is missing.
    Fits,
    Differs,
}

impl Hint {
    /// `None` where the names differ, so that `issuer` is none (X509-54). An issuer of another key is tried after those that fit, which
    /// spares signatures (X509-61).
    fn of(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> Option<Self> {
        if certificate.issuer() != issuer.subject() {
            return None;
        }
        match (certificate.authority_key_id(), issuer.subject_key_id()) {
            (Some(wanted), Some(has)) if wanted != has => Some(Self::Differs),
            _ => Some(Self::Fits),
        }
    }
}

/// The first reason that says more than that nobody is there.
struct Outcome(PathError);

impl Outcome {
    /// Notes why one candidate failed. Exhaustion ends the search.
    fn note(&mut self, error: PathError) -> Result<(), PathError> {
        if error == PathError::TooMuchWork {
            return Err(error);
        }
        if self.0 == PathError::UnknownIssuer {
            self.0 = error;
        }
        Ok(())
    }
}
