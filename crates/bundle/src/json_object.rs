//! JSON objects whose members have different names.
//!
//! `serde_json` keeps the last of two members with one name, and what reads the same bytes elsewhere may keep the first:
//! so a document of ours with two is refused (RS-02, BUNDLE-23, JWT-16, JWT-36). Members are handed to whoever knows them,
//! in one pass and without a tree. `plastron-svid` reads the parts of tokens with this too.

mod loose;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub use loose::Loose;

/// How deep values of members that nobody knows may nest.
///
/// The documents of SPIFFE nest three deep; claims of other people's making a little more.
pub const MAX_NESTING: usize = 32;

/// Takes the members of an object.
pub trait Members<'de> {
    /// Takes one member, that is calls one of the `next_value` methods of `value` once; [`skip`] for one not known.
    ///
    /// # Errors
    ///
    /// Whatever `value` says; an error ends the reading.
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut A,
        faults: &Faults,
    ) -> Result<(), A::Error>;
}

/// Reads `json`, which is one object and nothing else.
///
/// # Errors
///
/// What is not JSON or not an object, two members with one name, and values that nest too deep.
pub fn read<'de>(json: &'de str, members: &mut impl Members<'de>) -> Result<(), JsonError> {
    let faults = Faults::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    ObjectSeed::new(members, &faults)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|_| faults.0.get().unwrap_or(JsonError::Syntax))
}

/// Takes the value of a member that nobody knows.
///
/// # Errors
///
/// Whatever `value` says, and values that nest deeper than [`MAX_NESTING`].
pub fn skip<'de, A: MapAccess<'de>>(value: &mut A, faults: &Faults) -> Result<(), A::Error> {
    value.next_value_seed(Skip::new(faults))
}

/// Why a text is not the object it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not JSON, not an object, or a value has the wrong type.
    #[error("malformed JSON")]
    Syntax,
    /// Two members of one object have the same name (RS-02).
    #[error("a JSON member comes twice")]
    DuplicateMember,
    /// Values nest deeper than 32 levels (BUNDLE-25).
    #[error("JSON values nest too deep")]
    TooDeep,
}

/// Where faults that serde has no words for are noted.
#[derive(Debug, Default)]
pub struct Faults(Cell<Option<JsonError>>);

impl Faults {
    fn note<E: Error>(&self, fault: JsonError) -> E {
        self.0.set(Some(fault));
        E::custom(fault)
    }
}

/// Reads an object inside a larger document.
#[derive(Debug)]
pub struct ObjectSeed<'s, M> {
    members: &'s mut M,
    faults: &'s Faults,
}

impl<'s, M> ObjectSeed<'s, M> {
    /// Hands the members of the next object to `members`.
    pub fn new(members: &'s mut M, faults: &'s Faults) -> Self {
        Self { members, faults }
    }
}

impl<'de, M: Members<'de>> DeserializeSeed<'de> for ObjectSeed<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, M: Members<'de>> Visitor<'de> for ObjectSeed<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            self.members.member(&name, &mut map, self.faults)?;
            if !names.insert(name) {
                return Err(self.faults.note(JsonError::DuplicateMember));
            }
        }
        Ok(())
    }
}

/// The methods of a visitor to whom all values but strings, lists and objects are the same.
macro_rules! visit_scalars {
    ($value:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}
pub(crate) use visit_scalars;

/// Reads a value that may turn out not to be an object: says whether it was one, and forgets it otherwise.
#[derive(Debug)]
pub struct PerhapsObject<'s, M> {
    members: &'s mut M,
    faults: &'s Faults,
}

impl<'s, M> PerhapsObject<'s, M> {
    /// Hands the members of the next value, if it has any, to `members`.
    pub fn new(members: &'s mut M, faults: &'s Faults) -> Self {
        Self { members, faults }
    }
}

impl<'de, M: Members<'de>> DeserializeSeed<'de> for PerhapsObject<'_, M> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, M: Members<'de>> Visitor<'de> for PerhapsObject<'_, M> {
    type Value = bool;

    visit_scalars!(false);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        Skip::new(self.faults).visit_seq(list)?;
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        ObjectSeed::new(self.members, self.faults).visit_map(map)?;
        Ok(true)
    }
}

/// The names seen so far: in place while they are few, so that usual objects cost no allocation.
#[derive(Default)]
struct Names<'de> {
    /// The [`start`]s of `few`, which nearly always tell names apart.
    starts: [u64; 12],
    few: [Cow<'de, str>; 12],
    len: usize,
    more: BTreeSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Whether the name is new.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        let start = start(&name);
        let seen = self.starts[..self.len].iter().zip(&self.few);
        for (other_start, other) in seen {
            if *other_start == start && *other == name {
                return false;
            }
        }
        match self.few.get_mut(self.len) {
            Some(free) => {
                *free = name;
                self.starts[self.len] = start;
                self.len += 1;
                true
            }
            None => self.more.insert(name),
        }
    }
}

/// The first bytes of a name, in one number.
fn start(name: &str) -> u64 {
    let name = name.as_bytes();
    let len = name.len().min(8);
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}

/// A name, borrowed unless it has escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// Reads a value to its end and forgets it.
pub(crate) struct Skip<'s> {
    nesting: usize,
    faults: &'s Faults,
}

impl<'s> Skip<'s> {
    pub(crate) fn new(faults: &'s Faults) -> Self {
        Self {
            nesting: MAX_NESTING,
            faults,
        }
    }

    /// For what lies inside the value.
    pub(crate) fn inside<E: Error>(&self) -> Result<Self, E> {
        match self.nesting.checked_sub(1) {
            Some(nesting) => Ok(Self {
                nesting,
                faults: self.faults,
            }),
            None => Err(self.faults.note(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    visit_scalars!(());

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.inside()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(self.inside()?)?;
        }
        Ok(())
    }
}
