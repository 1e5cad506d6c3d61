//! Selectors, registration entries, and the index that matches them.
