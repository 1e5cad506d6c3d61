//! Unix callers: the listener that knows peers and writers, and the `unix` attestor.
//!
//! A [`UnixListener`] accepts [`UnixConnection`]s, each with its [`Peer`](plastron_attest::Peer). The [`UnixAttestor`]
//! tells what the kernel says of that process. [`Processes`] holds the processes that are connected, and looks once a
//! second whether each is still the same program of the same user.
//!
//! ```no_run
//! use plastron_attest::{Attested, Interest, WorkloadAttestor};
//! use plastron_attest_unix::{BindOptions, Processes, UnixAttestor, UnixListener};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = UnixListener::bind(&BindOptions::new("/run/agent.sock"), Processes::default())?;
//! let attestor = UnixAttestor::default();
//! let connection = listener.accept().await?;
//! let peer = connection.peer().clone();
//! if let Attested::Evidence(evidence) = attestor.attest(&peer, &Interest::all()).await? {
//!     println!("{:?} is {:?}", evidence.facts.path, evidence.selectors);
//! }
//! // Serve the connection, until:
//! let why = peer.handle.lost().await;
//! # Ok(())
//! # }
//! ```
//!
//! Tier 2. Linux 5.4 and later; what older kernels than 6.16 leave open, [`Capabilities`] says. All `unsafe` of the
//! workspace is in the module `sys`, and is calls of the C library.

mod asked;
mod attestor;
mod capabilities;
mod connection;
mod digest;
mod features;
mod image;
mod lanes;
mod limits;
mod listener;
mod lost;
mod names;
mod overflow;
mod peer;
mod process;
mod processes;
mod seen;
mod start_time;
mod status;
mod sys;

pub use attestor::{PathView, UnixAttestor, UnixAttestorOptions};
pub use capabilities::{Capabilities, Limitation};
pub use connection::UnixConnection;
pub use features::KernelFeatures;
pub use image::ImageSight;
pub use limits::raise_descriptor_limit;
pub use listener::{BindError, BindOptions, UnixListener};
pub use overflow::is_uid_of_many;
pub use peer::UnixPeer;
pub use processes::{ProcessOptions, Processes};
pub use sys::release_free_memory;
