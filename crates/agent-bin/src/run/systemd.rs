//! What a service tells systemd, and takes from it.

use std::{
    io,
    os::unix::net::UnixListener,
    sync::{
        OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

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

/// Tells in a thread of its own and in order: a service manager that does not listen keeps nobody from being served.
fn tell(states: &[NotifyState<'_>]) {
    static TELLER: OnceLock<Option<SyncSender<String>>> = OnceLock::new();
    // Without a service manager there is nobody to tell, and that is no error.
    if let Some(teller) = TELLER.get_or_init(teller) {
        let states: Vec<_> = states.iter().map(ToString::to_string).collect();
        if teller.try_send(states.join("\n")).is_err() {
            tracing::warn!("the service manager does not listen and is told no more until it does");
        }
    }
}

fn teller() -> Option<SyncSender<String>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (teller, told) = sync_channel::<String>(UNHEARD);
    let telling = move || {
        for states in told {
            if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&states)]) {
                tracing::debug!(%error, "the service manager cannot be told");
            }
        }
    };
    std::thread::Builder::new()
        .name("notify".into())
        .stack_size(64 << 10)
        .spawn(telling)
        .inspect_err(|error| tracing::warn!(%error, "the service manager cannot be told"))
        .ok()?;
    Some(teller)
}

/// What may wait to be told: more than one reload and a stop.
const UNHEARD: usize = 16;
