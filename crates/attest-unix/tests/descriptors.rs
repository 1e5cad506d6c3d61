//! What connections cost in descriptors. Alone in its process, since it counts all there are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use plastron_attest::{Interest, WorkloadAttestor as _};
use plastron_attest_unix::{
    BindOptions, KernelFeatures, ProcessOptions, Processes, UnixAttestor, UnixListener,
};

#[tokio::test]
async fn a_process_costs_two_descriptors_and_each_of_its_connections_one() {
    for features in [KernelFeatures::detect(), KernelFeatures::least()] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let options = ProcessOptions::default().features(features);
        let listener =
            UnixListener::bind(&BindOptions::new(&path), Processes::new(options)).unwrap();
        let processes = listener.processes();
        let uid = rustix::process::geteuid().as_raw();
        let before = descriptors();
        let mut ends = Vec::new();
        for _ in 0..20 {
            let theirs = std::os::unix::net::UnixStream::connect(&path).unwrap();
            let ours = listener.accept().await.unwrap();
            let attested = UnixAttestor::default()
                .attest(ours.peer(), &Interest::all())
                .await;
            attested.unwrap();
            ends.push((ours, theirs));
        }
        assert_eq!(descriptors() - before, 2 + 2 * 20);
        assert_eq!(processes.descriptors(), 2);
        assert_eq!(processes.descriptors_of(uid), 2);
        assert_eq!(processes.descriptors_of(uid + 1), 0);
        ends.clear();
        // Where descriptors can come over connections, those are closed on another thread.
        while processes.descriptors() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(descriptors(), before);
        assert_eq!(processes.descriptors(), 0);
        assert_eq!(processes.descriptors_of(uid), 0);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
