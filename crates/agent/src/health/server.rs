//! Health and metrics over HTTP, for probes and scrapers on this machine.

use std::{
    collections::VecDeque, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use super::Health;
use crate::metrics::Metrics;

/// Connections at a time. Probes and scrapers are few, and are answered at once; so one more takes the place of the oldest,
/// who has not sent his request or does not read his response.
const CONNECTIONS: usize = 16;
/// How long a connection may take, its request and its response.
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request.
const REQUEST: usize = 8192;
/// How long to wait after a failure to accept, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `GET /live` and `/ready`, `/metrics`, or all three on a loopback address. Each connection is one request.
///
/// `/live` is 200 as long as anybody answers. `/ready` is 200 when the agent serves and 503 when it does not, with what is
/// wrong as JSON either way. Nothing here is secret from the users of the machine, or can be changed.
#[derive(Debug)]
pub struct HealthServer {
    listener: TcpListener,
    within: Duration,
}

/// Why health is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthServerError {
    /// The address is not of this machine alone.
    #[error("{address} is not a loopback address")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl HealthServer {
    /// Listens on a loopback address. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Another address, or one that is taken.
    pub async fn bind(address: SocketAddr) -> Result<Self, HealthServerError> {
        if !address.ip().is_loopback() {
            return Err(HealthServerError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| HealthServerError::Bind { address, source })?;
        Ok(Self {
            listener,
            within: WITHIN,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped, for what is given.
    pub async fn serve(self, health: Option<Arc<Health>>, metrics: Option<Arc<Metrics>>) {
        let mut connections = JoinSet::new();
        let mut oldest_first = VecDeque::<AbortHandle>::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    oldest_first.retain(|connection| !connection.is_finished());
                    if oldest_first.len() >= CONNECTIONS
                        && let Some(oldest) = oldest_first.pop_front()
                    {
                        oldest.abort();
                    }
                    let answering = answer(stream, health.clone(), metrics.clone());
                    let connection = connections.spawn(async move {
                        let _ = tokio::time::timeout(self.within, answering).await;
                    });
                    oldest_first.push_back(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "health: cannot accept");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

async fn answer(stream: TcpStream, health: Option<Arc<Health>>, metrics: Option<Arc<Metrics>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, health.as_deref(), metrics.as_deref());
        async move { Ok::<_, Infallible>(response) }
    });
    let outcome = http1::Builder::new()
        // The whole connection has its time limit.
        .header_read_timeout(None)
        .keep_alive(false)
        .max_buf_size(REQUEST)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "health: connection broke off");
    }
}

fn respond(
    request: &Request<Incoming>,
    health: Option<&Health>,
    metrics: Option<&Metrics>,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "only GET and HEAD\n".into(),
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    route(request.uri().path(), health, metrics)
}

fn route(path: &str, health: Option<&Health>, metrics: Option<&Metrics>) -> Response<Full<Bytes>> {
    match (path, health, metrics) {
        ("/live", Some(_), _) => plain(StatusCode::OK, JSON, "{\"status\":\"live\"}\n".into()),
        ("/ready", Some(health), _) => ready(health),
        ("/metrics", _, Some(metrics)) => plain(StatusCode::OK, OPEN_METRICS, metrics.encode()),
        (_, health, metrics) => {
            let there = match (health, metrics) {
                (Some(_), None) => "/live or /ready",
                (None, _) => "/metrics",
                (Some(_), Some(_)) => "/live, /ready or /metrics",
            };
            plain(StatusCode::NOT_FOUND, TEXT, format!("try {there}\n"))
        }
    }
}

fn ready(health: &Health) -> Response<Full<Bytes>> {
    let standing = health.standing();
    let (code, status) = match (standing.ready, standing.problems.is_empty()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "ready"),
    };
    let body = serde_json::json!({ "status": status, "problems": standing.problems });
    plain(code, JSON, format!("{body}\n"))
}

fn plain(code: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Served {
        address: SocketAddr,
        health: Arc<Health>,
        _server: JoinSet<()>,
    }

    async fn serve() -> Served {
        serve_within(WITHIN).await
    }

    async fn serve_within(within: Duration) -> Served {
        let health = Arc::new(Health::new());
        let metrics = Arc::new(Metrics::new(
            "example.org",
            std::time::SystemTime::UNIX_EPOCH,
        ));
        let mut server = HealthServer::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        server.within = within;
        let address = server.address().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.serve(Some(health.clone()), Some(metrics)));
        Served {
            address,
            health,
            _server: tasks,
        }
    }

    async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let code = response.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        (code, response)
    }

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        ask(
            address,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        )
        .await
    }

    #[tokio::test]
    async fn readiness_is_a_status_and_says_what_is_wrong() {
        let served = serve().await;
        let audit = served.health.component("audit");
        let (code, response) = get(served.address, "/ready").await;
        assert_eq!(code, 503);
        assert!(
            response.contains(r#"{"problems":["audit: not started yet"],"status":"not ready"}"#),
            "{response}"
        );
        audit.degraded("disk \"full\"");
        let (code, response) = get(served.address, "/ready").await;
        assert_eq!(code, 200);
        assert!(
            response.contains(r#"{"problems":["audit: disk \"full\""],"status":"degraded"}"#),
            "{response}"
        );
        audit.ok();
        let (code, response) = get(served.address, "/ready").await;
        assert_eq!(code, 200);
        assert!(
            response.contains(r#"{"problems":[],"status":"ready"}"#),
            "{response}"
        );
    }

    #[tokio::test]
    async fn only_three_paths_are_answered_and_only_read() {
        let served = serve().await;
        for (path, want) in [
            ("/live", 200),
            ("/metrics", 200),
            ("/", 404),
            ("/live/", 404),
            ("/metrics?x=1", 200),
        ] {
            assert_eq!(get(served.address, path).await.0, want, "{path}");
        }
        let post = "POST /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(ask(served.address, post).await.0, 405);
        let (code, response) = ask(
            served.address,
            "HEAD /live HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        .await;
        assert!(code == 200 && response.ends_with("\r\n\r\n"), "{response}");
    }

    #[test]
    fn each_is_answered_where_it_was_asked_for_alone() {
        let health = Health::new();
        let metrics = Metrics::new("example.org", std::time::SystemTime::UNIX_EPOCH);
        let code = |path: &str, health, metrics| route(path, health, metrics).status().as_u16();
        for (path, of_health, of_metrics) in [
            ("/live", 200, 404),
            ("/ready", 200, 404),
            ("/metrics", 404, 200),
        ] {
            let seen = (
                code(path, Some(&health), None),
                code(path, None, Some(&metrics)),
            );
            assert_eq!(seen, (of_health, of_metrics), "{path}");
        }
    }

    #[tokio::test]
    async fn a_request_that_is_too_long_or_none_is_refused() {
        let served = serve().await;
        let long = format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "a".repeat(REQUEST)
        );
        assert!(matches!(ask(served.address, &long).await.0, 414 | 431));
        assert_eq!(ask(served.address, "hello there\r\n\r\n").await.0, 400);
    }

    #[tokio::test]
    async fn those_who_say_nothing_keep_nobody_else_out() {
        let served = serve_within(Duration::from_secs(3600)).await;
        let mut silent = Vec::new();
        for _ in 0..3 * CONNECTIONS {
            silent.push(TcpStream::connect(served.address).await.unwrap());
        }
        assert_eq!(get(served.address, "/live").await.0, 200);
        // The one that has been silent longest is closed, the newest is not.
        let mut nothing = [0];
        assert_eq!(silent[0].read(&mut nothing).await.unwrap(), 0);
        let mut newest = silent.pop().unwrap();
        newest
            .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(newest.read(&mut nothing).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn those_who_say_nothing_are_closed_in_time() {
        let served = serve_within(Duration::from_millis(20)).await;
        let mut silent = TcpStream::connect(served.address).await.unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn only_loopback_addresses_are_listened_on() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
            let refused = HealthServer::bind(address.parse().unwrap()).await;
            assert!(
                matches!(refused, Err(HealthServerError::NotLoopback { .. })),
                "{address}"
            );
        }
        let first = HealthServer::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let second = HealthServer::bind(first.address().unwrap()).await;
        assert!(matches!(second, Err(HealthServerError::Bind { .. })));
    }
}
