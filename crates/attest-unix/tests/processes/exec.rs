//! Programs that ask, and become another program before they are looked at, meanwhile, or later.

use plastron_attest::PeerLost;
use tokio::io::AsyncWriteExt as _;

use crate::house::{House, greet, kernels, read, runs, spoken_now};
use crate::puppet::Puppet;

#[tokio::test]
async fn a_program_that_speaks_for_itself_is_believed_without_waiting() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&cart);
        puppet.connect(&house.socket());
        puppet.order("write request");
        let mut connection = house.accept().await;
        let peer = connection.peer().clone();
        runs(&house.evidence(&peer).await, &cart);
        assert_eq!(greet(&mut connection).await, "request");
        assert_eq!(
            spoken_now(&peer).await,
            None,
            "the request was waiting already"
        );
        assert_eq!(puppet.ask("read"), "settings");
        puppet.order("write acknowledged");
        assert_eq!(read(&mut connection).await, "acknowledged");
        assert_eq!(spoken_now(&peer).await, Some(Ok(())));
        puppet.order("write more");
        assert_eq!(read(&mut connection).await, "more");
        assert_eq!(peer.handle.check(), Ok(()));
    }
}

#[tokio::test]
async fn an_answer_to_the_first_words_is_speech_even_if_it_comes_before_anything_is_read() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&cart);
    puppet.connect(&house.socket());
    puppet.order("write request");
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    connection.write_all(b"settings").await.unwrap();
    assert_eq!(puppet.ask("read"), "settings");
    puppet.order("write acknowledged");
    let mut said = String::new();
    while said != "requestacknowledged" {
        assert_eq!(spoken_now(&peer).await, None, "{said}");
        said += &read(&mut connection).await;
    }
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}

#[tokio::test]
async fn who_asks_and_becomes_the_entitled_program_gets_nothing_in_its_name() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&house.program("thief"));
        puppet.connect(&house.socket());
        // The agent does not accept meanwhile, so it finds the entitled program, and a request that it did not write.
        puppet.order("write request");
        puppet.exec(&cart);
        let mut connection = house.accept().await;
        let peer = connection.peer().clone();
        runs(&house.evidence(&peer).await, &cart);
        assert_eq!(greet(&mut connection).await, "request");
        assert_eq!(spoken_now(&peer).await, None, "it has not spoken");
        // The entitled program might, but knows nothing of this connection. If it does, then it is asking.
        puppet.order("write acknowledged");
        assert_eq!(read(&mut connection).await, "acknowledged");
        assert_eq!(spoken_now(&peer).await, Some(Ok(())));
    }
}

#[tokio::test]
async fn what_the_entitled_program_prints_is_no_answer() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&house.program("thief"));
    puppet.connect(&house.socket());
    // The thief asks, makes the connection the standard output of the entitled program, and starts that.
    puppet.order("write request");
    puppet.exec(&cart);
    let mut connection = house.accept().await.answered_by(b"a-a-answer");
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    assert_eq!(greet(&mut connection).await, "request");
    for said in ["usage: cart", "a-a-a-answe", "answer", "a-a-", "a-"] {
        puppet.order(&format!("write {said}"));
        assert_eq!(read(&mut connection).await, said);
        assert_eq!(spoken_now(&peer).await, None, "{said}");
    }
    // In two pieces, and after half of another.
    puppet.order("write answer");
    assert_eq!(read(&mut connection).await, "answer");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}

#[tokio::test]
async fn an_answer_that_was_written_before_the_question_is_none() {
    let house = House::new();
    let cart = house.program("cart");
    let mut puppet = Puppet::start_at(&house.program("thief"));
    puppet.connect(&house.socket());
    puppet.order("write answ");
    puppet.exec(&cart);
    let mut connection = house.accept().await.answered_by(b"answer");
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    assert_eq!(greet(&mut connection).await, "answ");
    puppet.order("write er");
    assert_eq!(read(&mut connection).await, "er");
    assert_eq!(spoken_now(&peer).await, None);
}

#[tokio::test]
async fn who_becomes_another_program_after_its_facts_were_taken_is_lost() {
    for features in kernels() {
        let house = House::on(features);
        let [cart, thief] = ["cart", "thief"].map(|name| house.program(name));
        for (from, to) in [(&thief, &cart), (&cart, &thief), (&cart, &cart)] {
            let mut puppet = Puppet::start_at(from);
            puppet.connect(&house.socket());
            let mut connection = house.accept().await;
            let peer = connection.peer().clone();
            runs(&house.evidence(&peer).await, from);
            greet(&mut connection).await;
            assert_eq!(peer.handle.check(), Ok(()));
            puppet.exec(to);
            assert_eq!(peer.handle.check(), Err(PeerLost::ProgramChanged));
            puppet.order("write request");
            assert_eq!(read(&mut connection).await, "request");
            assert_eq!(spoken_now(&peer).await, Some(Err(PeerLost::ProgramChanged)));
            assert_eq!(house.refusal(&peer).await, PeerLost::ProgramChanged);
            // A connection of its own is attested anew.
            puppet.connect(&house.socket());
            let fresh = house.accept().await;
            runs(&house.evidence(fresh.peer()).await, to);
            assert_eq!(fresh.peer().handle.check(), Ok(()));
            assert_eq!(peer.handle.check(), Err(PeerLost::ProgramChanged));
        }
    }
}

#[tokio::test]
async fn who_writes_and_becomes_another_program_before_it_is_read_has_not_spoken() {
    for features in kernels() {
        let house = House::on(features);
        let cart = house.program("cart");
        let mut puppet = Puppet::start_at(&cart);
        puppet.connect(&house.socket());
        let mut connection = house.accept().await;
        let peer = connection.peer().clone();
        runs(&house.evidence(&peer).await, &cart);
        assert_eq!(greet(&mut connection).await, "");
        let next = house.program("next");
        assert_eq!(
            puppet.ask(&format!("write-and-exec request {}", next.display())),
            "ready"
        );
        assert_eq!(read(&mut connection).await, "request");
        assert_eq!(spoken_now(&peer).await, Some(Err(PeerLost::ProgramChanged)));
    }
}

#[tokio::test]
async fn what_was_written_before_the_facts_is_no_speech_however_much_it_is() {
    let house = House::new();
    let mut puppet = Puppet::start_at(&house.program("thief"));
    puppet.connect(&house.socket());
    let text = "x".repeat(4095);
    for _ in 0..20 {
        puppet.order(&format!("write {text}"));
    }
    let cart = house.program("cart");
    puppet.exec(&cart);
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &cart);
    let mut length = greet(&mut connection).await.len();
    while length < 20 * text.len() {
        assert_eq!(spoken_now(&peer).await, None);
        length += read(&mut connection).await.len();
    }
    assert_eq!(spoken_now(&peer).await, None);
    // The read that finds nothing is what ends the past.
    assert!(
        crate::house::now(read(&mut connection)).await.is_none(),
        "all has been read"
    );
    puppet.order("write now");
    assert_eq!(read(&mut connection).await, "now");
    assert_eq!(spoken_now(&peer).await, Some(Ok(())));
}

#[tokio::test]
async fn a_program_that_keeps_the_memory_of_the_one_before_in_use_gains_nothing() {
    let house = House::new();
    let [cart, thief] = ["cart", "thief"].map(|name| house.program(name));
    let mut puppet = Puppet::start_at(&thief);
    puppet.connect(&house.socket());
    let mut connection = house.accept().await;
    let peer = connection.peer().clone();
    runs(&house.evidence(&peer).await, &thief);
    greet(&mut connection).await;
    puppet.ask("share-memory");
    puppet.exec(&cart);
    assert_eq!(
        peer.handle.check(),
        Ok(()),
        "the memory of the first program is still in use"
    );
    runs(&house.evidence(&peer).await, &thief);
    // Who looks at the file that runs sees that it is another.
    let mut lost = std::pin::pin!(peer.handle.lost());
    assert_eq!(crate::house::now(lost.as_mut()).await, None);
    house.listener.processes().look_closely_now().await;
    assert_eq!(lost.await, PeerLost::FactsChanged);
    puppet.connect(&house.socket());
    let fresh = house.accept().await;
    runs(&house.evidence(fresh.peer()).await, &cart);
}

#[tokio::test]
async fn a_process_stuck_in_an_exec_holds_up_its_own_uid_alone() {
    crate::house::needs_fuse!();
    let house = House::new();
    let mut stuck = Vec::new();
    for number in 0..4 {
        let mut puppet = Puppet::start();
        let files = house.path(&format!("files{number}"));
        std::fs::create_dir(&files).unwrap();
        puppet.order(&format!("open-unclosable {}", files.display()));
        puppet.order("ids 12345 12345");
        puppet.connect(&house.socket());
        let server = puppet.ask("exec /proc/self/exe");
        let server: i32 = server.strip_prefix("stuck ").unwrap().parse().unwrap();
        stuck.push((puppet, house.accept().await, server));
    }
    let [mut same, mut other] = [12345, 23456].map(|uid| {
        let mut puppet = Puppet::start();
        puppet.order(&format!("ids {uid} {uid}"));
        puppet
    });
    other.connect(&house.socket());
    let connection = house.accept().await;
    {
        let mut hanging = Vec::new();
        for (_, connection, _) in &stuck {
            let mut attested = Box::pin(house.attest(connection.peer()));
            assert!(crate::house::now(&mut attested).await.is_none());
            hanging.push(attested);
        }
        house.evidence(connection.peer()).await;
        same.connect(&house.socket());
        let connection = house.accept().await;
        let mut behind = Box::pin(house.attest(connection.peer()));
        assert!(crate::house::now(&mut behind).await.is_none());
        for (_, _, server) in &stuck {
            let server = rustix::process::Pid::from_raw(*server).unwrap();
            rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
        }
        behind.await.unwrap();
        for attested in hanging {
            attested.await.unwrap();
        }
    }
}
