//! The table for people.

use std::fmt;
use std::time::Duration;

/// Rows in the order in which they were measured.
pub(crate) struct Report {
    columns: Vec<String>,
    rows: Vec<Row>,
}

pub(crate) struct Row {
    what: String,
    /// One for each column; `None` where a target has no such figure.
    figures: Vec<Option<Figure>>,
    reach: Reach,
}

/// A number with its unit.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    Time(Duration),
    PerCpuSecond(f64),
    KiB(f64),
    Count(f64),
    Megabytes(f64),
}

/// What the first column should come to.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// At most, or at least, so many times the second column.
    AtMostTimesBare(f64),
    AtLeastTimesBare(f64),
    AtMost(Figure),
    /// For the eye.
    Nothing,
}

impl Report {
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        figures: Vec<Option<Figure>>,
        reach: Reach,
    ) {
        let row = Row {
            what: what.into(),
            figures,
            reach,
        };
        eprintln!("{}", self.line(&row));
        self.rows.push(row);
    }

    /// The rows whose size is beyond what is to be reached. Times differ from machine to machine and from moment to moment;
    /// sizes do not.
    pub(crate) fn too_large(&self) -> Vec<&str> {
        let too_large = self.rows.iter().filter(|row| {
            let Reach::AtMost(limit @ (Figure::KiB(_) | Figure::Megabytes(_))) = row.reach else {
                return false;
            };
            row.value(0).is_some_and(|value| value > limit.value())
        });
        too_large.map(|row| row.what.as_str()).collect()
    }

    fn line(&self, row: &Row) -> String {
        let figures =
            (0..self.columns.len()).map(|at| match row.figures.get(at).copied().flatten() {
                Some(figure) => figure.to_string(),
                None => "–".to_owned(),
            });
        let ratio = row
            .ratio()
            .map_or("–".to_owned(), |ratio| format!("{ratio:.2} ×"));
        let figures: Vec<_> = figures.collect();
        format!(
            "| {} | {} | {ratio} | {} |",
            row.what,
            figures.join(" | "),
            row.verdict()
        )
    }
}

impl Row {
    fn value(&self, at: usize) -> Option<f64> {
        self.figures.get(at).copied().flatten().map(Figure::value)
    }

    /// First column over the second.
    fn ratio(&self) -> Option<f64> {
        let bare = self.value(1).filter(|bare| *bare > 0.0)?;
        Some(self.value(0)? / bare)
    }

    fn verdict(&self) -> String {
        let word = |reached: Option<bool>| match reached {
            Some(true) => ", reached",
            Some(false) => ", **not reached**",
            None => "",
        };
        match self.reach {
            Reach::AtMostTimesBare(limit) => format!(
                "≤ {limit} ×{}",
                word(self.ratio().map(|ratio| ratio <= limit))
            ),
            Reach::AtLeastTimesBare(limit) => format!(
                "≥ {limit} ×{}",
                word(self.ratio().map(|ratio| ratio >= limit))
            ),
            Reach::AtMost(limit) => format!(
                "≤ {limit}{}",
                word(self.value(0).map(|value| value <= limit.value()))
            ),
            Reach::Nothing => String::new(),
        }
    }
}

impl Figure {
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::PerCpuSecond(value)
            | Self::KiB(value)
            | Self::Count(value)
            | Self::Megabytes(value) => value,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Time(time) if time < Duration::from_micros(1) => {
                write!(f, "{} ns", time.as_nanos())
            }
            Self::Time(time) if time < Duration::from_millis(1) => {
                write!(f, "{:.1} µs", time.as_secs_f64() * 1e6)
            }
            Self::Time(time) if time < Duration::from_secs(1) => {
                write!(f, "{:.2} ms", time.as_secs_f64() * 1e3)
            }
            Self::Time(time) => write!(f, "{:.2} s", time.as_secs_f64()),
            Self::PerCpuSecond(value) => write!(f, "{value:.0}/CPU s"),
            Self::KiB(value) if value >= 4096.0 => write!(f, "{:.1} MiB", value / 1024.0),
            Self::KiB(value) => write!(f, "{value:.1} KiB"),
            Self::Count(value) => write!(f, "{value:.2}"),
            Self::Megabytes(value) => write!(f, "{value:.2} MB"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | {} | {} ÷ {} | reach |",
            self.columns.join(" | "),
            self.columns[0],
            self.columns[1]
        )?;
        writeln!(
            f,
            "| --- |{} --- |",
            " ---: |".repeat(self.columns.len() + 1)
        )?;
        self.rows
            .iter()
            .try_for_each(|row| writeln!(f, "{}", self.line(row)))
    }
}
