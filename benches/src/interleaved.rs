//! Pieces of work, measured side by side.
//!
//! Batches of all pieces take turns, so that a machine that changes its speed changes all of them, and what counts is a
//! ratio within one round. The minimum is what the work costs when nobody disturbs it; the median of the ratios is what
//! a noisy machine cannot move. That is why this is not criterion, which measures one thing after the other.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Many short batches: one that is interrupted stands out.
const ROUNDS: usize = 1501;
const BATCH_TIME: Duration = Duration::from_micros(300);

/// Pieces of work that are compared with the first of them.
pub struct Group<'w> {
    title: &'static str,
    rows: Vec<Row<'w>>,
}

struct Row<'w> {
    name: String,
    /// Runs so many calls and returns the nanoseconds that each took.
    batch: Box<dyn FnMut(u32) -> f64 + 'w>,
    calls: u32,
}

impl<'w> Group<'w> {
    /// A group without rows.
    pub fn new(title: &'static str) -> Self {
        Self {
            title,
            rows: Vec::new(),
        }
    }

    /// Adds a piece of work; what it returns is kept from being optimised away, and so should be what it takes.
    #[must_use]
    pub fn row<T>(self, name: impl Into<String>, mut work: impl FnMut() -> T + 'w) -> Self {
        self.batches(name, move |calls| time_batch(calls, &mut work))
    }

    /// Adds a piece of work that is done and timed elsewhere: so many calls, and the nanoseconds that each took.
    #[must_use]
    pub fn batches(
        mut self,
        name: impl Into<String>,
        mut batch: impl FnMut(u32) -> f64 + 'w,
    ) -> Self {
        let calls = calibrate(&mut batch);
        self.rows.push(Row {
            name: name.into(),
            batch: Box::new(batch),
            calls,
        });
        self
    }

    /// Measures all rows and prints them.
    #[allow(clippy::print_stdout, reason = "a measurement prints what it saw")]
    pub fn run(mut self) {
        let count = self.rows.len();
        let mut rounds: Vec<Vec<f64>> = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let mut times = vec![0.0; count];
            // Whoever comes second finds the caches warm, so they take turns.
            for at in 0..count {
                let at = (at + round) % count;
                let row = &mut self.rows[at];
                times[at] = (row.batch)(row.calls);
            }
            rounds.push(times);
        }

        println!(
            "\n{:<58} {:>10} {:>10} {:>9} {:>9} {:>10}",
            self.title, "minimum", "median", "÷ first", "median ÷", "− first"
        );
        let of = |figure: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            let mut all: Vec<f64> = rounds.iter().map(|times| figure(times)).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let first = of(&|times| times[0])[0];
        for (at, row) in self.rows.iter().enumerate() {
            let times = of(&|times| times[at]);
            let ratios = of(&|times| times[at] / times[0]);
            println!(
                "{:<58} {:>10} {:>10} {:>9.3} {:>9.3} {:>10}",
                row.name,
                human(times[0]),
                human(times[ROUNDS / 2]),
                times[0] / first,
                ratios[ROUNDS / 2],
                human(times[0] - first),
            );
        }
    }
}

/// How many calls fill a batch.
fn calibrate(batch: &mut impl FnMut(u32) -> f64) -> u32 {
    batch(20);
    let call = batch(50);
    (BATCH_TIME.as_nanos() as f64 / call).clamp(1.0, 1e6) as u32
}

/// Nanoseconds for each of so many calls.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn time_batch<T>(calls: u32, work: &mut impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(work());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn human(nanoseconds: f64) -> String {
    if nanoseconds.abs() < 1000.0 {
        format!("{nanoseconds:.1} ns")
    } else {
        format!("{:.2} µs", nanoseconds / 1000.0)
    }
}
