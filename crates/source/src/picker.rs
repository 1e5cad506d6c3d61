//! Which of several identities to use. Spec: Workload API §8 (WAPI-68 to WAPI-70).

use std::fmt;
use std::sync::Arc;

use plastron_id::SpiffeId;
use plastron_svid::X509Svid;

/// Says which of one's SVIDs is meant.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum SvidPicker {
    /// The first, which the Workload API makes the default.
    #[default]
    First,
    /// The one with this SPIFFE ID; of several the first.
    Id(SpiffeId),
    /// The one that the operator calls this.
    Hint(Box<str>),
    /// Whichever the function returns; see [`SvidPicker::with`].
    With(PickFn),
}

/// A choice among SVIDs by their place.
type PickFn = Arc<dyn Fn(&[X509Svid]) -> Option<usize> + Send + Sync>;

impl SvidPicker {
    /// Leaves the choice to a function, which returns a place in the list.
    pub fn with(pick: impl Fn(&[X509Svid]) -> Option<usize> + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(pick))
    }

    pub(crate) fn pick<'s>(&self, svids: &'s [X509Svid]) -> Option<&'s X509Svid> {
        match self {
            Self::First => svids.first(),
            Self::Id(id) => svids.iter().find(|svid| svid.id() == id),
            Self::Hint(hint) => svids.iter().find(|svid| *svid.hint() == **hint),
            Self::With(pick) => svids.get(pick(svids)?),
        }
    }
}

impl fmt::Debug for SvidPicker {
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
