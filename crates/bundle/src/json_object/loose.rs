//! A JSON value of whatever type, for members whose wrong type must not make the whole document unreadable.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Faults, Skip};

/// As much of a value as the documents of SPIFFE have use for.
#[derive(Clone, Debug, PartialEq)]
pub enum Loose<'de> {
    /// A string, borrowed unless it has escapes.
    Text(Cow<'de, str>),
    /// A list; its elements are handed out while it is read.
    List,
    /// An integer that fits.
    Unsigned(u64),
    /// A negative integer.
    Negative,
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
    /// Anything else.
    Other,
}

impl<'de> Loose<'de> {
    /// The value of the member whose name was read.
    ///
    /// # Errors
    ///
    /// What is not JSON, and values that nest deeper than [`MAX_NESTING`](super::MAX_NESTING).
    pub fn next<A: MapAccess<'de>>(value: &mut A, faults: &Faults) -> Result<Self, A::Error> {
        Self::next_list(value, faults, |_| ())
    }

    /// The same; if it is a list, each of its elements is handed to `element`.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_list<A: MapAccess<'de>>(
        value: &mut A,
        faults: &Faults,
        element: impl FnMut(Loose<'de>),
    ) -> Result<Self, A::Error> {
        value.next_value_seed(LooseSeed {
            skip: Skip::new(faults),
            element,
        })
    }

    /// The string, if it is one.
    pub fn text(self) -> Option<Cow<'de, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct LooseSeed<'s, F> {
    skip: Skip<'s>,
    element: F,
}

impl<'de, F: FnMut(Loose<'de>)> DeserializeSeed<'de> for LooseSeed<'_, F> {
    type Value = Loose<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Loose<'de>)> Visitor<'de> for LooseSeed<'_, F> {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Owned(text.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose<'de>, E> {
        Ok(Loose::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose<'de>, E> {
        Ok(u64::try_from(number).map_or(Loose::Negative, Loose::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
        Ok(Loose::Float(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Loose<'de>, A::Error> {
        self.skip.visit_map(map)?;
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Loose<'de>, A::Error> {
        loop {
            let seed = LooseSeed {
                skip: self.skip.inside()?,
                element: ignore,
            };
            match list.next_element_seed(seed)? {
                Some(element) => (self.element)(element),
                None => return Ok(Loose::List),
            }
        }
    }
}

/// What becomes of the elements of a list in a list. A closure in its place would be of a new type each time.
fn ignore(_: Loose<'_>) {}
