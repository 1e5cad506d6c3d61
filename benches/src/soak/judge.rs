//! What every stream shows, held against what it should.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use crate::moment::Moment;
use crate::news::{Call, Image, News, Shown, digest};
use crate::rule::{Findings, Rule};
use crate::versions::{Version, Way};

/// How long after a write a stream may show what was before. The figure, 100 ms at the 99th percentile, is measured
/// by the load program on a machine at rest; this one bounds every single update on a busy one.
pub(crate) const REACH: Duration = Duration::from_secs(1);
/// How long a process waits before it asks again after it was denied, at most.
pub(crate) const RETRY: Duration = Duration::from_millis(300);

/// A process of the load, by its pid.
pub(crate) type Process = u32;

/// A version, and from when on it stood in the file.
struct Standing {
    at: Moment,
    way: Way,
    /// Digests of the SPIFFE IDs of members and guests; none where they have no entry.
    ids: [Option<u64>; 2],
}

#[derive(Debug)]
struct Stream {
    call: Call,
    image: Image,
    state: State,
}

#[derive(Debug)]
enum State {
    Opening,
    Shows(Shown),
    Denied,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of a {:?}, ", self.call, self.image)?;
        match &self.state {
            State::Opening => f.write_str("not open yet"),
            State::Denied => f.write_str("denied"),
            State::Shows(Shown {
                version: Some(number),
                ..
            }) => write!(f, "shows version {number}"),
            State::Shows(_) => f.write_str("shows a bundle"),
        }
    }
}

/// The agent's own bundle, as digests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Authorities {
    pub(crate) x509: u64,
    pub(crate) jwt: u64,
}

#[derive(Default)]
pub(crate) struct Judge {
    /// From number 0.
    versions: Vec<Standing>,
    /// The serials of each SPIFFE ID, and when any stream brought them first.
    serials: HashMap<u64, Vec<(u64, Moment)>>,
    streams: HashMap<(Process, u32), Stream>,
    pub(crate) findings: Findings,
    /// From the write of an entry to the message on an open stream.
    pub(crate) updates: BTreeMap<Way, Vec<Duration>>,
    /// From the write without the last entry to the end of the stream.
    pub(crate) ends: Vec<Duration>,
    /// From exec to the end of the connection.
    pub(crate) cuts: Vec<Duration>,
    /// How often each process received each serial and `jti`.
    pub(crate) received: HashMap<(Process, String), u64>,
}

impl Judge {
    /// A version is in force from now on. Versions come in the order of their numbers, without a gap.
    pub(crate) fn wrote(&mut self, version: &Version, way: Way, at: Moment) {
        let number = self.versions.len();
        assert_eq!(version.number as usize, number, "the next one");
        let ids = [Image::Member, Image::Guest].map(|image| {
            let ids = version.ids(image);
            (!ids.is_empty()).then(|| digest(&ids))
        });
        self.versions.push(Standing { at, way, ids });
    }

    pub(crate) fn hear(&mut self, process: Process, news: News) {
        match news {
            News::Opening {
                stream,
                call,
                image,
            } => {
                let state = State::Opening;
                let opened = Stream { call, image, state };
                self.streams.insert((process, stream), opened);
            }
            News::Shows {
                stream,
                at,
                fresh,
                shown,
            } => self.shows((process, stream), at, fresh, shown),
            News::Denied { stream, at } => self.denied((process, stream), at),
            News::Gone { stream } => drop(self.streams.remove(&(process, stream))),
            News::Refused { image, at } => drop(self.refused(image, at)),
            News::Received { times } => {
                for (credential, times) in times {
                    *self.received.entry((process, credential)).or_default() += times;
                }
            }
            News::Cut { after } => self.cuts.push(after),
            News::Held { times } => {
                for (rule, times) in times {
                    self.findings.held(rule, times);
                }
            }
            News::Broken { rule, what } => {
                self.findings
                    .broken(rule, format!("process {process}: {what}"));
            }
        }
    }

    /// A process is gone, or about to be: nothing is expected of its streams any more.
    pub(crate) fn forget(&mut self, process: Process) {
        self.streams.retain(|(holder, _), _| *holder != process);
    }

    fn shows(&mut self, key: (Process, u32), at: Moment, fresh: bool, shown: Shown) {
        // What a process wrote before it was killed may be read after it was forgotten.
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let before = std::mem::replace(&mut stream.state, State::Shows(shown.clone()));
        let image = stream.image;
        if stream.call != Call::X509Svids {
            return;
        }
        for (id, serial) in &shown.serials {
            let known = self.serials.entry(*id).or_default();
            if !known.iter().rev().any(|(known, _)| known == serial) {
                known.push((*serial, at));
            }
        }
        let Some((number, standing)) = shown
            .version
            .and_then(|number| Some((number, self.versions.get(number as usize)?)))
        else {
            let what = format!("stream {key:?} shows version {:?}", shown.version);
            return self.findings.broken(Rule::Exact, what);
        };
        let exact = standing.ids[image as usize] == Some(shown.ids);
        let what =
            || format!("stream {key:?} of a {image:?}: other identities in version {number}");
        self.findings
            .found(Rule::Exact, exact.then_some(()).ok_or_else(what));
        if let Some(next) = self.versions.get(number as usize + 1)
            && at > next.at + REACH
        {
            let what = format!(
                "stream {key:?} shows version {number} {:?} after the next was written",
                at.since(next.at)
            );
            self.findings.broken(Rule::Newest, what);
        }
        if let State::Shows(Shown {
            version: Some(before),
            ..
        }) = before
        {
            if before > number {
                let what = format!("stream {key:?} goes back from version {before} to {number}");
                self.findings.broken(Rule::Newest, what);
            } else if before < number && !fresh {
                let Standing {
                    at: written, way, ..
                } = self.versions[number as usize];
                let updates = self.updates.entry(way).or_default();
                updates.push(at.since(written));
            }
        }
    }

    fn denied(&mut self, key: (Process, u32), at: Moment) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let before = std::mem::replace(&mut stream.state, State::Denied);
        let image = stream.image;
        if let (Some(since), State::Shows(_)) = (self.refused(image, at), before) {
            self.ends.push(at.since(since));
        }
    }

    /// Someone without an entry was told so. Since when he is.
    fn refused(&mut self, image: Image, at: Moment) -> Option<Moment> {
        let since = self.without_entry(image, at);
        let what = || format!("a {image:?} with entries was denied at {at}");
        self.findings
            .found(Rule::Revoked, since.map(drop).ok_or_else(what));
        since
    }

    /// When that version was written in which, at this moment or a little before, this image has no entry.
    fn without_entry(&self, image: Image, at: Moment) -> Option<Moment> {
        for (number, standing) in self.versions.iter().enumerate().rev() {
            let over = self.versions.get(number + 1);
            if over.is_some_and(|next| next.at + REACH < at) {
                break;
            }
            if standing.at <= at && standing.ids[image as usize].is_none() {
                return Some(standing.at);
            }
        }
        None
    }

    /// The streams that do not show the newest version.
    pub(crate) fn behind(&self) -> impl Iterator<Item = String> {
        let newest = self.versions.len().saturating_sub(1);
        let ids = self.versions.last().map_or([None; 2], |newest| newest.ids);
        let is_behind = move |stream: &Stream| match (&stream.state, ids[stream.image as usize]) {
            (State::Denied, None) => false,
            (State::Shows(_), Some(_)) if stream.call != Call::X509Svids => false,
            (State::Shows(shown), Some(_)) => {
                shown.version.map(|number| number as usize) != Some(newest)
            }
            _ => true,
        };
        let behind = self
            .streams
            .iter()
            .filter(move |(_, stream)| is_behind(stream));
        behind.map(move |(key, stream)| format!("stream {key:?}, in version {newest}: {stream}"))
    }

    /// The streams of the newest version that show an SVID for which another stream has long brought the next one, if what
    /// was told is heard by then.
    pub(crate) fn outdated(&self, now: Moment, heard: Duration) -> impl Iterator<Item = String> {
        let newest = self.versions.len().saturating_sub(1);
        let is_outdated = move |(id, serial): &(u64, u64)| {
            let known = self.serials.get(id).map_or(&[][..], Vec::as_slice);
            let after = known
                .iter()
                .rev()
                .take_while(|(known, _)| known != serial)
                .last();
            after.is_some_and(|(_, since)| now > *since + REACH + heard)
        };
        let outdated = self
            .streams
            .iter()
            .filter(move |(_, stream)| match &stream.state {
                State::Shows(shown) => {
                    shown
                        .version
                        .is_some_and(|number| number as usize == newest)
                        && shown.serials.iter().any(is_outdated)
                }
                State::Opening | State::Denied => false,
            });
        outdated.map(|(key, stream)| format!("stream {key:?}: {stream}"))
    }

    /// The streams that show authorities other than these.
    pub(crate) fn elsewhere(&self, authorities: Authorities) -> impl Iterator<Item = String> {
        let elsewhere = self.streams.iter().filter(move |(_, stream)| {
            let wanted = match stream.call {
                Call::JwtBundles => authorities.jwt,
                Call::X509Svids | Call::X509Bundles => authorities.x509,
            };
            matches!(&stream.state, State::Shows(shown) if shown.authorities != wanted)
        });
        elsewhere.map(|(key, stream)| format!("stream {key:?}: {stream}"))
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The streams of a process.
    pub(crate) fn streams_of(&self, process: Process) -> usize {
        self.streams
            .keys()
            .filter(|(holder, _)| *holder == process)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(judge: &mut Judge, call: Call) {
        let image = Image::Member;
        judge.hear(
            1,
            News::Opening {
                stream: 0,
                call,
                image,
            },
        );
    }

    fn shows(judge: &mut Judge, version: &Version, at: Moment) {
        brings(judge, 0, version, 1, at);
    }

    fn brings(judge: &mut Judge, stream: u32, version: &Version, serial: u64, at: Moment) {
        let shown = Shown {
            version: Some(version.number),
            ids: digest(version.ids(Image::Member)),
            serials: vec![(1, serial)],
            authorities: 7,
        };
        judge.hear(
            1,
            News::Shows {
                stream,
                at,
                fresh: false,
                shown,
            },
        );
    }

    #[test]
    fn a_stream_that_follows_in_time_is_right_and_one_that_lags_is_not() {
        let mut judge = Judge::default();
        let (first, second) = (Version::plain(0), Version::plain(1));
        let start = Moment::now();
        judge.wrote(&first, Way::InPlace, start);
        opened(&mut judge, Call::X509Svids);
        assert_eq!(judge.behind().count(), 1);
        shows(&mut judge, &first, start);
        assert_eq!(judge.behind().count(), 0);
        judge.wrote(&second, Way::RenamedOver, start);
        assert_eq!(judge.behind().count(), 1);
        shows(&mut judge, &second, start + Duration::from_millis(5));
        assert_eq!(judge.updates[&Way::RenamedOver], [Duration::from_millis(5)]);
        assert_eq!(judge.findings.times(Rule::Exact), 2);
        shows(&mut judge, &first, start + REACH * 2);
        assert!(judge.findings.to_string().contains("goes back"));
    }

    #[test]
    fn a_stream_that_keeps_an_svid_which_others_had_replaced_is_outdated() {
        let mut judge = Judge::default();
        let version = Version::plain(0);
        let start = Moment::now();
        judge.wrote(&version, Way::InPlace, start);
        let (call, image) = (Call::X509Svids, Image::Member);
        for stream in [0, 1] {
            judge.hear(
                1,
                News::Opening {
                    stream,
                    call,
                    image,
                },
            );
            brings(&mut judge, stream, &version, 1, start);
        }
        let later = start + Duration::from_secs(1);
        brings(&mut judge, 0, &version, 2, later);
        assert_eq!(judge.outdated(later + REACH, Duration::ZERO).count(), 0);
        let late = later + REACH + Duration::from_millis(1);
        assert_eq!(judge.outdated(late, Duration::ZERO).count(), 1);
        brings(&mut judge, 1, &version, 2, late);
        assert_eq!(judge.outdated(late, Duration::ZERO).count(), 0);
    }

    #[test]
    fn a_denial_is_right_when_there_was_no_entry_and_a_moment_longer() {
        let mut chance = Chance::new(3);
        let nothing = std::iter::repeat_with(|| Version::any(1, &mut chance))
            .find(|version| version.ids(Image::Member).is_empty())
            .unwrap();
        let mut judge = Judge::default();
        let start = Moment::now();
        let second = Duration::from_secs(1);
        judge.wrote(&Version::plain(0), Way::InPlace, start);
        judge.wrote(&nothing, Way::InPlace, start + second);
        judge.wrote(&Version::plain(2), Way::InPlace, start + second * 3);
        for (at, want) in [
            (start + second / 2, None),
            (start + second * 2, Some(start + second)),
            (start + second * 3 + REACH / 2, Some(start + second)),
            (start + second * 4 + REACH, None),
        ] {
            assert_eq!(judge.without_entry(Image::Member, at), want);
        }
    }

    #[test]
    fn authorities_are_compared_by_the_kind_of_stream() {
        let mut judge = Judge::default();
        let version = Version::plain(0);
        judge.wrote(&version, Way::InPlace, Moment::now());
        opened(&mut judge, Call::JwtBundles);
        shows(&mut judge, &version, Moment::now());
        assert_eq!(judge.elsewhere(Authorities { x509: 1, jwt: 7 }).count(), 0);
        assert_eq!(judge.elsewhere(Authorities { x509: 7, jwt: 1 }).count(), 1);
    }

    use crate::chance::Chance;
}
