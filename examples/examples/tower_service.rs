//! A `tower` service that lets requests in by their JWT-SVIDs, and hands the SPIFFE ID of the caller on.
//!
//! `cargo run -p plastron-examples --example tower_service` asks the agent at `SPIFFE_ENDPOINT_SOCKET` for a token, and shows
//! what the service says with it and without.

use std::{
    convert::Infallible,
    error::Error,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use pki_types::UnixTime;
use plastron_id::{SpiffeId, SpiffeIdPattern};
use plastron_keys_aws_lc::{ALGORITHMS, AwsLc};
use plastron_source::JwtSource;
use plastron_svid::JwtVerifier;
use plastron_workload_client::{Endpoint, WorkloadClient};
use tower::{Service, ServiceExt as _, service_fn};

/// Lets in whom `callers` means, if he shows a token that is meant for `audience`.
#[derive(Clone, Debug)]
pub struct Bearer<S> {
    /// Answers those who were let in.
    pub inner: S,
    /// Who we are to our callers.
    pub audience: &'static str,
    /// Whom to let in.
    pub callers: SpiffeIdPattern,
    /// The keys of trust domains.
    pub bundles: JwtSource,
    /// The clock.
    pub now: fn() -> UnixTime,
}

impl<S> Bearer<S> {
    fn caller<B>(&self, request: &Request<B>) -> Option<SpiffeId> {
        let token = bearer(request.headers())?;
        let bundles = self.bundles.current().ok()?;
        let svid = JwtVerifier::new(ALGORITHMS)
            .verify(token, &[self.audience], &*bundles, (self.now)())
            .ok()?;
        self.callers
            .matches(svid.id())
            .then(|| svid.id().to_owned())
    }
}

/// The token of a request: one in one header, or who else reads the request may take another (JWT-43).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

impl<S, B> Service<Request<B>> for Bearer<S>
where
    S: Service<Request<B>, Response = Response<String>>,
{
    type Response = Response<String>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<String>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.caller(&request) {
            Some(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            None => {
                let mut refusal = Response::new(String::new());
                *refusal.status_mut() = StatusCode::UNAUTHORIZED;
                Either::Right(ready(Ok(refusal)))
            }
        }
    }
}

/// Says hello to whoever was let in.
pub async fn hello(request: Request<()>) -> Result<Response<String>, Infallible> {
    let caller = request.extensions().get::<SpiffeId>();
    Ok(Response::new(format!("hello {caller:?}")))
}

#[tokio::main]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program reads the clock and prints"
)]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = WorkloadClient::new(Endpoint::configured(None)?, AwsLc);
    let (bundles, driver) = client.jwt_source().await?;
    tokio::spawn(driver);
    let service = Bearer {
        inner: service_fn(hello),
        audience: "payments",
        callers: "spiffe://example.org/**".parse()?,
        bundles,
        now: UnixTime::now,
    };
    let token = client.fetch_jwt_svid(&["payments"]).await?;
    let with = Request::builder().header(AUTHORIZATION, format!("Bearer {}", token.token()));
    for request in [with.body(())?, Request::new(())] {
        let response = service.clone().oneshot(request).await?;
        println!("{} {}", response.status(), response.body());
    }
    Ok(())
}
