//! A difference between our verifier and another that is meant, with the rule that makes it.

/// A difference that is meant.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Difference {
    /// What we say: [`ACCEPTED`], or the rule broken.
    pub(crate) ours: &'static str,
    /// What the other says: [`ACCEPTED`], or the variant of its error.
    pub(crate) theirs: &'static str,
    pub(crate) why: &'static str,
}

pub(crate) const ACCEPTED: &str = "accepted";

/// What only we refuse.
pub(crate) const fn stricter(ours: &'static str, why: &'static str) -> Difference {
    let theirs = ACCEPTED;
    Difference { ours, theirs, why }
}

/// The row for two verdicts: `None` where they agree, and what they are where there is no row.
pub(crate) fn explain(
    table: &'static [Difference],
    ours: &Result<(), String>,
    theirs: &Result<(), String>,
) -> Option<Result<&'static Difference, String>> {
    let shown = |verdict: &Result<(), String>| match verdict {
        Ok(()) => ACCEPTED.to_owned(),
        Err(reason) => reason.clone(),
    };
    if ours.is_ok() == theirs.is_ok() {
        return None;
    }
    let (ours, theirs) = (shown(ours), shown(theirs));
    let row = table
        .iter()
        .find(|row| row.ours == ours && row.theirs == theirs);
    Some(row.ok_or_else(|| format!("we say {ours:?}, and they say {theirs:?}")))
}

/// The name of an error's variant.
pub(crate) fn variant(error: &impl std::fmt::Debug) -> String {
    let shown = format!("{error:?}");
    let end = shown.find(|c: char| !c.is_alphanumeric());
    shown[..end.unwrap_or(shown.len())].to_owned()
}
