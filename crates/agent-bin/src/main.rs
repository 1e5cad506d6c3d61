//! plastron-agent: the command.

fn main() {}
