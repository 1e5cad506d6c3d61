//! Names of users and groups, as `/etc/passwd` and `/etc/group` have them.
//!
//! Enough for warnings. The attestor itself asks the C library, and so whatever `/etc/nsswitch.conf` names.

use std::{collections::HashMap, fs, path::Path};

/// The users and groups of this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    /// There may be others, in a directory service.
    more: bool,
}

impl Accounts {
    /// Those of this machine. What cannot be read is empty.
    pub(crate) fn read() -> Self {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self::parse(
            &read("/etc/passwd"),
            &read("/etc/group"),
            &read("/etc/nsswitch.conf"),
        )
    }

    fn parse(passwd: &str, group: &str, nsswitch: &str) -> Self {
        // Both files have a name, a password and a number first.
        let numbers = |text: &str| {
            let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            fields
                .filter_map(|fields| {
                    Some((fields.first()?.to_string(), fields.get(2)?.parse().ok()?))
                })
                .collect()
        };
        let sources = nsswitch.lines().filter_map(|line| {
            line.split_once(':')
                .filter(|(database, _)| matches!(database.trim(), "passwd" | "group"))
        });
        let mut sources = sources.flat_map(|(_, sources)| sources.split_whitespace());
        let more = sources.any(|source| !matches!(source, "files" | "compat" | "systemd"));
        Self {
            users: numbers(passwd),
            groups: numbers(group),
            more,
        }
    }

    /// Whether this machine surely has no such user.
    pub(crate) fn lacks_user(&self, user: &str) -> bool {
        !self.more && !self.users.contains_key(user)
    }

    /// Whether this machine surely has no such group.
    pub(crate) fn lacks_group(&self, group: &str) -> bool {
        !self.more && !self.groups.contains_key(group)
    }

    pub(crate) fn uid(&self, user: &str) -> Option<u32> {
        self.users.get(user).copied()
    }

    pub(crate) fn gid(&self, group: &str) -> Option<u32> {
        self.groups.get(group).copied()
    }

    /// The name of a user.
    pub(crate) fn user(&self, uid: u32) -> Option<&str> {
        self.users
            .iter()
            .filter(|(_, known)| **known == uid)
            .map(|(name, _)| name.as_str())
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_the_rest_is_left() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\ncart:x:1000:1000::/home/cart:/bin/sh\n+::::::\nbroken\n",
            "root:x:0:\nshop:x:2000:cart,till\n",
            "passwd:         files systemd\nhosts: files dns\n",
        );
        assert_eq!(
            (accounts.uid("cart"), accounts.uid("shop")),
            (Some(1000), None)
        );
        assert_eq!(
            (accounts.gid("shop"), accounts.gid("cart")),
            (Some(2000), None)
        );
        assert_eq!(
            (accounts.user(1000), accounts.user(7)),
            (Some("cart"), None)
        );
        assert!(
            accounts.lacks_user("shop")
                && accounts.lacks_group("cart")
                && !accounts.lacks_user("cart")
        );
    }

    #[test]
    fn with_a_directory_service_nobody_is_surely_missing() {
        let accounts = Accounts::parse("", "", "passwd: files ldap\n");
        assert!(!accounts.lacks_user("cart") && !accounts.lacks_group("cart"));
    }
}
