//! Where the Workload API is. Spec: Workload Endpoint §4.
//!
//! The URI is read from its bytes, by hand: libraries for web addresses repair what must be refused (RS-01).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The environment variable that names the endpoint.
pub const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// The address of a Workload API.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A Unix domain socket, by its absolute path.
    Unix(PathBuf),
    /// A TCP socket.
    Tcp(SocketAddr),
}

impl Endpoint {
    /// The endpoint that the caller was told of, or that [`ENDPOINT_VARIABLE`] names. Nothing is guessed.
    ///
    /// # Errors
    ///
    /// There is neither, or what there is is not an endpoint.
    ///
    /// Spec: Workload Endpoint §4 (WEP-11).
    pub fn configured(explicit: Option<&str>) -> Result<Self, EndpointError> {
        Self::first_of(explicit, std::env::var_os(ENDPOINT_VARIABLE))
    }

    /// A socket by its path, which must be absolute.
    ///
    /// # Errors
    ///
    /// The path is not absolute.
    pub fn unix(path: impl Into<PathBuf>) -> Result<Self, EndpointError> {
        let path = path.into();
        if path.is_absolute() {
            Ok(Self::Unix(path))
        } else {
            Err(EndpointError::SocketPath)
        }
    }

    fn first_of(
        explicit: Option<&str>,
        variable: Option<std::ffi::OsString>,
    ) -> Result<Self, EndpointError> {
        if let Some(uri) = explicit {
            return uri.parse();
        }
        match variable {
            None => Err(EndpointError::NotConfigured),
            Some(uri) if uri.is_empty() => Err(EndpointError::NotConfigured),
            Some(uri) => uri.to_str().ok_or(EndpointError::Character)?.parse(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Spec: Workload Endpoint §4 (WEP-12 to WEP-14).
    fn from_str(uri: &str) -> Result<Self, EndpointError> {
        if uri.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(EndpointError::Character);
        }
        let (scheme, rest) = uri.split_once(':').ok_or(EndpointError::Scheme)?;
        if rest.contains(['?', '#']) {
            return Err(EndpointError::QueryOrFragment);
        }
        // Schemes are the one part of a URI whose case does not matter (RFC 3986 §3.1).
        if scheme.eq_ignore_ascii_case("unix") {
            unix_path(rest).map(Self::Unix)
        } else if scheme.eq_ignore_ascii_case("tcp") {
            tcp_address(rest).map(Self::Tcp)
        } else {
            Err(EndpointError::Scheme)
        }
    }
}

/// `/p` or `///p`: no authority, an absolute path (AMB-34).
fn unix_path(rest: &str) -> Result<PathBuf, EndpointError> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(path) if path.starts_with('/') => path,
        Some("") => return Err(EndpointError::SocketPath),
        Some(_) => return Err(EndpointError::Authority),
    };
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(EndpointError::SocketPath);
    }
    percent_decoded(path).map(PathBuf::from)
}

fn percent_decoded(path: &str) -> Result<String, EndpointError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let byte = digit().zip(digit()).map(|(high, low)| high * 16 + low);
        let byte = byte.and_then(|byte| u8::try_from(byte).ok());
        match byte {
            Some(byte) if byte != 0 => decoded.push(byte),
            _ => return Err(EndpointError::Character),
        }
    }
    String::from_utf8(decoded).map_err(|_| EndpointError::Character)
}

/// `//IP:port`, and nothing else.
fn tcp_address(rest: &str) -> Result<SocketAddr, EndpointError> {
    let authority = rest.strip_prefix("//").ok_or(EndpointError::Address)?;
    let (host, port) = authority.rsplit_once(':').ok_or(EndpointError::Port)?;
    let ip: IpAddr = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
        Some(Some(v6)) => Ipv6Addr::from_str(v6)
            .map_err(|_| EndpointError::Address)?
            .into(),
        Some(None) => return Err(EndpointError::Port),
        None => Ipv4Addr::from_str(host)
            .map_err(|_| EndpointError::Address)?
            .into(),
    };
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EndpointError::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(EndpointError::Port),
        Ok(port) => Ok(SocketAddr::new(ip, port)),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", Encoded(path)),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// A path whose characters have no meaning in a URI.
struct Encoded<'a>(&'a Path);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if c.is_ascii_control() || matches!(c, '%' | '?' | '#') {
                write!(f, "%{:02X}", u32::from(c))?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Why something is not the address of a Workload API.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Nothing was configured, and the environment names nothing.
    #[error("no Workload API endpoint is configured and {ENDPOINT_VARIABLE} is not set")]
    NotConfigured,
    /// Neither `unix` nor `tcp`.
    #[error("not a URI with the scheme unix or tcp")]
    Scheme,
    /// A `unix` URI with a host.
    #[error("a unix URI has no host: unix:/path or unix:///path")]
    Authority,
    /// A `unix` URI without an absolute path to a socket.
    #[error("a unix URI has an absolute path: unix:/path or unix:///path")]
    SocketPath,
    /// A `tcp` URI whose host is not an IP address, or with more than host and port.
    #[error("a tcp URI has an IP address and a port, and nothing else: tcp://127.0.0.1:8000")]
    Address,
    /// A `tcp` URI without a port from 1 to 65535.
    #[error("a tcp URI has a port from 1 to 65535: tcp://127.0.0.1:8000")]
    Port,
    /// A query or a fragment.
    #[error("an endpoint has no query and no fragment")]
    QueryOrFragment,
    /// A control character, broken percent-encoding, or bytes that are not UTF-8.
    #[error("an endpoint with a character that cannot be in it")]
    Character,
}

#[cfg(test)]
mod tests {
    use super::EndpointError::{
        Address, Authority, Character, NotConfigured, Port, QueryOrFragment, Scheme, SocketPath,
    };
    use super::*;

    fn unix(path: &str) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint::Unix(path.into()))
    }

    #[test]
    fn endpoints_are_unix_paths_and_ip_addresses() {
        let tcp = |address: &str| Ok(Endpoint::Tcp(address.parse().unwrap()));
        for (rule, uri, want) in [
            (
                "WEP-12 +, WEP-13 +",
                "unix:///run/agent.sock",
                unix("/run/agent.sock"),
            ),
            (
                "WEP-13 +, AMB-34 +",
                "unix:/run/agent.sock",
                unix("/run/agent.sock"),
            ),
            ("WEP-13 +", "unix:///run/../a", unix("/run/../a")),
            ("RFC 3986 §3.1", "UNIX:/p", unix("/p")),
            ("RFC 3986 §2.1", "unix:/a%20b%3F", unix("/a b?")),
            ("WEP-13 −", "unix:p", Err(SocketPath)),
            ("WEP-13 −", "unix:", Err(SocketPath)),
            ("WEP-13 −", "unix://", Err(SocketPath)),
            ("WEP-13 −", "unix:/", Err(SocketPath)),
            ("WEP-13 −", "unix:///p/", Err(SocketPath)),
            ("WEP-13 −", "unix://p", Err(Authority)),
            ("WEP-13 −", "unix://h/p", Err(Authority)),
            ("WEP-13 −", "unix:///p?x", Err(QueryOrFragment)),
            ("WEP-13 −", "unix:///p#f", Err(QueryOrFragment)),
            ("RS-01 −", "unix:///p\n", Err(Character)),
            ("RS-01 −", "unix:///\tp", Err(Character)),
            ("RS-01 −", "unix:///p%00", Err(Character)),
            ("RS-01 −", "unix:///p%2", Err(Character)),
            ("RS-01 −", "unix:///p%+f", Err(Character)),
            ("RS-01 −", " unix:///p", Err(Scheme)),
            (
                "WEP-12 +, WEP-14 +",
                "tcp://127.0.0.1:8000",
                tcp("127.0.0.1:8000"),
            ),
            ("WEP-14 +", "tcp://[::1]:8000", tcp("[::1]:8000")),
            ("WEP-14 +", "tcp://127.0.0.1:65535", tcp("127.0.0.1:65535")),
            ("WEP-14 −", "tcp://localhost:1", Err(Address)),
            ("WEP-14 −", "tcp://1.2.3.4", Err(Port)),
            ("WEP-14 −", "tcp://1.2.3.4:", Err(Port)),
            ("WEP-14 −", "tcp://1.2.3.4:1/", Err(Port)),
            ("WEP-14 −", "tcp://1.2.3.4:1/foo", Err(Port)),
            ("WEP-14 −", "tcp://u@1.2.3.4:1", Err(Address)),
            ("WEP-14 −", "tcp://1.2.3.4:0", Err(Port)),
            ("WEP-14 −", "tcp://1.2.3.4:65536", Err(Port)),
            ("WEP-14 −", "tcp://1.2.3.4:+1", Err(Port)),
            ("WEP-14 −", "tcp://::1:8000", Err(Address)),
            ("WEP-14 −", "tcp://[::1]", Err(Port)),
            ("WEP-14 −", "tcp://[::1%25lo]:1", Err(Address)),
            ("WEP-14 −", "tcp:1.2.3.4:1", Err(Address)),
            ("WEP-14 −", "tcp://1.2.3:1", Err(Address)),
            ("WEP-14 −", "tcp://1.2.3.4:1?x", Err(QueryOrFragment)),
            ("WEP-12 −", "http://127.0.0.1:1", Err(Scheme)),
            ("WEP-12 −", "/run/agent.sock", Err(Scheme)),
            ("WEP-12 −", "", Err(Scheme)),
        ] {
            assert_eq!(uri.parse::<Endpoint>(), want, "{rule}: {uri:?}");
        }
    }

    #[test]
    fn configuration_comes_before_the_environment_and_nothing_is_guessed() {
        let first_of = |explicit, variable: Option<&str>| {
            Endpoint::first_of(explicit, variable.map(Into::into))
        };
        let (a, b) = ("unix:/a", "unix:/b");
        assert_eq!(first_of(Some(a), Some(b)), unix("/a"), "WEP-11 +");
        assert_eq!(first_of(None, Some(b)), unix("/b"), "WEP-11 +");
        assert_eq!(first_of(Some(""), Some(b)), Err(Scheme), "WEP-11 −");
        assert_eq!(first_of(None, None), Err(NotConfigured), "WEP-11 −");
        assert_eq!(first_of(None, Some("")), Err(NotConfigured), "WEP-11 −");
    }

    #[test]
    fn printing_then_parsing_is_identity() {
        for uri in [
            "unix:/a b/%25%3F%23%0A",
            "tcp://[::1]:8000",
            "tcp://127.0.0.1:1",
        ] {
            let endpoint: Endpoint = uri.parse().unwrap();
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint), "{uri}");
        }
        assert_eq!(Endpoint::unix("relative"), Err(SocketPath));
    }
}
