//! A client of the SPIFFE Workload API, and the sources it feeds.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use plastron_keys_aws_lc::AwsLc;
//! use plastron_workload_client::{Endpoint, WorkloadClient};
//!
//! // SPIFFE_ENDPOINT_SOCKET, since nothing else is said.
//! let client = WorkloadClient::new(Endpoint::configured(None)?, AwsLc);
//!
//! // Waits until there is an identity, and keeps it fresh while the driver runs.
//! let (mut source, driver) = client.x509_source().await?;
//! tokio::spawn(driver);
//! println!("{}", source.current()?.default_svid().expect("one at least").id());
//! while let Ok(renewed) = source.changed().await {
//!     println!("renewed: {:?}", renewed.default_svid());
//! }
//!
//! // Tokens are asked for when they are needed; the agent keeps them.
//! let token = client.fetch_jwt_svid(&["payments"]).await?;
//! client.validate_jwt_svid("payments", token.token()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What comes from the agent is checked, and an answer that breaks a rule is discarded whole; what it withdraws is
//! withdrawn; what ends is begun again, as fast as its status allows.
//!
//! WIT-SVIDs, which are incubating, are behind the feature `wit`: `WorkloadClient::wit_source` for one's own with their
//! keys, `wit_bundle_source` for the bundles to verify those of others with. What is behind it may change in a minor version.
//!
//! Tier 2. Left out: choosing among several agents.

mod client;
mod endpoint;
mod error;
mod response;
mod retry;
mod watch;
#[cfg(feature = "wit")]
mod wit;

pub use client::{Calls, SecurityHeader, WorkloadClient};
pub use endpoint::{ENDPOINT_VARIABLE, Endpoint, EndpointError};
pub use error::ClientError;
pub use response::{ResponseError, ValidatedJwtSvid};
pub use watch::Driver;
