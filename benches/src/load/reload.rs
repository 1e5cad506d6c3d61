//! What a change in a large configuration costs those who wait for it, and those who do not.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::Result;
use crate::call::Client;
use crate::clock::{self, Quantiles};
use crate::report::{Figure, Reach, Report};
use crate::stream::Streams;
use crate::target::Target;

/// Letting go of the entries before goes on for a while after the new ones are in force.
const AFTER: Duration = Duration::from_millis(500);

/// Reloads `entries` entries of which one has changed, so many times, while somebody else asks for a token in a loop.
pub(crate) async fn reload(
    report: &mut Report,
    binary: &Path,
    entries: usize,
    times: usize,
) -> Result<()> {
    let mut agent = Target::agent_with(binary, entries).await?;
    let mut stream = Streams::open(&agent.socket, 1).await?;
    let [mut changes, mut waits] = [const { Vec::new() }; 2];
    for number in 0..times {
        let client = Client::connect(&agent.socket).await?;
        let calling = Calling::start(client);
        let written = agent.change(2 - number % 2).await?;
        let (arrived, _) = stream.next_messages().await?;
        changes.push(arrived - written);
        stream.settle(AFTER).await;
        waits.push(calling.longest().await?);
    }
    let figure = |time| vec![Some(Figure::Time(time))];
    report.row(
        format!("one of {entries} entries in the file → message on a stream, p50"),
        figure(Quantiles::of(changes).p50),
        Reach::AtMost(Figure::Time(Duration::from_secs(1))),
    );
    let waits = Quantiles::of(waits);
    report.row(
        "… longest FetchJWTSVID of another caller meanwhile, p50",
        figure(waits.p50),
        Reach::Nothing,
    );
    report.row(
        "… max",
        figure(waits.max),
        Reach::AtMost(Figure::Time(Duration::from_millis(100))),
    );
    Ok(())
}

/// A client that asks in a loop.
struct Calling {
    task: JoinHandle<Result<Duration>>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Calling {
    fn start(mut client: Client) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let began = clock::now();
                client.jwt_svid().await?;
                longest = longest.max(clock::now() - began);
                // The file is read on the other core.
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            Ok(longest)
        });
        Self { task, stop }
    }

    async fn longest(self) -> Result<Duration> {
        let _ended = self.stop.send(());
        self.task.await?
    }
}
