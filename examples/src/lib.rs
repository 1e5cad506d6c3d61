//! Examples of the Plastron workspace.
