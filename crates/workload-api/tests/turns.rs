//! Whoever asks for much gets it in turns: what is done for him between two answers to another is bounded.
//!
//! Everything runs on one thread, and answers are counted, so no machine is too slow for this.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod served;

use std::sync::atomic::Ordering::SeqCst;

use plastron_workload_api::Limits;
use served::{Raw, Served, WINDOW, grpc, pipelined, serve, until, within};
use tokio::net::UnixStream;
use tonic::Code;

const GREEDY: u32 = 1001;
const MODEST: u32 = 1002;
const CONNECTIONS: usize = 100;
const CALLS: u32 = 50;
const ALL: usize = CONNECTIONS * CALLS as usize;
/// Calls of one user ID in a round.
const SHARE: usize = 16;
/// `ValidateJWTSVIDRequest`, framed.
const TOKEN: &[u8] = b"\0\0\0\0\x09\x0a\x01a\x12\x04good";

/// A server, with connections of one user ID that have asked for nothing yet.
async fn served_to_many(connections: usize) -> (Served, Vec<UnixStream>) {
    let served = serve(Limits::for_descriptors(20_000));
    let mut greedy = Vec::new();
    for _ in 0..connections {
        greedy.push(served.connect_as(GREEDY).await);
    }
    until(|| served.stats.connections() == connections as u64).await;
    (served, greedy)
}

/// All of them ask at once for as much as they may.
fn ask(greedy: &[UnixStream]) {
    let asked = pipelined(CALLS, WINDOW, "ValidateJWTSVID", &TOKEN[5..]);
    for connection in greedy {
        assert_eq!(connection.try_write(&asked).unwrap(), asked.len());
    }
}

async fn validate(raw: &mut Raw) {
    let request = grpc("/SpiffeWorkloadAPI/ValidateJWTSVID").header("workload.spiffe.io", "true");
    let response = within(raw.call(request.body(()).unwrap(), TOKEN)).await;
    assert_eq!(response.unwrap().status(), Some(Code::Ok));
}

/// How many calls were answered so far.
fn answered(served: &Served) -> usize {
    served.stage.validated.lock().unwrap().len()
}

#[tokio::test]
async fn a_thousand_calls_of_one_user_do_not_stand_between_two_of_another() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    let stream = served.connect_as(MODEST).await;
    let mut modest = Raw::over(stream, h2::client::Builder::new()).await;
    validate(&mut modest).await;
    served.stage.validated.lock().unwrap().clear();
    ask(&greedy);
    for _ in 0..20 {
        validate(&mut modest).await;
    }
    let validated = served.stage.validated.lock().unwrap().clone();
    assert!(validated.len() < ALL / 2, "they were asking all the while");
    let between = validated.split(|who| *who == MODEST).map(<[u32]>::len);
    let most = between.max().unwrap();
    // A call takes its way from task to task and through two sockets, which is some rounds.
    assert!(most <= 8 * SHARE, "{most} answers to others in between");
    until(|| answered(&served) == ALL + 20).await;
}

#[tokio::test]
async fn a_new_connection_does_not_wait_for_those_of_another_user() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    ask(&greedy);
    for _ in 0..3 {
        let before = answered(&served);
        let stream = served.connect_as(MODEST).await;
        let mut modest = Raw::over(stream, h2::client::Builder::new()).await;
        validate(&mut modest).await;
        let meanwhile = answered(&served) - before;
        assert!(meanwhile <= 20 * SHARE, "{meanwhile}");
    }
}

#[tokio::test]
async fn a_connection_with_many_calls_makes_way_after_sixteen() {
    let (served, greedy) = served_to_many(1).await;
    let modest = served.connect_as(MODEST).await;
    until(|| served.stats.connections() == 2).await;
    ask(&greedy);
    let asked = pipelined(1, WINDOW, "ValidateJWTSVID", &TOKEN[5..]);
    assert_eq!(modest.try_write(&asked).unwrap(), asked.len());
    until(|| answered(&served) == 1 + CALLS as usize).await;
    let validated = served.stage.validated.lock().unwrap();
    let before_it = validated.iter().take_while(|who| **who == GREEDY).count();
    assert!(before_it <= SHARE, "{before_it}");
}

#[tokio::test]
async fn connections_of_one_user_have_their_turns_one_after_the_other() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    // One of many that want more than a share, and one that comes last and wants little.
    ask(&greedy[1..]);
    until(|| answered(&served) > 0).await;
    let asked = pipelined(1, WINDOW, "ValidateJWTSVID", &TOKEN[5..]);
    assert_eq!(greedy[0].try_write(&asked).unwrap(), asked.len());
    within(greedy[0].readable()).await.unwrap();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&buffer).contains("spiffe://example.org/a") {
        within(greedy[0].readable()).await.unwrap();
        let _settings_first = greedy[0].try_read(&mut buffer);
    }
    let before_it = answered(&served);
    assert!(before_it <= (CONNECTIONS + 2) * SHARE, "{before_it}");
}

#[tokio::test]
async fn who_waits_for_his_turn_is_still_lost_and_leaves_nothing() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    ask(&greedy);
    until(|| answered(&served) >= SHARE).await;
    let gone = plastron_workload_api::Refusal::permission_denied("another program");
    served.stage.lost.send_replace(Some(gone));
    until(|| served.stats.lost() == CONNECTIONS as u64).await;
    let answers = answered(&served);
    assert!(answers <= 8 * SHARE, "{answers} answers to lost callers");
    drop(greedy);
    until(|| served.stats.connections() == 0).await;
    served.stage.lost.send_replace(None);
    served::assert_serves(&served).await;
}

#[tokio::test]
async fn a_server_stops_whoever_waits_for_a_turn() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    ask(&greedy);
    until(|| answered(&served) >= SHARE).await;
    served.stop.send(()).unwrap();
    within(served.running).await.unwrap();
    assert_eq!(served.stats.connections(), 0);
}

#[tokio::test]
async fn streams_of_one_user_that_change_together_do_not_delay_another() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    let asked = pipelined(CALLS, WINDOW, "FetchX509SVID", &[]);
    for connection in &greedy {
        assert_eq!(connection.try_write(&asked).unwrap(), asked.len());
    }
    until(|| served.stage.released.load(SeqCst) == ALL).await;
    let stream = served.connect_as(MODEST).await;
    let mut modest = Raw::over(stream, h2::client::Builder::new()).await;
    validate(&mut modest).await;
    served.publish(served::x509("b", 1));
    validate(&mut modest).await;
    let updated = served.stage.released.load(SeqCst) - ALL;
    // Each connection has many of them, which are one turn; what goes beyond the share is owed.
    assert!(updated <= 8 * CALLS as usize, "{updated} updates");
    until(|| served.stage.released.load(SeqCst) == 2 * ALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_is_answered_on_many_threads() {
    let (served, greedy) = served_to_many(CONNECTIONS).await;
    ask(&greedy);
    until(|| answered(&served) == ALL).await;
    drop(greedy);
    until(|| served.stats.connections() == 0).await;
}
