//! Who of those whose SVID is valid may talk to us.

use std::fmt;
use std::sync::Arc;

use plastron_id::{SpiffeId, SpiffeIdPattern, SpiffeIdRef, TrustDomain};

/// Decides on the SPIFFE ID of a peer whose SVID was verified (SVID-14). Clones decide alike.
///
/// There is none that lets everybody in: that a peer belongs to some trust domain that one knows says little.
#[derive(Clone)]
pub struct Authorizer(Rule);

#[derive(Clone)]
enum Rule {
    Patterns(Arc<[SpiffeIdPattern]>),
    With(Arc<dyn Fn(SpiffeIdRef<'_>) -> bool + Send + Sync>),
}

impl Authorizer {
    /// Lets in these IDs and no others; nobody, if there are none.
    pub fn ids(ids: impl IntoIterator<Item = SpiffeId>) -> Self {
        Self::patterns(ids.into_iter().map(|id| SpiffeIdPattern::from(&id)))
    }

    /// Lets in all workloads of a trust domain.
    pub fn member_of(trust_domain: TrustDomain) -> Self {
        Self::patterns([SpiffeIdPattern::member_of(trust_domain.as_ref())])
    }

    /// Lets in whoever one of these patterns means; nobody, if there are none.
    pub fn patterns(patterns: impl IntoIterator<Item = SpiffeIdPattern>) -> Self {
        Self(Rule::Patterns(patterns.into_iter().collect()))
    }

    /// Leaves the decision to a function, which is called on each handshake and may change its mind between them.
    pub fn with(decide: impl Fn(SpiffeIdRef<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::With(Arc::new(decide)))
    }

    /// Whether `id` is let in.
    pub fn allows(&self, id: SpiffeIdRef<'_>) -> bool {
        match &self.0 {
            Rule::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(id)),
            Rule::With(decide) => decide(id),
        }
    }
}

/// Whom it lets in, as far as that can be said.
impl fmt::Display for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Patterns(patterns) => match patterns.split_first() {
                None => f.write_str("nobody"),
                Some((first, others)) => {
                    write!(f, "{first}")?;
                    others.iter().try_for_each(|other| write!(f, ", {other}"))
                }
            },
            Rule::With(_) => f.write_str("a function"),
        }
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorizer({self})")
    }
}
