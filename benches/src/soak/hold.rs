//! A process that holds streams for as long as it is let, and asks for tokens meanwhile.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use plastron_wire::workload::{JwtsvidRequest, ValidateJwtsvidRequest};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::Result;
use crate::chance::Chance;
use crate::check::Checker;
use crate::client::{self, Client, Messages};
use crate::judge::RETRY;
use crate::moment::{self, Moment};
use crate::news::{Call, Image, News, Shown};
use crate::rule::Rule;

/// Streams that share a connection.
const ON_A_CONNECTION: u32 = 4;
/// What of five streams each asks for.
const MIX: [Call; 5] = [
    Call::X509Svids,
    Call::X509Bundles,
    Call::X509Svids,
    Call::JwtBundles,
    Call::X509Svids,
];
/// Audiences that are asked for, alone and together.
const AUDIENCES: u64 = 40;
/// How often what held is told: what a killed process has not told is not counted.
const TELL_EVERY: Duration = Duration::from_millis(250);

#[derive(Args)]
pub(crate) struct Hold {
    socket: PathBuf,
    #[arg(long)]
    streams: u32,
    #[arg(long)]
    seed: u64,
}

impl Hold {
    /// Holds the streams until the standard input ends.
    pub(crate) async fn run(self) -> Result<()> {
        let checker = Arc::new(Checker::default());
        let image = Image::own()?;
        let mut chance = Chance::new(self.seed);
        let mut tasks = JoinSet::new();
        let mut client = None;
        for stream in 0..self.streams {
            if stream % ON_A_CONNECTION == 0 {
                client = Some(client::connect(&self.socket).await?);
            }
            let client = client.clone().expect("the first stream makes one");
            let call = MIX[stream as usize % MIX.len()];
            let holder = Holder {
                client,
                call,
                stream,
                image,
                checker: checker.clone(),
            };
            tasks.spawn(holder.hold(Chance::new(chance.next())));
        }
        let client = client::connect(&self.socket).await?;
        tasks.spawn(ask_for_tokens(client, image, checker.clone(), chance));
        let telling = async {
            loop {
                sleep(TELL_EVERY).await;
                checker.teller.flush();
            }
        };
        // Blocks a thread of its own: nothing is ever written there.
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().lock().read(&mut [0]));
        tokio::select! {
            () = telling => {}
            ended = ended => drop(ended??),
            Some(ended) = tasks.join_next() => ended?,
        }
        checker.teller.flush();
        Ok(())
    }
}

impl Image {
    /// The one that runs.
    pub(crate) fn own() -> Result<Self> {
        Ok(Self::of(&std::env::current_exe()?))
    }

    pub(crate) fn of(program: &Path) -> Self {
        if program.ends_with(Self::GUEST) {
            Self::Guest
        } else {
            Self::Member
        }
    }

    /// The name of the copy.
    pub(crate) const GUEST: &'static str = "soak-guest";
}

/// One stream, opened again whenever it was denied.
pub(crate) struct Holder {
    pub(crate) client: Client,
    pub(crate) call: Call,
    pub(crate) stream: u32,
    pub(crate) image: Image,
    pub(crate) checker: Arc<Checker>,
}

impl Holder {
    pub(crate) async fn hold(mut self, mut chance: Chance) {
        let (stream, call, image) = (self.stream, self.call, self.image);
        let teller = &self.checker.teller;
        teller.tell(&News::Opening {
            stream,
            call,
            image,
        });
        loop {
            let status = follow(&mut self.client, call, stream, &self.checker, u32::MAX).await;
            let Err(status) = status else { return };
            let at = Moment::now();
            if status.code() == Code::PermissionDenied {
                teller.tell(&News::Denied { stream, at });
            } else {
                teller.broken(
                    Rule::Unbroken,
                    format!("stream {stream}, {call:?}: {status}"),
                );
            }
            sleep(chance.millis(50, 250).min(RETRY)).await;
        }
    }
}

/// Opens a stream and follows it, for so many messages at most.
pub(crate) async fn follow(
    client: &mut Client,
    call: Call,
    stream: u32,
    checker: &Arc<Checker>,
    messages: u32,
) -> std::result::Result<(), Status> {
    let mut open = Messages::open(client, call).await?;
    let mut last: Option<Shown> = None;
    let mut expires = None;
    for _ in 0..messages {
        let message = tokio::select! {
            biased;
            message = open.next() => message?,
            () = until(expires) => {
                let what = format!("stream {stream}: its SVID expires and no other comes");
                checker.teller.broken(Rule::X509Renewed, what);
                open.next().await?
            }
        };
        checker.teller.held(Rule::Unbroken);
        let Some(seen) = checker.see(&message) else {
            continue;
        };
        if expires.is_some() {
            checker.teller.held(Rule::X509Renewed);
        }
        expires = seen
            .expires
            .map(|expires| Duration::from_secs(expires.as_secs()));
        let (at, shown, fresh) = (Moment::now(), seen.shown, last.is_none());
        if last.as_ref() != Some(&shown) {
            checker.teller.tell(&News::Shows {
                stream,
                at,
                fresh,
                shown: shown.clone(),
            });
            last = Some(shown);
        }
    }
    Ok(())
}

/// Until a moment of the wall clock has passed, and what came meanwhile had time to be read.
async fn until(expires: Option<Duration>) {
    match expires {
        Some(expires) => {
            sleep(expires.saturating_sub(moment::unix_now())).await;
            sleep(Duration::from_millis(100)).await;
        }
        None => std::future::pending().await,
    }
}

async fn ask_for_tokens(
    mut client: Client,
    image: Image,
    checker: Arc<Checker>,
    mut chance: Chance,
) {
    loop {
        sleep(chance.millis(20, 180)).await;
        let audiences = (0..=chance.below(3))
            .map(|_| format!("audience-{}", chance.below(AUDIENCES)))
            .collect();
        if let Err(status) = tokens(&mut client, audiences, &checker).await {
            let at = Moment::now();
            if status.code() == Code::PermissionDenied {
                checker.teller.tell(&News::Refused { image, at });
            } else {
                checker
                    .teller
                    .broken(Rule::Unbroken, format!("JWT-SVIDs: {status}"));
            }
        }
    }
}

/// Fetches JWT-SVIDs, checks them, and has them checked by the agent.
pub(crate) async fn tokens(
    client: &mut Client,
    audiences: Vec<String>,
    checker: &Checker,
) -> std::result::Result<(), Status> {
    let request = JwtsvidRequest {
        audience: audiences.clone(),
        spiffe_id: String::new(),
    };
    let svids = client.fetch_jwtsvid(request).await?.into_inner().svids;
    checker.teller.held(Rule::Unbroken);
    for svid in svids {
        checker.jwt_svid(&svid, &audiences).await;
        for (audience, good) in [(audiences[0].as_str(), true), ("nobody", false)] {
            let request = ValidateJwtsvidRequest {
                audience: audience.to_owned(),
                svid: svid.svid.clone(),
            };
            let judged = client.validate_jwtsvid(request).await;
            let found = match judged {
                Ok(response) if good && response.get_ref().spiffe_id == svid.spiffe_id => Ok(()),
                Err(status) if !good && status.code() == Code::InvalidArgument => Ok(()),
                Err(status) if status.code() == Code::PermissionDenied => return Err(status),
                Ok(_) => Err(format!("{} is valid for {audience}", svid.spiffe_id)),
                Err(status) => Err(format!("{} for {audience}: {status}", svid.spiffe_id)),
            };
            checker.teller.found(Rule::JwtJudged, found);
        }
    }
    Ok(())
}
