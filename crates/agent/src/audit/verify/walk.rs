//! One pass over all lines.

use std::{collections::BTreeMap, path::PathBuf};

use base64ct::{Base64, Encoding};
use plastron_keys::{PublicKey, PublicKeyKind, SignatureAlgorithm, verify};

use super::{
    super::{
        chain::{Head, Line, LinkHash},
        writer::key_id,
    },
    Finding, LISTED, Note, Place, Problem, Remark, Report, Verify, Vouched,
};

pub(super) struct Walk<'a> {
    verify: &'a Verify<'a>,
    at: Place,
    records: u64,
    /// The latest record in the order of the chain.
    latest: Option<Head>,
    /// Numbers that were skipped, by the first of each range, and where that showed.
    gaps: BTreeMap<u64, (u64, Place)>,
    /// Lines without a record since the last record.
    unreadable: Vec<Place>,
    /// Bytes of them, newlines included.
    unreadable_bytes: u64,
    /// The last line so far had a newline.
    ended: bool,
    /// The key that signs heads now, as the files have it.
    key: Option<(String, PublicKey)>,
    sought: Sought,
    findings: Vec<Finding>,
    notes: Vec<Note>,
    left_out: u64,
    is_broken: bool,
    vouched: Option<Vouched>,
    unsigned: u64,
    lost: u64,
}

/// Whether the record that has to be there was found.
#[derive(PartialEq)]
enum Sought {
    Nothing,
    Missing,
    Found,
}

impl<'a> Walk<'a> {
    pub(super) fn new(verify: &'a Verify<'a>) -> Self {
        let sought = if verify.head.is_some() {
            Sought::Missing
        } else {
            Sought::Nothing
        };
        Self {
            verify,
            at: Place { file: 0, line: 0 },
            records: 0,
            latest: None,
            gaps: BTreeMap::new(),
            unreadable: Vec::new(),
            unreadable_bytes: 0,
            ended: true,
            key: verify.key.clone().map(|key| (key_id(key.spki_der()), key)),
            sought,
            findings: Vec::new(),
            notes: Vec::new(),
            left_out: 0,
            is_broken: false,
            vouched: None,
            unsigned: 0,
            lost: 0,
        }
    }

    pub(super) fn begin_file(&mut self, file: usize) {
        self.at = Place { file, line: 0 };
    }

    /// Takes the next line. `ended`: it had a newline.
    pub(super) fn line(&mut self, line: &[u8], ended: bool) {
        self.at.line += 1;
        self.ended = ended;
        match Line::parse(line) {
            Some(line) => self.record(&line),
            None => {
                if self.unreadable.len() < LISTED {
                    self.unreadable.push(self.at);
                } else {
                    self.left_out += 1;
                }
                self.unreadable_bytes += line.len() as u64 + 1;
            }
        }
    }

    pub(super) fn finish(mut self, files: Vec<PathBuf>) -> Report {
        // What is torn at the very end, nothing could declare yet.
        if !self.ended
            && let Some(last) = self.unreadable.pop()
        {
            self.note(last, Remark::Torn);
        }
        self.settle_unreadable(0);
        self.settle_gaps();
        if self.sought == Sought::Missing
            && let (Some(head), latest) =
                (self.verify.head, self.latest.map_or(0, |latest| latest.seq))
            && head.seq > latest
        {
            self.find(
                self.at,
                Problem::Missing {
                    first: latest + 1,
                    last: head.seq,
                },
            );
        }
        self.findings.sort_by_key(|finding| finding.at);
        self.notes.sort_by_key(|note| note.at);
        Report {
            files,
            records: self.records,
            findings: self.findings,
            notes: self.notes,
            left_out: self.left_out,
            vouched: self.vouched,
            unsigned: self.unsigned,
            lost: self.lost,
        }
    }

    fn record(&mut self, line: &Line) {
        self.records += 1;
        self.unsigned += 1;
        let fields = &line.fields;
        let unread = self.unreadable.len() as u64;
        self.settle_unreadable(fields.torn);
        if !line.intact {
            self.find(self.at, Problem::Changed { seq: fields.seq });
        }
        if self.verify.head.is_some_and(|head| head.seq == fields.seq) {
            self.sought = Sought::Found;
            if self.verify.head != Some(line.head()) {
                self.find(self.at, Problem::OtherHead { seq: fields.seq });
            }
        }
        if !self.link(line, unread) {
            return;
        }
        match fields.kind.as_str() {
            "start" | "open" => self.name_key(line),
            "head" => self.head(line),
            "lost" => {
                self.lost += fields.count;
                self.note(
                    self.at,
                    Remark::Lost {
                        count: fields.count,
                    },
                );
            }
            _ => {}
        }
    }

    /// Puts a record in its place in the chain. `false`: it does not stand where it was written. `unread`: how many lines
    /// before it were no records.
    fn link(&mut self, line: &Line, unread: u64) -> bool {
        let seq = line.fields.seq;
        let begins = matches!(line.fields.kind.as_str(), "start" | "open");
        let is_first_of_all = seq == 1 && line.prev == LinkHash::NONE;
        match self.latest {
            None if is_first_of_all => {}
            None if begins => self.note(self.at, Remark::Begins { seq }),
            None => self.find(self.at, Problem::BeginningCut { seq }),
            Some(_) if is_first_of_all && begins => {
                self.settle_gaps();
                self.note(self.at, Remark::NewChain);
            }
            Some(latest) if seq == latest.seq + 1 => {
                if line.prev != latest.hash {
                    self.find(self.at, Problem::Replaced { seq });
                }
            }
            Some(latest) if seq > latest.seq => {
                // A line that is no record any more was one of them: that was found already.
                let first = latest.seq + 1 + unread;
                if first < seq {
                    self.gaps.insert(first, (seq - 1, self.at));
                    self.is_broken = true;
                }
            }
            Some(latest) => {
                let problem = match self.fill_gap(seq) {
                    true => Problem::Misplaced {
                        seq,
                        after: latest.seq,
                    },
                    false => Problem::Repeated { seq },
                };
                self.find(self.at, problem);
                return false;
            }
        }
        self.latest = Some(line.head());
        true
    }

    /// Takes a number out of the gaps. `false`: it is in none.
    fn fill_gap(&mut self, seq: u64) -> bool {
        let Some((&first, &(last, at))) = self.gaps.range(..=seq).next_back() else {
            return false;
        };
        if seq > last {
            return false;
        }
        self.gaps.remove(&first);
        if first < seq {
            self.gaps.insert(first, (seq - 1, at));
        }
        if seq < last {
            self.gaps.insert(seq + 1, (last, at));
        }
        true
    }

    fn settle_gaps(&mut self) {
        for (first, (last, at)) in std::mem::take(&mut self.gaps) {
            self.find(at, Problem::Missing { first, last });
        }
    }

    /// Decides about the lines without a record: torn ones, if the next record declares so many bytes, with or without the
    /// newline that closed the last of them.
    fn settle_unreadable(&mut self, declared: u64) {
        let bytes = std::mem::take(&mut self.unreadable_bytes);
        let torn = declared > 0 && (declared == bytes || declared + 1 == bytes);
        for at in std::mem::take(&mut self.unreadable) {
            match torn {
                true => self.note(at, Remark::Torn),
                false => self.find(at, Problem::Unreadable),
            }
        }
    }

    /// Takes the key that the following heads are signed with, unless one is trusted from elsewhere.
    fn name_key(&mut self, line: &Line) {
        if self.verify.key.is_some() {
            return;
        }
        let named = line.fields.public_key.as_deref();
        let spki = named
            .and_then(|text| Base64::decode_vec(text).ok())
            .unwrap_or_default();
        let Ok(key) = PublicKey::from_spki_der(&spki) else {
            return;
        };
        let id = key_id(&spki);
        if self
            .key
            .as_ref()
            .is_some_and(|(standing, _)| *standing != id)
        {
            self.note(self.at, Remark::KeyChanged { key: id.clone() });
        }
        self.key = Some((id, key));
    }

    fn head(&mut self, line: &Line) {
        let stated = line.fields.key.clone().unwrap_or_default();
        let Some((_, key)) = self.key.as_ref().filter(|(id, _)| *id == stated) else {
            self.find(self.at, Problem::UnknownKey { key: stated });
            return;
        };
        let signed = Head {
            seq: line.fields.seq.saturating_sub(1),
            hash: line.prev,
        };
        if !self.is_signed(key, signed, line.fields.signature.as_deref()) {
            self.find(self.at, Problem::Signature);
            return;
        }
        if self.is_broken {
            return;
        }
        self.unsigned = 0;
        self.vouched = Some(Vouched {
            at: self.at,
            seq: signed.seq,
            time: line.fields.time.clone(),
            key: stated,
        });
    }

    fn is_signed(&self, key: &PublicKey, head: Head, signature: Option<&str>) -> bool {
        let algorithm = match key.kind() {
            PublicKeyKind::EcP256 => SignatureAlgorithm::EcdsaP256Sha256,
            PublicKeyKind::EcP384 => SignatureAlgorithm::EcdsaP384Sha384,
            PublicKeyKind::Ed25519 => SignatureAlgorithm::Ed25519,
            PublicKeyKind::Rsa { .. } => SignatureAlgorithm::RsaPkcs1Sha256,
            _ => return false,
        };
        let Some(signature) = signature.and_then(|text| Base64::decode_vec(text).ok()) else {
            return false;
        };
        verify(
            self.verify.algorithms,
            algorithm,
            key,
            &head.signed_message(),
            &signature,
        )
        .is_ok()
    }

    fn find(&mut self, at: Place, problem: Problem) {
        self.is_broken = true;
        if self.findings.len() < LISTED {
            self.findings.push(Finding { at, problem });
        } else {
            self.left_out += 1;
        }
    }

    fn note(&mut self, at: Place, remark: Remark) {
        if self.notes.len() < LISTED {
            self.notes.push(Note { at, remark });
        } else {
            self.left_out += 1;
        }
    }
}
