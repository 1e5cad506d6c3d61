//! In which order files continue each other.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    super::{
        chain::{Line, LinkHash},
        file,
    },
    Lines,
};

/// How many lines at the beginning of a file are searched for a record.
const SEARCHED: usize = 100;

struct Part {
    path: PathBuf,
    /// Of its first record: what it continues, its number and time. `None`: it has no record.
    first: Option<(LinkHash, u64, String)>,
    /// The hash of its last record.
    last: Option<LinkHash>,
}

impl Part {
    fn look_at(path: &Path) -> io::Result<Self> {
        let mut opened = File::open(path)?;
        let last = file::end_of(&opened)?
            .and_then(|end| end.head)
            .map(|head| head.hash);
        opened.seek(SeekFrom::Start(0))?;
        let mut lines = Lines::new(opened);
        let mut first = None;
        for _ in 0..SEARCHED {
            let Some((line, _)) = lines.next()? else {
                break;
            };
            if let Some(Line { fields, prev, .. }) = Line::parse(line) {
                first = Some((prev, fields.seq, fields.time));
                break;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            first,
            last,
        })
    }

    fn continues(&self, other: &Self) -> bool {
        self.first
            .as_ref()
            .is_some_and(|(prev, ..)| Some(*prev) == other.last)
    }
}

/// Puts the files in the order in which they continue each other. Where none continues another, the order is that of time
/// and number.
pub(super) fn in_order<P: AsRef<Path>>(paths: &[P]) -> io::Result<Vec<PathBuf>> {
    let mut parts = paths
        .iter()
        .map(|path| Part::look_at(path.as_ref()))
        .collect::<io::Result<Vec<_>>>()?;
    let key = |part: &Part| {
        part.first
            .as_ref()
            .map(|(_, seq, time)| (time.clone(), *seq))
    };
    parts.sort_by_key(key);
    let mut ordered: Vec<Part> = Vec::with_capacity(parts.len());
    while !parts.is_empty() {
        let follows = |part: &Part| ordered.last().is_some_and(|last| part.continues(last));
        let begins = |part: &Part| {
            !parts
                .iter()
                .any(|other| !std::ptr::eq(other, part) && part.continues(other))
        };
        let next = parts
            .iter()
            .position(follows)
            .or_else(|| parts.iter().position(begins))
            .unwrap_or(0);
        ordered.push(parts.remove(next));
    }
    Ok(ordered.into_iter().map(|part| part.path).collect())
}
