//! Selectors: one attested fact about a workload, in SPIRE's words (`unix:uid:1000`).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One fact that an attestor establishes and an entry asks for, such as `unix:uid:1000`.
///
/// The text before the first colon is the [`kind`](Self::kind), which names the attestor; the rest is the
/// [`value`](Self::value), which may hold colons of its own. Both are compared byte by byte. Cloning shares the text.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector(Arc<str>);

impl Selector {
    /// Puts a selector together from its two parts.
    ///
    /// # Errors
    ///
    /// When a part is empty, or the kind holds a colon.
    pub fn new(kind: &str, value: &str) -> Result<Self, SelectorError> {
        if kind.contains(':') {
            return Err(SelectorError::ColonInKind);
        }
        check(kind, value)?;
        Ok(Self(format!("{kind}:{value}").into()))
    }

    /// The attestor this fact comes from: `unix` in `unix:uid:1000`.
    pub fn kind(&self) -> &str {
        self.parts().0
    }

    /// What the attestor says: `uid:1000` in `unix:uid:1000`.
    pub fn value(&self) -> &str {
        self.parts().1
    }

    /// The sort of fact, up to the value's first colon: `uid` in `unix:uid:1000`.
    pub fn name(&self) -> &str {
        let value = self.value();
        value.split_once(':').map_or(value, |(name, _)| name)
    }

    /// Kind and name together: `unix:uid` in `unix:uid:1000`.
    pub fn sort(&self) -> &str {
        &self.0[..self.kind().len() + 1 + self.name().len()]
    }

    /// The whole text: `unix:uid:1000`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str) {
        self.0
            .split_once(':')
            .expect("every constructor checks that there is a colon")
    }
}

fn check(kind: &str, value: &str) -> Result<(), SelectorError> {
    if kind.is_empty() {
        return Err(SelectorError::NoKind);
    }
    if value.is_empty() {
        return Err(SelectorError::NoValue);
    }
    Ok(())
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (kind, value) = text.split_once(':').ok_or(SelectorError::NoColon)?;
        check(kind, value)?;
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for Selector {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Why a text is no selector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// There is no colon between kind and value.
    #[error("selector has no colon between kind and value")]
    NoColon,
    /// Nothing stands before the first colon.
    #[error("selector has no kind")]
    NoKind,
    /// Nothing stands after the first colon.
    #[error("selector has no value")]
    NoValue,
    /// A kind given by itself holds a colon.
    #[error("selector kind holds a colon")]
    ColonInKind,
}

/// A set of selectors.
///
/// A workload has the facts of an entry when the entry's set [is a subset](Self::is_subset) of the workload's.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Selectors(Vec<Selector>);

impl Selectors {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one selector; says whether it was new.
    pub fn insert(&mut self, selector: Selector) -> bool {
        match self.0.binary_search(&selector) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, selector);
                true
            }
        }
    }

    /// Whether the set holds this selector, given by its text.
    pub fn contains(&self, selector: &str) -> bool {
        self.0
            .binary_search_by(|own| own.as_str().cmp(selector))
            .is_ok()
    }

    /// Whether every selector of this set is in `other`. The empty set is a subset of all.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).next().is_none()
    }

    /// The selectors of this set that `other` lacks.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Selector> {
        self.0
            .iter()
            .filter(|selector| other.0.binary_search(selector).is_err())
    }

    /// The selectors, in the order of their text.
    pub fn iter(&self) -> std::slice::Iter<'_, Selector> {
        self.0.iter()
    }

    /// Replaces each selector by an equal one.
    pub(crate) fn share(&mut self, mut equal: impl FnMut(&Selector) -> Selector) {
        for selector in &mut self.0 {
            *selector = equal(selector);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Selector> for Selectors {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> Self {
        let mut selectors: Vec<_> = selectors.into_iter().collect();
        selectors.sort_unstable();
        selectors.dedup();
        selectors.shrink_to_fit();
        Self(selectors)
    }
}

impl Extend<Selector> for Selectors {
    fn extend<I: IntoIterator<Item = Selector>>(&mut self, selectors: I) {
        self.0.extend(selectors);
        self.0.sort_unstable();
        self.0.dedup();
    }
}

impl IntoIterator for Selectors {
    type Item = Selector;
    type IntoIter = std::vec::IntoIter<Selector>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Selectors {
    type Item = &'a Selector;
    type IntoIter = std::slice::Iter<'a, Selector>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Selectors {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_selector_is_split_at_its_first_colon() {
        for (text, kind, value, name) in [
            ("unix:uid:1000", "unix", "uid:1000", "uid"),
            (
                "docker:label:com.example:v1",
                "docker",
                "label:com.example:v1",
                "label",
            ),
            ("unix:path:/srv/a:b", "unix", "path:/srv/a:b", "path"),
            ("k8s:pod-init", "k8s", "pod-init", "pod-init"),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(
                (selector.kind(), selector.value(), selector.name()),
                (kind, value, name)
            );
            assert_eq!(selector.sort(), format!("{kind}:{name}"));
            assert_eq!(selector.to_string(), text);
            assert_eq!(Selector::new(kind, value), Ok(selector), "{text}");
        }
    }

    #[test]
    fn half_a_selector_is_refused() {
        for (text, want) in [
            ("", SelectorError::NoColon),
            ("unix", SelectorError::NoColon),
            (":uid:0", SelectorError::NoKind),
            ("unix:", SelectorError::NoValue),
        ] {
            assert_eq!(text.parse::<Selector>(), Err(want), "{text}");
        }
        assert_eq!(Selector::new("", "uid:0"), Err(SelectorError::NoKind));
        assert_eq!(Selector::new("unix", ""), Err(SelectorError::NoValue));
        assert_eq!(
            Selector::new("unix:uid", "0"),
            Err(SelectorError::ColonInKind)
        );
    }

    #[test]
    fn a_set_has_each_selector_once_whatever_the_order() {
        let selectors = set(&["unix:uid:1", "unix:gid:1", "unix:uid:1"]);
        assert_eq!(selectors, set(&["unix:gid:1", "unix:uid:1"]));
        assert_eq!(selectors.len(), 2);

        let mut grown = Selectors::new();
        assert!(grown.is_empty());
        assert!(grown.insert("unix:uid:1".parse().unwrap()));
        assert!(!grown.insert("unix:uid:1".parse().unwrap()));
        grown.extend(selectors.clone());
        assert_eq!(grown, selectors);
    }

    #[test]
    fn a_subset_has_nothing_that_the_other_lacks() {
        let caller = set(&["unix:uid:1", "unix:gid:1", "unix:path:/bin/a"]);
        for (entry, lacks) in [
            (set(&["unix:uid:1"]), None),
            (set(&["unix:uid:1", "unix:path:/bin/a"]), None),
            (set(&[]), None),
            (set(&["unix:uid:1", "unix:uid:2"]), Some("unix:uid:2")),
            (set(&["unix:uid:10"]), Some("unix:uid:10")),
            (set(&["unix:UID:1"]), Some("unix:UID:1")),
        ] {
            assert_eq!(entry.is_subset(&caller), lacks.is_none(), "{entry:?}");
            assert_eq!(
                entry.difference(&caller).next().map(Selector::as_str),
                lacks
            );
        }
        assert!(caller.contains("unix:gid:1"));
        assert!(!caller.contains("unix:gid:2"));
    }
}
