//! Which of several identities to use. Spec: Workload API §8.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use plastron_id::SpiffeId;
#[cfg(feature = "wit")]
use plastron_svid::WitSvid;
use plastron_svid::{JwtSvid, X509Svid};

/// An SVID of one's own, whatever its form.
pub trait OwnSvid {
    /// Its SPIFFE ID.
    fn id(&self) -> &SpiffeId;

    /// What the operator calls this identity; empty where nothing was said.
    fn hint(&self) -> &str;
}

impl OwnSvid for X509Svid {
    fn id(&self) -> &SpiffeId {
        self.id()
    }

    fn hint(&self) -> &str {
        self.hint()
    }
}

impl OwnSvid for JwtSvid {
    fn id(&self) -> &SpiffeId {
        self.id()
    }

    fn hint(&self) -> &str {
        self.hint()
    }
}

#[cfg(feature = "wit")]
impl OwnSvid for WitSvid {
    fn id(&self) -> &SpiffeId {
        self.id()
    }

    fn hint(&self) -> &str {
        self.hint()
    }
}

/// Of SVIDs with the same hint the first stays (WAPI-29, WAPI-44, WAPI-64). Those without one all do.
pub fn first_of_each_hint<S: OwnSvid>(svids: Vec<S>) -> Vec<S> {
    let mut seen = HashSet::new();
    let is_first: Vec<bool> = svids
        .iter()
        .map(|svid| svid.hint().is_empty() || seen.insert(svid.hint()))
        .collect();
    let kept = svids.into_iter().zip(is_first);
    kept.filter_map(|(svid, is_first)| is_first.then_some(svid))
        .collect()
}

/// Says which of one's SVIDs is meant.
#[derive(Default)]
#[non_exhaustive]
pub enum SvidPicker<S = X509Svid> {
    /// The first, which the Workload API makes the default.
    #[default]
    First,
    /// The one with this SPIFFE ID; of several the first.
    Id(SpiffeId),
    /// The one that the operator calls this.
    Hint(Box<str>),
    /// Whichever the function returns; see [`SvidPicker::with`].
    With(PickFn<S>),
}

/// A choice among SVIDs by their place.
type PickFn<S> = Arc<dyn Fn(&[S]) -> Option<usize> + Send + Sync>;

impl<S: OwnSvid> SvidPicker<S> {
    /// Leaves the choice to a function, which returns a place in the list.
    pub fn with(pick: impl Fn(&[S]) -> Option<usize> + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(pick))
    }

    /// The SVID of `svids`, the default first, that is meant (WAPI-68, WAPI-69).
    ///
    /// # Errors
    ///
    /// There is none such; the default does not step in (WAPI-70).
    pub fn pick<'s>(&self, svids: &'s [S]) -> Result<&'s S, NoSuchSvid> {
        let picked = match self {
            Self::First => svids.first(),
            Self::Id(id) => svids.iter().find(|svid| svid.id() == id),
            Self::Hint(hint) => svids.iter().find(|svid| *svid.hint() == **hint),
            Self::With(pick) => pick(svids).and_then(|at| svids.get(at)),
        };
        picked.ok_or(NoSuchSvid)
    }
}

impl<S> Clone for SvidPicker<S> {
    fn clone(&self) -> Self {
        match self {
            Self::First => Self::First,
            Self::Id(id) => Self::Id(id.clone()),
            Self::Hint(hint) => Self::Hint(hint.clone()),
            Self::With(pick) => Self::With(Arc::clone(pick)),
        }
    }
}

impl<S> fmt::Debug for SvidPicker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("First"),
            Self::Id(id) => f.debug_tuple("Id").field(id).finish(),
            Self::Hint(hint) => f.debug_tuple("Hint").field(hint).finish(),
            Self::With(_) => f.write_str("With(..)"),
        }
    }
}

/// None of the SVIDs is the one that was wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoSuchSvid;

impl fmt::Display for NoSuchSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such SVID")
    }
}

impl std::error::Error for NoSuchSvid {}
