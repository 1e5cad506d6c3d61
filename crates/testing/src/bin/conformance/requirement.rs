//! Rules by number: how strong they are and whom they bind. The text of a rule is in the standard.

use std::collections::BTreeMap;
use std::fmt;

/// The families of rules, in the order of the page.
pub(crate) const FAMILIES: [(&str, &str); 11] = [
    ("ID", "SPIFFE-ID"),
    ("SVID", "SPIFFE-ID §3, §4: SVIDs in general"),
    ("X509", "X509-SVID"),
    ("JWT", "JWT-SVID"),
    ("WIT", "WIT-SVID (incubating)"),
    ("BUNDLE", "SPIFFE Trust Domain and Bundle"),
    ("FED", "SPIFFE Federation"),
    ("WAPI", "SPIFFE Workload API"),
    ("WEP", "SPIFFE Workload Endpoint"),
    ("BROKER", "SPIFFE Broker API and Endpoint (incubating)"),
    ("STAB", "Stability of the documents"),
];

/// A number such as `X509-02`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct RuleId {
    family: usize,
    number: u16,
}

impl RuleId {
    pub(crate) fn new(family: &str, number: u16) -> Option<Self> {
        let family = FAMILIES.iter().position(|(name, _)| *name == family)?;
        Some(Self { family, number })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (family, number) = text.split_once('-')?;
        Self::new(family, number.parse().ok()?)
    }

    pub(crate) fn family(self) -> &'static str {
        FAMILIES[self.family].0
    }

    pub(crate) fn with_number(self, number: u16) -> Self {
        Self { number, ..self }
    }

    pub(crate) fn number(self) -> u16 {
        self.number
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.family(), self.number)
    }
}

pub(crate) struct Requirement {
    pub(crate) level: String,
    pub(crate) binds: String,
}

impl Requirement {
    /// Whether the standard, or an RFC that it makes binding, leaves no choice.
    pub(crate) fn is_must(&self) -> bool {
        self.level.starts_with("MUST")
    }
}

pub(crate) struct Requirements(BTreeMap<RuleId, Requirement>);

impl Requirements {
    /// Takes number, level and binds from the rows of a checklist in Markdown; other tables and the text are left alone.
    pub(crate) fn from_checklist(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let id = RuleId::parse(cells.next()?)?;
            let (level, binds) = (cells.next()?.to_owned(), cells.next()?.to_owned());
            Some((id, Requirement { level, binds }))
        });
        Self(rows.collect())
    }

    pub(crate) fn from_tsv(text: &str) -> Result<Self, String> {
        let row = |line: &str| {
            let cells: Vec<_> = line.split('\t').collect();
            match cells[..] {
                [id, level, binds] => {
                    let requirement = Requirement {
                        level: level.to_owned(),
                        binds: binds.to_owned(),
                    };
                    Some((RuleId::parse(id)?, requirement))
                }
                _ => None,
            }
        };
        let rows = text
            .lines()
            .skip(1)
            .map(|line| row(line).ok_or_else(|| format!("no row: {line}")));
        Ok(Self(rows.collect::<Result<_, _>>()?))
    }

    pub(crate) fn to_tsv(&self) -> String {
        let rows = self
            .iter()
            .map(|(id, rule)| format!("{id}\t{}\t{}\n", rule.level, rule.binds));
        format!("rule\tlevel\tbinds\n{}", rows.collect::<String>())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RuleId, &Requirement)> {
        self.0.iter().map(|(id, rule)| (*id, rule))
    }

    pub(crate) fn contains(&self, id: RuleId) -> bool {
        self.0.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_numbers_levels_and_binds_from_a_checklist_and_survives_the_table() {
        let text = "\
# SPIFFE
| ID | Level | Binds | Rule | Tests |
|---|---|---|---|---|
| ID-03 | MUST NOT | ALL | No query. | + a; − b |
| X509-43 | MUST·5280 | ISS, VAL | Times. | x |
| AMB-01 | a question | an answer |
prose with ID-04 in it
";
        let rows = "rule\tlevel\tbinds\nID-03\tMUST NOT\tALL\nX509-43\tMUST·5280\tISS, VAL\n";
        assert_eq!(Requirements::from_checklist(text).to_tsv(), rows);
        assert_eq!(
            Requirements::from_tsv(rows)
                .map(|read| read.to_tsv())
                .as_deref(),
            Ok(rows)
        );
    }
}
