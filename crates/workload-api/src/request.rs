//! The receiving half of a call: what is asked, whether it is well-formed, its bytes.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::RecvStream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, request};
use plastron_wire::workload::{
    JwtsvidRequest, SECURITY_HEADER, SECURITY_HEADER_VALUE, SERVICE_NAME, ValidateJwtsvidRequest,
    WitsvidRequest,
};
use prost::Message as _;
use tokio::time::{Sleep, sleep};

use crate::admission::RequestBytes;
use crate::message::PREFIX;
use crate::{Limits, Method, Refusal};

/// Why a request is turned away by its head alone.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Not gRPC: an HTTP status is the answer.
    NotGrpc(StatusCode),
    /// A status of gRPC is the answer.
    Refused(Refusal),
}

/// Whether the request is gRPC at all.
pub(crate) fn is_grpc(head: &request::Parts) -> Result<(), Unfit> {
    if head.method != http::Method::POST {
        return Err(Unfit::NotGrpc(StatusCode::METHOD_NOT_ALLOWED));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let grpc = content_type
        .and_then(|value| value.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| {
            rest.is_empty()
                || rest == b"+proto"
                || rest.starts_with(b";")
                || rest.starts_with(b"+proto;")
        });
    if grpc {
        Ok(())
    } else {
        Err(Unfit::NotGrpc(StatusCode::UNSUPPORTED_MEDIA_TYPE))
    }
}

/// The metadata that keeps a browser or a tricked HTTP client from calling: exactly one `true` (WEP-07).
///
/// Spec: Workload Endpoint §5.
pub(crate) fn has_security_header(headers: &HeaderMap) -> Result<(), Unfit> {
    let mut values = headers.get_all(SECURITY_HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value == SECURITY_HEADER_VALUE => Ok(()),
        _ => Err(Unfit::Refused(Refusal::invalid_argument(
            "the metadata \"workload.spiffe.io\" must be there once, with the value \"true\"",
        ))),
    }
}

/// The method of the Workload API that a path names.
pub(crate) fn workload_method(path: &str) -> Option<Method> {
    let name = path
        .strip_prefix('/')?
        .strip_prefix(SERVICE_NAME)?
        .strip_prefix('/')?;
    Method::ALL
        .into_iter()
        .filter(|method| !matches!(method, Method::OtherService | Method::Unknown))
        .find(|method| method.as_str() == name)
}

/// `grpc-timeout`: at most eight digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Unfit> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    parse_timeout(value.as_bytes())
        .map(Some)
        .ok_or_else(|| Unfit::Refused(Refusal::invalid_argument("malformed grpc-timeout")))
}

fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum Unreceived {
    Gone,
    Refused(Refusal),
}

/// Reads a body to its end, so that the answer never has to reset the stream.
pub(crate) async fn receive(
    mut body: RecvStream,
    limits: &Limits,
    held: &mut RequestBytes,
) -> Result<Bytes, Unreceived> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut late: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            match body.poll_data(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    let _gone = body.flow_control().release_capacity(chunk.len());
                    if first.len() + more.len() + chunk.len() > limits.request_bytes {
                        return Poll::Ready(Err(Unreceived::Refused(Refusal::invalid_argument(
                            format!("a request has at most {} bytes", limits.request_bytes),
                        ))));
                    }
                    if let Err(refusal) = held.hold(chunk.len()) {
                        return Poll::Ready(Err(Unreceived::Refused(refusal)));
                    }
                    if first.is_empty() {
                        first = chunk;
                    } else {
                        more.extend_from_slice(&chunk);
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Unreceived::Gone)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let late = late.get_or_insert_with(|| Box::pin(sleep(limits.request_time)));
                    if late.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Err(Unreceived::Refused(Refusal::unavailable(
                        "the request did not end in time",
                    ))));
                }
            }
        }
    })
    .await?;
    if more.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + more.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&more);
    Ok(whole.freeze())
}

/// Takes the one message out of a body.
pub(crate) fn one_message(mut body: Bytes) -> Result<Bytes, Refusal> {
    if body.len() < PREFIX {
        return Err(Refusal::invalid_argument("the request must be one message"));
    }
    match body.get_u8() {
        0 => {}
        1 => return Err(Refusal::unimplemented("compression is not supported")),
        _ => return Err(Refusal::invalid_argument("malformed message")),
    }
    if usize::try_from(body.get_u32()) != Ok(body.len()) {
        return Err(Refusal::invalid_argument("the request must be one message"));
    }
    Ok(body)
}

/// The requests of the three streams have no fields; unknown ones are ignored, as protobuf wants.
pub(crate) fn no_fields(message: Bytes) -> Result<(), Refusal> {
    <() as prost::Message>::decode(message).map_err(|_| malformed())
}

/// Spec: Workload API §6.2 (WAPI-16, WAPI-40).
pub(crate) fn jwt_svid_request(message: Bytes) -> Result<JwtsvidRequest, Refusal> {
    let request = JwtsvidRequest::decode(message).map_err(|_| malformed())?;
    if request.audience.is_empty() {
        return Err(Refusal::invalid_argument("audience must be specified"));
    }
    if request.audience.len() > MAX_AUDIENCES {
        return Err(Refusal::invalid_argument(format!(
            "at most {MAX_AUDIENCES} audiences"
        )));
    }
    request
        .audience
        .iter()
        .try_for_each(|a| check_audience(a))?;
    Ok(request)
}

/// Spec: Workload API §6.2 (WAPI-16, WAPI-54).
pub(crate) fn validate_request(message: Bytes) -> Result<ValidateJwtsvidRequest, Refusal> {
    let request = ValidateJwtsvidRequest::decode(message).map_err(|_| malformed())?;
    check_audience(&request.audience)?;
    if request.svid.is_empty() {
        return Err(Refusal::invalid_argument("svid must be specified"));
    }
    Ok(request)
}

/// Spec: Workload API §7.2.1. Its one field is optional (WAPI-60).
pub(crate) fn wit_svid_request(message: Bytes) -> Result<WitsvidRequest, Refusal> {
    WitsvidRequest::decode(message).map_err(|_| malformed())
}

fn check_audience(audience: &str) -> Result<(), Refusal> {
    if audience.is_empty() {
        return Err(Refusal::invalid_argument("audience must be specified"));
    }
    if audience.len() > MAX_AUDIENCE {
        return Err(Refusal::invalid_argument(format!(
            "an audience has at most {MAX_AUDIENCE} bytes"
        )));
    }
    Ok(())
}

fn malformed() -> Refusal {
    Refusal::invalid_argument("malformed message")
}

/// Audiences of one request: a bound on the work and size of a token, ours.
const MAX_AUDIENCES: usize = 32;

/// Bytes of one audience.
const MAX_AUDIENCE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_methods_of_the_service_without_a_package() {
        for (path, want) in [
            (
                "/SpiffeWorkloadAPI/FetchX509SVID",
                Some(Method::FetchX509Svid),
            ),
            (
                "/SpiffeWorkloadAPI/FetchWITBundles",
                Some(Method::FetchWitBundles),
            ),
            ("/SpiffeWorkloadAPI/fetchX509SVID", None),
            ("/SpiffeWorkloadAPI/unknown", None),
            ("/SpiffeWorkloadAPI/other", None),
            ("/SpiffeWorkloadAPI/", None),
            ("/spiffe.workload.SpiffeWorkloadAPI/FetchX509SVID", None),
            ("/WorkloadAPI/FetchX509SVID", None),
            ("*", None),
        ] {
            assert_eq!(workload_method(path), want, "WAPI-05, AMB-29: {path}");
        }
    }

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        for (value, want) in [
            ("1S", Some(Duration::from_secs(1))),
            ("20m", Some(Duration::from_millis(20))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("0n", Some(Duration::ZERO)),
            ("100000000S", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("+1S", None),
            ("", None),
        ] {
            assert_eq!(parse_timeout(value.as_bytes()), want, "{value}");
        }
    }

    #[test]
    fn a_body_is_one_uncompressed_message() {
        use tonic::Code::{InvalidArgument, Unimplemented};
        let cases: [(&'static [u8], _); 8] = [
            (b"\0\0\0\0\0", Ok(0)),
            (b"\0\0\0\0\x02ab", Ok(2)),
            (b"", Err(InvalidArgument)),
            (b"\0\0\0\0", Err(InvalidArgument)),
            (b"\0\0\0\0\x02a", Err(InvalidArgument)),
            (b"\0\0\0\0\0\0\0\0\0\0", Err(InvalidArgument)),
            (b"\x01\0\0\0\0", Err(Unimplemented)),
            (b"\x02\0\0\0\0", Err(InvalidArgument)),
        ];
        for (body, want) in cases {
            let got = one_message(Bytes::from_static(body));
            let got = got.map(|message| message.len()).map_err(|r| r.code);
            assert_eq!(got, want, "{body:?}");
        }
    }

    #[test]
    fn mandatory_fields_are_filled_and_bounded() {
        let jwt = |audience: &[&str]| {
            let audience = audience.iter().map(|&a| a.to_owned()).collect();
            let request = JwtsvidRequest {
                audience,
                spiffe_id: "not looked at".into(),
            };
            jwt_svid_request(request.encode_to_vec().into()).map_err(|r| r.code)
        };
        let long = "a".repeat(1024);
        let too_long = "a".repeat(1025);
        let refused = tonic::Code::InvalidArgument;
        assert!(jwt(&["a", "b"]).is_ok(), "WAPI-40 +");
        assert_eq!(jwt(&[]).unwrap_err(), refused, "WAPI-40 −, WAPI-16 −");
        assert_eq!(jwt(&[""]).unwrap_err(), refused, "WAPI-40 −");
        assert_eq!(jwt(&["a", ""]).unwrap_err(), refused, "WAPI-40 −");
        assert!(jwt(&[&*long; 32]).is_ok());
        assert_eq!(jwt(&[&*long; 33]).unwrap_err(), refused);
        assert_eq!(jwt(&[&*too_long]).unwrap_err(), refused);

        let validate = |audience: &str, svid: &str| {
            let request = ValidateJwtsvidRequest {
                audience: audience.into(),
                svid: svid.into(),
            };
            validate_request(request.encode_to_vec().into()).map_err(|r| r.code)
        };
        assert!(validate("a", "t").is_ok(), "WAPI-54 +");
        assert_eq!(validate("", "t").unwrap_err(), refused, "WAPI-54 −");
        assert_eq!(validate("a", "").unwrap_err(), refused, "WAPI-16 −");

        assert_eq!(
            validate_request(Bytes::from_static(b"\x0a\x05a"))
                .unwrap_err()
                .code,
            refused,
            "not protobuf"
        );
        assert!(wit_svid_request(Bytes::new()).is_ok(), "WAPI-60 +");
        assert!(wit_svid_request(Bytes::from_static(b"\x0a\x05a")).is_err());
        assert!(no_fields(Bytes::from_static(b"\x08\x01")).is_ok());
        assert!(no_fields(Bytes::from_static(b"\x0a\x05a")).is_err());
    }
}
