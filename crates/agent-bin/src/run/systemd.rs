//! What a service tells systemd, and takes from it.

use std::{io, os::unix::net::UnixListener, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The socket that the service manager holds for us. The first one, where there are several.
pub(super) fn listener() -> io::Result<Option<UnixListener>> {
    ListenFd::from_env().take_unix_listener(0)
}

/// How often to say that we live: twice as often as the service manager wants to hear it.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Says that callers can come.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that it is over soon.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the configuration is being read.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Says that the configuration was read, and how that went.
pub(super) fn reloaded(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that we live, for as long as it is polled: whoever cannot poll this cannot serve either.
pub(super) async fn watchdog(interval: Duration) {
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(interval).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a service manager there is nobody to tell, and that is no error.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
