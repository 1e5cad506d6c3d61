//! The words for what is wrong in a file, or hardly meant.

use super::*;

/// Everything that is said about a file, without its folder.
fn said(text: &str) -> String {
    let problems = match check(text, Path::new(FILE), &[]) {
        Ok(checked) => {
            checked.warnings(SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000))
        }
        Err(ConfigError::Broken(problems)) => problems,
        Err(error) => panic!("{error}"),
    };
    problems.to_string().replace("/etc/plastron/", "")
}

/// A whole file with these lines at its end.
fn with(lines: &str) -> String {
    format!("trust_domain = \"example.org\"\n{lines}")
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_to_write() {
    // S-34: golden texts.
    for (text, want) in [
        (
            String::new(),
            "agent.toml:1: error: trust_domain is missing\n    write trust_domain = \"example.org\" at the top of the file\n",
        ),
        (
            "trust_domain = \"Example.org:8443\"\n".to_owned(),
            "agent.toml:1: error: trust_domain: \"Example.org:8443\" is not the name of a trust domain: 'E' at byte 0 is not \
             allowed in a trust domain name\n    write \"example.org\"\n",
        ),
        (
            with("[workload_api]\nsocket_path = \"a.sock\"\n"),
            "agent.toml:3: error: [workload_api] knows no key \"socket_path\"\n    write socket under [workload_api]\n",
        ),
        (
            with("[workload_api]\nmode = \"rw\"\n"),
            "agent.toml:3: error: workload_api.mode: \"rw\" is not the mode of a file\n    write three octal digits after a \
             zero, such as \"0660\"\n",
        ),
        (
            with("[workload_api]\nmode = 666\n"),
            "agent.toml:3: error: workload_api.mode is an integer, where a string belongs\n    write mode = \"0666\"\n",
        ),
        (
            with("[workload_api]\nowner = \"nobody-here\"\n"),
            "agent.toml:3: error: workload_api.owner: this machine has no user \"nobody-here\"\n    write user, \
             user:group or :group, as `id` prints them, or numbers\n",
        ),
        (
            with("[authority]\njwt_key_type = \"ed25519\"\n"),
            "agent.toml:3: error: authority.jwt_key_type: no algorithm of JWT-SVIDs signs with ed25519\n    write \"ec-p256\", \
             or another of ec-p384, rsa-2048, rsa-3072, rsa-4096\n",
        ),
        (
            with("[authority]\nwit_key_type = \"ed25519\"\n"),
            "agent.toml:3: error: authority.wit_key_type: no algorithm of WIT-SVIDs signs with ed25519\n    write \"ec-p256\", \
             or another of ec-p384, rsa-2048, rsa-3072, rsa-4096\n",
        ),
        // STAB-03 −: not in a program that has nothing of it.
        #[cfg(not(feature = "wit"))]
        (
            with("[workload_api]\nwit_svid = true\n"),
            "agent.toml:3: error: this plastron-agent was built without WIT-SVIDs\n    leave the key out, or build it with \
             --features wit\n",
        ),
        (
            with("[authority]\nkey_type = \"ecp256\"\n"),
            "agent.toml:3: error: authority.key_type: \"ecp256\" is not known here\n    write \"ec-p256\" (known are \
             \"ec-p256\", \"ec-p384\", \"rsa-2048\", \"rsa-3072\", \"rsa-4096\", \"ed25519\")\n",
        ),
        (
            with("[authority]\nx509_svid_ttl = 3600\n"),
            "agent.toml:3: error: authority.x509_svid_ttl is an integer, where a string belongs\n    write x509_svid_ttl = \
             \"3600s\"\n",
        ),
        (
            with("[authority]\nx509_svid_ttl = \"500ms\"\n"),
            "agent.toml:3: error: authority.x509_svid_ttl: \"500ms\" is shorter than the shortest lifetime\n    write \"1s\" \
             or more\n",
        ),
        (
            with("authority = \"embedded\"\n"),
            "agent.toml:2: error: authority is a string, where a table belongs\n    write [authority] on a line of its own, \
             and below it key_type, jwt_key_type, x509_svid_key_type, x509_ca_ttl, x509_svid_ttl, jwt_svid_ttl, jwt_issuer, \
             wit_key_type, wit_svid_ttl\n",
        ),
        (
            with("[audit]\nmode = \"0640\"\n"),
            "agent.toml:3: error: audit.mode has no audit.file\n    write file = \"audit.jsonl\" under [audit]\n",
        ),
        (
            with("[metrics]\nlisten = \"0.0.0.0:9090\"\n"),
            "agent.toml:3: error: metrics.listen: 0.0.0.0:9090 can be reached from other machines, and what is served there \
             asks nobody who he is\n    write \"127.0.0.1:9090\", and put a proxy that authenticates in front of it\n",
        ),
        (
            with("[limits]\nconnections = \"many\"\n"),
            "agent.toml:3: error: limits.connections is a string, where a whole number belongs\n    write connections = 100\n",
        ),
        (
            with("[limits]\nrequest_bytes_per_uid = \"4KiB\"\n"),
            "agent.toml:3: error: limits.request_bytes_per_uid: \"4KiB\" is less than one request may have\n    write \
             \"64KiB\" or more\n",
        ),
        (
            with("[workload_api]\nhandshake_timeout = \"0s\"\n"),
            "agent.toml:3: error: workload_api.handshake_timeout: no time at all would let nobody in\n    write \"10s\"\n",
        ),
        (
            with(
                "[workload_api]\nhandshake_timeout = \"6m\"\n[attest]\ntimeout = \"200000000000d\"\n",
            ),
            "agent.toml:3: error: workload_api.handshake_timeout: \"6m\" is longer than any caller waits\n    write \"5m\" \
             or less\nagent.toml:5: error: attest.timeout: \"200000000000d\" is longer than any caller waits\n    write \
             \"5m\" or less\n",
        ),
        (
            with("[log]\nlevel = \"loud\"\n"),
            "agent.toml:3: error: log.level: \"loud\" is not known here\n    write one of \"error\", \"warn\", \"info\", \
             \"debug\", \"trace\"\n",
        ),
        (
            with("[[entry]]\nselectors = [\"unix:uid:1000\"]\n"),
            "agent.toml:2: error: this entry has no spiffe_id\n    write spiffe_id = \"spiffe://example.org/shop/cart\"\n",
        ),
        (
            with("[[entry]]\nspiffe_id = \"example.org/cart\"\nselectors = \"unix:uid:1000\"\n"),
            "agent.toml:3: error: spiffe_id: \"example.org/cart\" is not a SPIFFE ID: SPIFFE ID does not begin with \
             spiffe://\n    write \"spiffe://example.org/cart\"\n\
             agent.toml:4: error: selectors is a string, where an array of strings belongs\n    write selectors = \
             [\"unix:uid:1000\"]\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.org\"\nselectors = [\"unix:uid:1000\"]\n",
            ),
            "agent.toml:3: error: spiffe_id: SPIFFE ID of a workload has no path\n    write a path after the trust domain, \
             such as /shop/cart\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.com/cart\"\nselectors = [\"unix:uid:1000\"]\n",
            ),
            "agent.toml:3: error: spiffe://example.com/cart is not in trust domain example.org\n    write spiffe_id = \
             \"spiffe://example.org/cart\", or give it out by an agent of its own trust domain\n",
        ),
        (
            with("[[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselectors = []\n"),
            "agent.toml:4: error: selectors is empty, and an entry that asks for nothing would match everybody\n    write \
             selectors = [\"unix:uid:1000\"]\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselector = [\"unix:uid:1000\"]\n",
            ),
            "agent.toml:2: error: this entry has no selectors\n    write selectors = [\"unix:uid:1000\"]\n\
             agent.toml:4: error: [[entry]] knows no key \"selector\"\n    write selectors\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselectors = [\n  \"unix:uid:1000\",\n  \
                  \"unix:gid:staff\",\n]\n",
            ),
            "agent.toml:6: error: selectors: \"unix:gid:staff\" matches nobody: \"staff\" is not a number from 0 to \
             4294967295\n    write a number, or \"unix:group:staff\" for a name\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselectors = [\"unix:uid:0\"]\ndns_names = \
                  [\"a..b\"]\n",
            ),
            "agent.toml:5: error: dns_names: \"a..b\" is no DNS name\n    write a host name, such as \"cart.internal\"\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselectors = [\"unix:uid:0\"]\nexpires_at = \
                  2030-01-01\n",
            ),
            "agent.toml:5: error: expires_at: \"2030-01-01\" is not a moment\n    write a date with a time and an offset, \
             such as 2030-01-31T12:00:00Z\n",
        ),
        (
            with(
                "[[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselectors = [\"unix:uid:0\"]\n\
                  [[entry]]\nspiffe_id = \"spiffe://example.org/cart\"\nselectors = [\"unix:uid:0\"]\n",
            ),
            "agent.toml:6: error: this entry is the one at line 3 again\n    remove one of the two\n",
        ),
        (
            with("[entry]\nspiffe_id = \"spiffe://example.org/cart\"\n"),
            "agent.toml:2: error: entry is a table, where tables belong\n    write [[entry]], with two brackets\n",
        ),
        (
            with("[[bundle]]\ntrust_domain = \"example.org\"\nfile = \"own.json\"\n"),
            "agent.toml:3: error: example.org is the agent's own trust domain, whose bundle it makes itself\n    remove this \
             [[bundle]]\n",
        ),
        (
            with("[[bundle]]\ntrustdomain = \"partner.org\"\n"),
            "agent.toml:3: error: [[bundle]] knows no key \"trustdomain\"\n    write trust_domain\n",
        ),
        (
            with(
                "[[bundle]]\ntrust_domain = \"p.org\"\nfile = \"a\"\n[[bundle]]\ntrust_domain = \"p.org\"\nfile = \"b\"\n",
            ),
            "agent.toml:6: error: the bundle of p.org stands at line 3 already\n    remove one of the two\n",
        ),
        (
            "trust_domain = example.org\n[workload_api\nsocket = \"x\"\n".to_owned(),
            "agent.toml:1: error: string values must be quoted\n    write trust_domain = \"example.org\"\n\
             agent.toml:2: error: unclosed table\n    write `]` here\n",
        ),
    ] {
        assert_eq!(said(&text), want, "{text}");
    }
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let entry = |id: &str, selectors: &str| {
        format!("[[entry]]\nspiffe_id = \"spiffe://example.org/{id}\"\nselectors = [{selectors}]\n")
    };
    let program = std::env::current_exe().unwrap().canonicalize().unwrap();
    let program = program.display();
    for (name, text, want) in [
        (
            "nothing",
            with(&entry("a", &format!("\"unix:uid:1000\", \"unix:path:{program}\""))),
            String::new(),
        ),
        (
            "ttl",
            with("[authority]\nx509_ca_ttl = \"1h\"\nx509_svid_ttl = \"15m\"\n"),
            "agent.toml:4: warning: authority.x509_svid_ttl is 15m, more than a sixth of authority.x509_ca_ttl: SVIDs signed \
             late in the life of a signing key live shorter\n    write \"10m\" or less, or a longer x509_ca_ttl\n"
                .to_owned(),
        ),
        (
            "program alone",
            with(&entry("a", &format!("\"unix:path:{program}\""))),
            "agent.toml:3: warning: spiffe://example.org/a is given to any user who runs the program, and whoever may run a \
             program can put code of his own into it\n    add the user that runs it, such as \"unix:uid:1000\": uid and gid \
             are the wall, the program narrows inside it\n"
                .to_owned(),
        ),
        (
            "S-76: uid and gid in separate entries",
            with(&format!("{}{}", entry("a", "\"unix:uid:3000\""), entry("a", "\"unix:gid:3000\""))),
            "agent.toml:6: warning: with the entry at line 3, spiffe://example.org/a is given to the user and also to everybody \
             of the group\n    write one entry that asks for both, if both were meant: selectors = [\"unix:gid:3000\", \
             \"unix:uid:3000\"]\n"
                .to_owned(),
        ),
        (
            "S-76: not when they differ in more",
            with(&format!("{}{}", entry("a", "\"unix:uid:3000\""), entry("b", "\"unix:gid:3000\""))),
            String::new(),
        ),
        (
            "missing user",
            with(&entry("a", "\"unix:user:nobody-here\"")),
            "agent.toml:3: warning: unix:user:nobody-here matches nobody now: this machine has no user \"nobody-here\"\n    \
             write the name of a user as `id` prints it, or make it with useradd\n"
                .to_owned(),
        ),
        (
            "missing file",
            with(&entry("a", "\"unix:uid:1\", \"unix:path:/nowhere/cart\"")),
            "agent.toml:3: warning: unix:path:/nowhere/cart matches nobody now: there is no such file\n    write the path of a \
             program that is there, or install it\n"
                .to_owned(),
        ),
        (
            "a file that only the caller sees",
            with(&format!(
                "[attest.unix]\npath = \"caller\"\n{}",
                entry("a", "\"unix:uid:1\", \"unix:path:/nowhere/cart\"")
            )),
            String::new(),
        ),
        (
            "another attestor",
            with(&entry("a", "\"k8s:ns:default\"")),
            "agent.toml:4: warning: k8s:ns:default matches nobody: this agent has no attestor \"k8s\"\n    write selectors that \
             begin with unix:, or leave the entry to an agent that has the attestor\n"
                .to_owned(),
        ),
        (
            "expired",
            with(&format!("{}expires_at = 1893456000\n", entry("a", "\"unix:uid:1\""))),
            "agent.toml:3: warning: spiffe://example.org/a expired at 2030-01-01T00:00:00Z\n    remove the entry, or write a \
             later expires_at\n"
                .to_owned(),
        ),
        (
            "no bundle",
            with(&format!("{}federates_with = [\"partner.org\"]\n", entry("a", "\"unix:uid:1\""))),
            "agent.toml:3: warning: spiffe://example.org/a federates with partner.org, whose bundle nobody gives\n    write a \
             [[bundle]] with trust_domain = \"partner.org\" and its file\n"
                .to_owned(),
        ),
        (
            "WAPI-28: equal hints",
            with(&format!(
                "{}hint = \"x\"\n{}hint = \"x\"\n",
                entry("a", "\"unix:uid:1\""),
                entry("b", "\"unix:uid:1\"")
            )),
            "agent.toml:7: warning: spiffe://example.org/b has the hint \"x\" of the entry at line 3, and the same callers: they \
             get the first alone\n    write another hint\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(said(&text), want, "{name}");
    }
}

#[test]
fn a_key_of_two_trust_domains_is_said_where_the_second_stands() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = plastron_testing::Authority::new("a.org").bundle();
    let file = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).unwrap();
        format!(
            "[[bundle]]\ntrust_domain = \"{name}\"\nfile = \"{}/{name}\"\n",
            folder.path().display()
        )
    };
    let text = [
        file("broken.org", b"nothing"),
        file("a.org", &bundle.to_document()),
        file("b.org", bundle.x509_pem().as_bytes()),
    ];
    assert_eq!(
        said(&with(&text.concat())),
        "agent.toml:9: warning: b.org and a.org have a key in common: whoever holds it speaks for both\n    write the bundle \
         that this trust domain itself publishes\n"
    );
}
