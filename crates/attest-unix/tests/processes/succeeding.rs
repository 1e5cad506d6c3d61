//! Attacks that succeed: what a path and a digest do not keep out.
//!
//! Whoever may start or trace a program under some uid decides what it does. So uid, gid and groups are the wall, and path and
//! digest narrow inside it. These tests show that, so that nobody believes more.

use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

use crate::house::{House, greet, read, runs, spoken_now};
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
    assert_eq!(read(&mut connection).await, "acknowledged\n");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}
