//! One open stream: follows what its caller is entitled to, and the answer to that.

use std::{sync::Arc, time::Duration};

use plastron_workload_api::{Message, Refusal, Updates};
use tokio::sync::watch;

use crate::{
    agent::Core,
    answers::{BundleKind, Content, Release, TopicKey},
    callers::{Caller, settled},
    refusal,
    registry::Entitled,
    svids::SvidKind,
};

/// How long a caller whose identity hangs on its program may take to speak. Every HTTP/2 client answers the server's
/// SETTINGS at once.
const SPEAK_WITHIN: Duration = Duration::from_secs(5);
/// How long a stream waits for an SVID that has expired to be replaced before it ends.
const RENEW_WITHIN: Duration = Duration::from_secs(2);

/// Which call a stream belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    X509Svids,
    X509Bundles,
    JwtBundles,
    /// Of one SPIFFE ID, or of all that the caller has.
    #[cfg(feature = "wit")]
    WitSvids(Option<plastron_id::SpiffeId>),
    #[cfg(feature = "wit")]
    WitBundles,
}

impl Call {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::X509Svids => "FetchX509SVID",
            Self::X509Bundles => "FetchX509Bundles",
            Self::JwtBundles => "FetchJWTBundles",
            #[cfg(feature = "wit")]
            Self::WitSvids(_) => "FetchWITSVID",
            #[cfg(feature = "wit")]
            Self::WitBundles => "FetchWITBundles",
        }
    }

    /// Whether it gives out SVIDs, which are never for everybody.
    const fn gives_svids(&self) -> bool {
        match self {
            Self::X509Svids => true,
            Self::X509Bundles | Self::JwtBundles => false,
            #[cfg(feature = "wit")]
            Self::WitSvids(_) => true,
            #[cfg(feature = "wit")]
            Self::WitBundles => false,
        }
    }
}

/// The updates of one stream.
pub(crate) struct Stream {
    core: Arc<Core>,
    caller: Arc<Caller>,
    call: Call,
    entitled: watch::Receiver<Entitled>,
    /// The entitlement changed and has not been acted on.
    stale: bool,
    key: TopicKey,
    content: watch::Receiver<Content>,
}

impl Stream {
    /// Opens a stream for a caller that is entitled to an answer.
    pub(crate) async fn open(
        core: Arc<Core>,
        caller: Arc<Caller>,
        call: Call,
    ) -> Result<Self, Refusal> {
        let mut entitled = caller.entitled();
        let standing = settled(&mut entitled).await;
        let key = core.topic(&caller, &call, &standing).await?;
        let content = core.answers.watch(key.clone());
        Ok(Self {
            core,
            caller,
            call,
            entitled,
            stale: false,
            key,
            content,
        })
    }

    /// Follows the caller's entitlement to another answer, or to none.
    async fn reconsider(&mut self) -> Result<(), Refusal> {
        self.stale = true;
        let standing = settled(&mut self.entitled).await;
        let key = self.core.topic(&self.caller, &self.call, &standing).await?;
        if key != self.key {
            self.content = self.core.answers.watch(key.clone());
            self.key = key;
        }
        self.stale = false;
        Ok(())
    }

    fn release(&self, release: &Release) -> Message {
        let known = self.caller.known();
        for credential in &release.credentials {
            self.core.audit.released(&known.fragment, credential);
        }
        release.message.clone()
    }

    /// Waits for another answer or another entitlement.
    async fn changed(&mut self) -> Result<(), Refusal> {
        let open = tokio::select! {
            changed = self.entitled.changed() => {
                self.stale = true;
                changed.is_ok()
            }
            changed = self.content.changed() => {
                self.content.mark_changed();
                changed.is_ok()
            }
        };
        open.then_some(()).ok_or_else(refusal::stopping)
    }
}

impl Updates for Stream {
    async fn next(&mut self) -> Result<Message, Refusal> {
        loop {
            if self.stale || self.entitled.has_changed().unwrap_or(false) {
                self.reconsider().await?;
            }
            let content = self
                .content
                .has_changed()
                .unwrap_or(false)
                .then(|| self.content.borrow_and_update().clone());
            match content {
                Some(Content::Ready(release)) if release.is_valid(self.core.clock.now()) => {
                    return Ok(self.release(&release));
                }
                Some(Content::Ready(_)) => tokio::time::timeout(RENEW_WITHIN, self.changed())
                    .await
                    .map_err(|_| refusal::expired())??,
                Some(Content::Failed(refusal)) => {
                    self.core.audit.refused(
                        &self.caller.known().fragment,
                        self.call.name(),
                        &refusal,
                    );
                    return Err(refusal);
                }
                Some(Content::Awaited) | None => self.changed().await?,
            }
        }
    }
}

impl Core {
    /// Which answer a caller's entitlement gives it.
    ///
    /// # Errors
    ///
    /// It is entitled to nothing, or its program has not spoken; the refusal is recorded.
    async fn topic(
        &self,
        caller: &Caller,
        call: &Call,
        entitled: &Entitled,
    ) -> Result<TopicKey, Refusal> {
        self.entitle(
            caller,
            call.name(),
            entitled,
            !call.gives_svids() && self.settings.unauthenticated_bundles,
        )
        .await?;
        Ok(match call {
            Call::X509Svids => TopicKey::Svids(SvidKind::X509, entitled.entries.clone()),
            Call::X509Bundles => TopicKey::Bundles(BundleKind::X509, entitled.federates_with()),
            Call::JwtBundles => TopicKey::Bundles(BundleKind::Jwt, entitled.federates_with()),
            #[cfg(feature = "wit")]
            Call::WitSvids(None) => TopicKey::Svids(SvidKind::Wit, entitled.entries.clone()),
            #[cfg(feature = "wit")]
            Call::WitSvids(Some(wanted)) => {
                let entries = entitled.entries.iter();
                let entries = entries.filter(|entry| entry.spiffe_id == *wanted).cloned();
                let entries: Arc<[_]> = entries.collect();
                if entries.is_empty() {
                    let refusal = refusal::not_entitled(wanted.as_str());
                    let caller = &caller.known().fragment;
                    self.audit.refused(caller, call.name(), &refusal);
                    return Err(refusal);
                }
                TopicKey::Svids(SvidKind::Wit, entries)
            }
            #[cfg(feature = "wit")]
            Call::WitBundles => TopicKey::Bundles(BundleKind::Wit, entitled.federates_with()),
        })
    }

    /// What a caller is entitled to who may [pass](Core::entitle); whether that has changed since can be asked of it.
    ///
    /// # Errors
    ///
    /// As [`Core::topic`].
    pub(crate) async fn entitled(
        &self,
        caller: &Caller,
        call: &'static str,
        to_anybody: bool,
    ) -> Result<watch::Receiver<Entitled>, Refusal> {
        let mut entitled = caller.entitled();
        loop {
            let standing = settled(&mut entitled).await;
            self.entitle(caller, call, &standing, to_anybody).await?;
            // Waiting for its program can take longer than the entitlement lasts.
            if !entitled.has_changed().unwrap_or(false) {
                return Ok(entitled);
            }
        }
    }

    /// Lets a caller pass who is entitled to something, and whose program has spoken if that hangs on it.
    ///
    /// # Errors
    ///
    /// As [`Core::topic`].
    async fn entitle(
        &self,
        caller: &Caller,
        call: &'static str,
        entitled: &Entitled,
        to_anybody: bool,
    ) -> Result<(), Refusal> {
        let refusal = if entitled.entries.is_empty() && !to_anybody {
            if caller.known().evidence.unfinished {
                refusal::unfinished()
            } else {
                refusal::no_identity()
            }
        } else if entitled.of_program && !caller.has_spoken(SPEAK_WITHIN).await {
            refusal::silent_program()
        } else {
            return Ok(());
        };
        self.audit.refused(&caller.known().fragment, call, &refusal);
        Err(refusal)
    }
}
