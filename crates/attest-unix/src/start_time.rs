//! When a process started, for kernels that hold no process by its connection.

use std::fs::File;
use std::io::{self, Read as _};

/// Clock ticks between boot and the start of whoever has this pid.
///
/// Two processes with one pid can have the same start time: a tick is ten milliseconds, and a pid can be free sooner.
pub(crate) fn start_time(pid: i32) -> io::Result<u64> {
    let mut text = Vec::with_capacity(512);
    File::open(format!("/proc/{pid}/stat"))?
        .take(4096)
        .read_to_end(&mut text)?;
    parse(&text).ok_or(io::ErrorKind::InvalidData.into())
}

/// The second field is the name in parentheses, and may hold blanks, parentheses and newlines; no later one does.
fn parse(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    // The first after the name is the third, and the start time is the 22nd.
    fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_move_the_start_time() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        for name in ["sh", "a) S 1 (", "a b", "\n", "())", ""] {
            let stat = format!("7 ({name}) {fields}\n");
            assert_eq!(parse(stat.as_bytes()), Some(4711), "{name:?}");
        }
        for stat in ["", "7 (sh", "7 (sh) S 1", "7 (sh) S x"] {
            assert_eq!(parse(stat.as_bytes()), None, "{stat:?}");
        }
    }
}
