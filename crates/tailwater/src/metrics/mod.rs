//! Every metric, once: its name, its type, its unit, its help, and how it is read from a snapshot.
//!
//! Names are as Prometheus wants them: `tailwater_`, base units, the unit last, `_total` behind it for what only
//! grows. What only grows begins at zero with the process. What is not known now is left out, and not 0.

mod catalogue;

#[cfg(test)]
mod tests;

use prometheus::{CounterVec, GaugeVec, Opts, Registry, TextEncoder};
use sampler::SamplerStatus;

use crate::failure::{Failure, chain};
use crate::service::StatusAnswer;

pub(crate) use catalogue::CATALOGUE;

/// What the metrics are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    /// How recording and projecting are doing.
    pub status: &'a StatusAnswer,
    /// How each sampler is doing.
    pub samplers: &'a [SamplerStatus],
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, and begins anew with the process.
    Counter,
}

/// Reads a metric: its samples, each with the values of its labels. One that is not known now has none.
type Read = fn(&Snapshot<'_>) -> Vec<Sample>;

/// The values of the labels, and the number.
type Sample = (Vec<String>, f64);

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Its whole name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts or measures, as its name ends (before `_total`).
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
    labels: &'static [&'static str],
    read: Read,
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help, labels: &[], read }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help, labels: &[], read }
}

impl Metric {
    const fn labelled(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// Writes all metrics in Prometheus' text format 0.0.4.
///
/// # Errors
/// When the catalogue is wrong, which its tests rule out.
pub(crate) fn render(snapshot: &Snapshot<'_>) -> Result<String, Failure> {
    let registry = Registry::new();
    let rendered = CATALOGUE.iter().try_for_each(|metric| metric.register(&registry, snapshot));
    let text = rendered.and_then(|()| TextEncoder::new().encode_to_string(&registry.gather()));
    text.map_err(|error| Failure::error(format!("cannot write the metrics: {}", chain(&error))))
}

impl Metric {
    /// How its name must end.
    fn ending(&self) -> String {
        match self.kind {
            Kind::Gauge => format!("_{}", self.unit),
            Kind::Counter => format!("_{}_total", self.unit),
        }
    }

    fn register(&self, registry: &Registry, snapshot: &Snapshot<'_>) -> Result<(), prometheus::Error> {
        debug_assert!(self.name.ends_with(&self.ending()), "{} ends with its unit", self.name);
        let options = Opts::new(self.name, self.help);
        let samples = (self.read)(snapshot);
        match self.kind {
            Kind::Gauge => {
                let metric = GaugeVec::new(options, self.labels)?;
                for (labels, number) in samples {
                    metric.get_metric_with_label_values(&labels)?.set(number);
                }
                registry.register(Box::new(metric))
            }
            Kind::Counter => {
                let metric = CounterVec::new(options, self.labels)?;
                for (labels, number) in samples {
                    metric.get_metric_with_label_values(&labels)?.inc_by(number);
                }
                registry.register(Box::new(metric))
            }
        }
    }
}
