//! Selectors, registration entries, and the index that matches them.

mod selector;

pub use selector::{Selector, SelectorError, Selectors};
