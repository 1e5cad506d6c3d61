//! What records say, rendered ahead: once per caller and once per credential, so that a release only puts two pieces
//! together.

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use plastron_attest::Facts;
use plastron_entry::{EntryId, Selectors};
use plastron_id::SpiffeId;

use super::{chain::hex_pair, rfc3339};

/// Values of a list that are written; a process may have 65,536 groups. What is left out is counted.
const LIST: usize = 256;
/// Bytes of a text that comes from a caller.
const TEXT: usize = 4096;

/// How a record names a caller. Cloning shares the text.
#[derive(Clone)]
pub struct CallerFragment {
    pid: i32,
    uid: u32,
    text: Arc<str>,
}

impl CallerFragment {
    /// The caller as its facts and selectors have it.
    pub fn new(facts: &Facts, selectors: &Selectors) -> Self {
        let mut members = Members::default();
        members.number("pid", facts.pid.into());
        members.number("uid", facts.uid.into());
        members.number("gid", facts.gid.into());
        members.list("groups", facts.groups.iter(), |out, group| {
            out.extend_from_slice(group.to_string().as_bytes());
        });
        if let Some(path) = &facts.path {
            members.path("path", path);
        }
        members.list("selectors", selectors.iter(), |out, selector| {
            string(out, selector.as_str());
        });
        Self {
            pid: facts.pid,
            uid: facts.uid,
            text: members.finish(),
        }
    }

    /// A caller of whom only the uid is known.
    pub(super) fn of_uid(uid: u32) -> Self {
        let mut members = Members::default();
        members.number("uid", uid.into());
        Self {
            pid: 0,
            uid,
            text: members.finish(),
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for CallerFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How a record names a credential. Cloning shares the text.
#[derive(Clone)]
pub struct CredentialFragment {
    kind: &'static str,
    text: Arc<str>,
}

impl CredentialFragment {
    /// An X509-SVID: records join on its `serial`, big-endian bytes (S-101).
    pub fn x509(
        spiffe_id: &SpiffeId,
        entry: &EntryId,
        serial: &[u8],
        expires_at: SystemTime,
    ) -> Self {
        let mut members = Members::of_svid(spiffe_id, entry);
        let digits: Vec<u8> = serial.iter().flat_map(|byte| hex_pair(*byte)).collect();
        members.string(
            "serial",
            std::str::from_utf8(&digits).expect("it is made of hex digits only"),
        );
        members.time("expires_at", expires_at);
        Self {
            kind: "x509_svid",
            text: members.finish(),
        }
    }

    /// A JWT-SVID: records join on its `jti` (S-101). The token itself is in no record.
    pub fn jwt(
        spiffe_id: &SpiffeId,
        entry: &EntryId,
        jti: &str,
        audiences: &[Box<str>],
        expires_at: SystemTime,
    ) -> Self {
        let mut members = Members::of_svid(spiffe_id, entry);
        members.string("jti", jti);
        members.list("audiences", audiences.iter(), |out, audience| {
            string(out, audience);
        });
        members.time("expires_at", expires_at);
        Self {
            kind: "jwt_svid",
            text: members.finish(),
        }
    }

    /// A WIT-SVID: records join on its `jti` (S-101).
    #[cfg(feature = "wit")]
    pub fn wit(spiffe_id: &SpiffeId, entry: &EntryId, jti: &str, expires_at: SystemTime) -> Self {
        let mut members = Members::of_svid(spiffe_id, entry);
        members.string("jti", jti);
        members.time("expires_at", expires_at);
        Self {
            kind: "wit_svid",
            text: members.finish(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for CredentialFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Members of a JSON object, without the braces.
#[derive(Default)]
pub(super) struct Members(Vec<u8>);

impl Members {
    fn of_svid(spiffe_id: &SpiffeId, entry: &EntryId) -> Self {
        let mut members = Self::default();
        members.string("spiffe_id", spiffe_id.as_str());
        members.string("entry", entry.as_str());
        members
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        string(&mut self.0, value);
    }

    pub(super) fn number(&mut self, name: &str, value: i128) {
        self.name(name);
        self.0.extend_from_slice(value.to_string().as_bytes());
    }

    fn time(&mut self, name: &str, time: SystemTime) {
        self.name(name);
        self.0.push(b'"');
        rfc3339::write_seconds(&mut self.0, time);
        self.0.push(b'"');
    }

    /// A path. What of it is no UTF-8 shows as U+FFFD; a record is no place to open files from.
    fn path(&mut self, name: &str, path: &Path) {
        self.string(name, &path.to_string_lossy());
    }

    fn list<T>(
        &mut self,
        name: &str,
        values: impl ExactSizeIterator<Item = T>,
        write: impl Fn(&mut Vec<u8>, T),
    ) {
        let left_out = values.len().saturating_sub(LIST);
        self.name(name);
        self.0.push(b'[');
        for (nth, value) in values.take(LIST).enumerate() {
            if nth > 0 {
                self.0.push(b',');
            }
            write(&mut self.0, value);
        }
        self.0.push(b']');
        if left_out > 0 {
            self.number(&format!("{name}_left_out"), left_out as i128);
        }
    }

    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(super) fn finish(self) -> Arc<str> {
        String::from_utf8(self.0)
            .expect("serde_json writes UTF-8, and so do we")
            .into()
    }
}

/// Appends `text` as a JSON string. One longer than [`TEXT`] is cut, and ends in an ellipsis.
fn string(out: &mut Vec<u8>, text: &str) {
    const HOLDS: &str = "a Vec takes what it is given, and a string has no key to refuse";
    if text.len() <= TEXT {
        serde_json::to_writer(out, text).expect(HOLDS);
        return;
    }
    let cut = (0..=TEXT)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    serde_json::to_writer(out, &format!("{}\u{2026}", &text[..cut])).expect(HOLDS);
}

#[cfg(test)]
mod tests {
    use std::{os::unix::ffi::OsStrExt, time::Duration};

    use serde_json::{Value, json};

    use super::*;

    fn object(text: &str) -> Value {
        serde_json::from_str(&format!("{{{text}}}")).unwrap()
    }

    #[test]
    fn a_caller_is_named_by_all_its_facts() {
        let mut facts = Facts::new(7, 1000, 100);
        facts.groups = vec![10, 4_294_967_294];
        facts.path = Some(Path::new(std::ffi::OsStr::from_bytes(b"/bin/a \"b\"\n\xff")).to_owned());
        let selectors = ["unix:uid:1000", "unix:path:/bin/a"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let caller = CallerFragment::new(&facts, &selectors);
        assert_eq!(
            object(caller.as_str()),
            json!({
                "pid": 7, "uid": 1000, "gid": 100, "groups": [10, 4_294_967_294_u32],
                "path": "/bin/a \"b\"\n\u{fffd}",
                "selectors": ["unix:path:/bin/a", "unix:uid:1000"],
            })
        );
        assert!(!caller.as_str().contains('\n'), "a record is one line");
    }

    #[test]
    fn a_credential_is_named_by_what_joins_records_of_it() {
        let id: SpiffeId = "spiffe://example.org/shop/cart".parse().unwrap();
        let entry: EntryId = "cart".parse().unwrap();
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_585_600);
        let x509 = CredentialFragment::x509(&id, &entry, &[0x0a, 0xff], end);
        assert_eq!(x509.kind(), "x509_svid");
        assert_eq!(
            object(x509.as_str()),
            json!({
                "spiffe_id": "spiffe://example.org/shop/cart", "entry": "cart",
                "serial": "0aff", "expires_at": "2026-08-01T12:00:00Z",
            })
        );
        let jwt = CredentialFragment::jwt(&id, &entry, "4b", &["a".into(), "\"".into()], end);
        assert_eq!(jwt.kind(), "jwt_svid");
        assert_eq!(
            object(jwt.as_str()),
            json!({
                "spiffe_id": "spiffe://example.org/shop/cart", "entry": "cart",
                "jti": "4b", "audiences": ["a", "\""], "expires_at": "2026-08-01T12:00:00Z",
            })
        );
    }

    #[test]
    fn what_a_caller_can_make_long_is_cut_and_says_so() {
        let mut facts = Facts::new(1, 2, 3);
        facts.groups = (0..65_536).collect();
        facts.path = Some(format!("/{}", "\u{e9}".repeat(4000)).into());
        let caller = object(CallerFragment::new(&facts, &Selectors::new()).as_str());
        assert_eq!(caller["groups"].as_array().unwrap().len(), LIST);
        assert_eq!(caller["groups_left_out"], 65_536 - LIST);
        let path = caller["path"].as_str().unwrap();
        assert!(
            path.ends_with("\u{e9}\u{2026}") && path.len() <= TEXT + 3,
            "{}",
            path.len()
        );
    }
}
