//! Attacks that succeed: what a path and a digest do not keep out.
//!
//! Whoever may start or trace a program under some uid decides what it does. So uid, gid and groups are the wall, and path and
//! digest narrow inside it. These tests show that, so that nobody believes more.

use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

use plastron_attest::PeerLost;
use plastron_testing::parts::left_out;

use crate::house::{House, greet, if_permitted, now, read, runs, selector, spoken_now, why};
use crate::program::sha256_of;
use crate::puppet::{Puppet, WORDS};

/// Asks for an identity inside whatever program it is loaded into: connects, waits for the server's first words, answers.
const INTRUDER: &str = r#"
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((constructor)) static void intrude(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char words[64];
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, getenv("INTRUDER_SOCKET"));
    if (connect(s, (struct sockaddr *)&address, sizeof address) == 0
        && write(s, "request", 7) == 7 && read(s, words, sizeof words) > 0
        && write(s, "acknowledged", 12) == 12)
        read(s, words, sizeof words);
    _exit(0);
}
"#;

#[tokio::test]
async fn a_library_loaded_into_the_entitled_program_speaks_for_it() {
    let house = House::new();
    let (source, library) = (house.path("intruder.c"), house.path("intruder.so"));
    std::fs::write(&source, INTRUDER).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(built.success());
    let cart = house.program("cart");
    let mut child = Command::new(&cart)
        .env("LD_PRELOAD", &library)
        .env("INTRUDER_SOCKET", house.socket())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    assert_eq!(greet(&mut connection).await, "request");
    assert_eq!(read(&mut connection).await, "acknowledged");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
    drop(connection);
    child.wait().unwrap();
}

#[tokio::test]
async fn whoever_may_write_the_memory_of_the_entitled_program_speaks_for_it() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.connect(&house.socket());
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    greet(&mut connection).await;
    // Without tracing it, which would have shown.
    let at: u64 = puppet.ask("address").parse().unwrap();
    let memory = std::fs::File::options()
        .write(true)
        .open(format!("/proc/{}/mem", peer.pid))
        .unwrap();
    memory.write_all_at(b"guilty!!", at).unwrap();
    puppet.order("write-words");
    assert_ne!(&WORDS, b"guilty!!");
    assert_eq!(read(&mut connection).await, "guilty!!");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}

#[tokio::test]
async fn whoever_traced_the_entitled_program_and_let_it_go_speaks_for_it() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    let at = puppet.ask("address");
    puppet.connect(&house.socket());
    let mut tracer = Puppet::start();
    let pid = puppet.pid();
    if_permitted!(tracer, &format!("attach {pid}"));
    let connection = house.accept().await;
    let evidence = house.evidence(connection.peer()).await;
    assert_eq!(why(&evidence, "unix:path"), "the process is traced");
    drop(connection);
    tracer.order(&format!("inject-and-detach {pid} {at} guilty!!"));

    // What it did stays, and it does not show.
    puppet.connect(&house.socket());
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    greet(&mut connection).await;
    puppet.order("write-words");
    assert_eq!(read(&mut connection).await, "guilty!!");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}

#[tokio::test]
async fn a_process_that_forges_what_the_kernel_says_of_it_passes_for_the_entitled_program() {
    let house = House::new();
    let [cart, thief] = ["cart", "thief"].map(|name| house.program(name));
    let mut other = std::fs::File::options().append(true).open(&cart).unwrap();
    std::io::Write::write_all(&mut other, b"another program").unwrap();
    drop(other);
    let mut puppet = Puppet::start_at(&thief);
    if rustix::process::geteuid().is_root() {
        puppet.order("ids 12345 12345");
    }
    puppet.connect(&house.socket());
    let honest = house.accept().await;
    runs(&house.evidence(honest.peer()).await, &thief);
    let mut lost = std::pin::pin!(honest.peer().handle.lost());
    assert_eq!(now(lost.as_mut()).await, None);

    let answer = puppet.ask(&format!("forge-program {}", cart.display()));
    if answer != "ok" {
        return left_out(format_args!(
            "the kernel does not let /proc/self/exe be forged: {answer}"
        ));
    }
    // Who has been looked at before is caught by the next look at all facts.
    house.listener.processes().look_closely_now().await;
    assert_eq!(lost.await, PeerLost::FactsChanged);
    puppet.connect(&house.socket());
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    let evidence = house.evidence(&peer).await;
    runs(&evidence, &cart);
    assert_eq!(selector(&evidence, "sha256"), sha256_of(&cart));
    greet(&mut connection).await;
    puppet.order("write request");
    assert_eq!(read(&mut connection).await, "request");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}

/// A program that writes to a descriptor what it is told speaks for whoever started it.
#[tokio::test]
async fn a_program_that_repeats_what_it_hears_speaks_for_who_whispers() {
    let house = House::new();
    let mut thief = Puppet::start();
    thief.connect(&house.socket());
    thief.order("write request");
    let cat = std::fs::canonicalize("/bin/cat").unwrap();
    let running = format!("/proc/{}/exe", thief.pid());
    thief.tell("exec-cat");
    while std::fs::read_link(&running).unwrap() != cat {
        tokio::task::yield_now().await;
    }
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cat);
    assert_eq!(greet(&mut connection).await, "request");
    assert_eq!(spoken_now(&peer).await, None);
    thief.tell("acknowledged");
    // The puppet's words and the end of its line come as they come.
    let mut said = String::new();
    while !said.ends_with('\n') {
        let more = read(&mut connection).await;
        assert!(!more.is_empty(), "ended after {said:?}");
        said += &more;
    }
    assert_eq!(said, "acknowledged\n");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}
