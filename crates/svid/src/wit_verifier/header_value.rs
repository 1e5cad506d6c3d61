//! The token and the proof in HTTP. Spec: draft-ietf-wimse-workload-creds §4 (WIT-47), draft-ietf-wimse-wpt §2 (WIT-52).

/// The one value of a header field, [`WIT_HEADER`](crate::WIT_HEADER) say: `None` where the field is missing, comes
/// twice, or is not ASCII.
///
/// `values` are those of the field, whose name is compared without case and which is not `Authorization`. The
/// value is the token and nothing else.
pub fn header_value<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<&'v str> {
    let mut values = values.into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.is_ascii() => std::str::from_utf8(value).ok(),
        _ => None,
    }
}
