//! As many series as an eye can tell apart.

use std::collections::BTreeMap;

use super::{Chart, Series};
use crate::output::count;

/// More have no colour of their own.
pub(crate) const SERIES_MAX: usize = 20;

impl Chart {
    /// The series with the most. What adds up has the others together in one; others are left out. The text says so.
    #[must_use]
    pub(crate) fn picked(mut self) -> (Self, Option<String>) {
        self.series.retain(|series| !series.points.is_empty());
        if self.series.len() <= SERIES_MAX {
            return (self, None);
        }
        let adds_up = self.measure.adds_up;
        let weight = |series: &Series| if adds_up { series.points.values().sum() } else { series.most() };
        self.series.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        let others = self.series.split_off(if adds_up { SERIES_MAX - 1 } else { SERIES_MAX });
        self.series.sort_by(|a, b| a.name.cmp(&b.name));
        let number = count(others.len() as u64);
        if !adds_up {
            return (
                self,
                Some(format!(
                    "{number} series with less are not drawn: choose with the flags of the question"
                )),
            );
        }
        let mut points: BTreeMap<usize, f64> = BTreeMap::new();
        for (bucket, value) in others.into_iter().flat_map(|series| series.points) {
            *points.entry(bucket).or_default() += value;
        }
        self.series.push(Series { name: format!("{number} others"), points });
        (self, Some(format!("{number} series with less are drawn as one")))
    }
}
