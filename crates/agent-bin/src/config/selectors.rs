//! Selectors, as far as their text alone tells whether they can mean anything.

use plastron_entry::Selector;

use super::value::{Wrong, nearest};

/// What the Unix attestor establishes, as SPIRE names it.
const UNIX: [&str; 8] = [
    "uid",
    "user",
    "gid",
    "group",
    "supplementary_gid",
    "supplementary_group",
    "path",
    "sha256",
];

/// Reads a selector and refuses what nobody could mean.
pub(crate) fn parse(text: &str) -> Result<Selector, Wrong> {
    let selector: Selector = text
        .parse()
        .map_err(|error: plastron_entry::SelectorError| {
            let instead = match text.split_once(':') {
                None if text.parse::<u32>().is_ok() => format!("write \"unix:uid:{text}\""),
                None if text.starts_with('/') => format!("write \"unix:path:{text}\""),
                _ => "write kind:name:value, such as \"unix:uid:1000\"".to_owned(),
            };
            Wrong::new(format!("{text:?} is not a selector: {error}"), instead)
        })?;
    match selector.kind() {
        "unix" => check_unix(selector.value()).map_err(|wrong| Wrong {
            what: format!("{text:?} matches nobody: {}", wrong.what),
            ..wrong
        })?,
        kind if UNIX.contains(&kind) => {
            return Err(Wrong::new(
                format!("{text:?} matches nobody: there is no attestor {kind}"),
                format!("write \"unix:{text}\""),
            ));
        }
        _ => {}
    }
    Ok(selector)
}

fn check_unix(value: &str) -> Result<(), Wrong> {
    let Some((name, value)) = value.split_once(':') else {
        return Err(match UNIX.contains(&value) {
            true => Wrong::new(
                format!("unix:{value} names no value"),
                format!("write \"unix:{value}:…\""),
            ),
            false => unknown_name(value, "…"),
        });
    };
    match name {
        "uid" | "gid" | "supplementary_gid" => number(name, value),
        "path" if !value.starts_with('/') => Err(Wrong::new(
            "a program is named by its whole path",
            format!("write \"unix:path:/usr/bin/{value}\""),
        )),
        "path"
            if value
                .split('/')
                .skip(1)
                .any(|part| matches!(part, "" | "." | "..")) =>
        {
            let parts = value.split('/').filter(|part| !matches!(*part, "" | "."));
            let plain: String = parts.flat_map(|part| ["/", part]).collect();
            Err(Wrong::new(
                "the kernel names programs by paths without \"//\", \".\" and \"..\"",
                match plain.contains("/..") {
                    true => "write the path without \"..\"".to_owned(),
                    false => format!("write \"unix:path:{plain}\""),
                },
            ))
        }
        "sha256" if value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            match value.bytes().any(|byte| byte.is_ascii_uppercase()) {
                true => Err(Wrong::new(
                    "hashes are in lower case",
                    format!("write \"unix:sha256:{}\"", value.to_ascii_lowercase()),
                )),
                false => Ok(()),
            }
        }
        "sha256" => Err(Wrong::new(
            "a SHA-256 has 64 hexadecimal digits",
            "write what `sha256sum` prints for the program",
        )),
        "user" | "group" | "supplementary_group" | "path" => Ok(()),
        name => Err(unknown_name(name, value)),
    }
}

fn number(name: &str, value: &str) -> Result<(), Wrong> {
    match value.parse::<u32>() {
        Ok(number) if number.to_string() == value => Ok(()),
        Ok(number) => Err(Wrong::new(
            "numbers are written plainly",
            format!("write \"unix:{name}:{number}\""),
        )),
        Err(_) => {
            let by_name = match name {
                "uid" => "user",
                "gid" => "group",
                _ => "supplementary_group",
            };
            Err(Wrong::new(
                format!("{value:?} is not a number from 0 to {}", u32::MAX),
                format!("write a number, or \"unix:{by_name}:{value}\" for a name"),
            ))
        }
    }
}

fn unknown_name(name: &str, value: &str) -> Wrong {
    let instead = match nearest(name, UNIX) {
        Some(known) => format!("write \"unix:{known}:{value}\""),
        None => format!(
            "write one of {}",
            UNIX.map(|name| format!("unix:{name}")).join(", ")
        ),
    };
    Wrong::new(format!("the Unix attestor knows no {name:?}"), instead)
}

/// What a selector that reads well still cannot match, whatever machine it is on.
pub(crate) fn never_matches(selector: &Selector) -> Option<Wrong> {
    if selector.kind() != "unix" {
        return Some(Wrong::new(
            format!(
                "{selector} matches nobody: this agent has no attestor {:?}",
                selector.kind()
            ),
            "write selectors that begin with unix:, or leave the entry to an agent that has the attestor",
        ));
    }
    let overflow = matches!(selector.name(), "uid" | "gid" | "supplementary_gid")
        && matches!(
            selector.value().rsplit(':').next(),
            Some("65534" | "4294967295")
        );
    overflow.then(|| {
        Wrong::new(
            format!("{selector} matches nobody: the kernel shows this id for everybody whom it cannot name"),
            "give the workload a user or group of its own",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_that_can_match_are_taken() {
        let hash = format!("unix:sha256:{}", "0a".repeat(32));
        for text in [
            "unix:uid:0",
            "unix:uid:4294967294",
            "unix:gid:100",
            "unix:supplementary_gid:27",
            "unix:user:cart",
            "unix:group:shop floor",
            "unix:supplementary_group:wheel",
            "unix:path:/usr/bin/cart",
            "unix:path:/srv/a b:c",
            hash.as_str(),
            "k8s:ns:default",
        ] {
            assert_eq!(
                parse(text).map(|selector| selector.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn selectors_that_nobody_could_have_are_refused_with_what_was_meant() {
        let upper = format!("unix:sha256:{}", "0A".repeat(32));
        let lower = format!("write \"{}\"", upper.to_lowercase().replace("SHA", "sha"));
        for (text, instead) in [
            ("1000", "write \"unix:uid:1000\""),
            ("/usr/bin/cart", "write \"unix:path:/usr/bin/cart\""),
            ("cart", "write kind:name:value, such as \"unix:uid:1000\""),
            ("uid:1000", "write \"unix:uid:1000\""),
            ("unix:uid", "write \"unix:uid:…\""),
            ("unix:uid:01000", "write \"unix:uid:1000\""),
            (
                "unix:uid:cart",
                "write a number, or \"unix:user:cart\" for a name",
            ),
            (
                "unix:gid:-1",
                "write a number, or \"unix:group:-1\" for a name",
            ),
            ("unix:usr:cart", "write \"unix:user:cart\""),
            ("unix:path:cart", "write \"unix:path:/usr/bin/cart\""),
            (
                "unix:path:/usr//bin/./cart",
                "write \"unix:path:/usr/bin/cart\"",
            ),
            (
                "unix:path:/usr/lib/../bin/cart",
                "write the path without \"..\"",
            ),
            (
                "unix:sha256:abc",
                "write what `sha256sum` prints for the program",
            ),
            (&upper, &lower),
        ] {
            assert_eq!(parse(text).unwrap_err().instead, instead, "{text}");
        }
    }

    #[test]
    fn what_no_caller_can_show_is_warned_of() {
        for (text, warned) in [
            ("unix:uid:65534", true),
            ("unix:gid:4294967295", true),
            ("k8s:ns:default", true),
            ("unix:uid:1000", false),
            ("unix:user:65534", false),
        ] {
            assert_eq!(
                never_matches(&text.parse().unwrap()).is_some(),
                warned,
                "{text}"
            );
        }
    }
}
