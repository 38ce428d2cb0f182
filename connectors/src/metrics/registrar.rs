//! Registers metrics and remembers how they were described, so that the reference cannot differ from the code.

use super::MetricsError;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// A metric as the reference shows it.
pub(super) struct Described {
    pub name: String,
    pub kind: &'static str,
    pub labels: Vec<&'static str>,
    pub help: &'static str,
}

/// Registers under one prefix.
#[derive(Default)]
pub(super) struct Registrar {
    pub registry: Registry,
    pub described: Vec<Described>,
}

type Labels<'a> = &'a [&'static str];

impl Registrar {
    pub fn counter(&mut self, name: &str, help: &'static str) -> Result<IntCounter, MetricsError> {
        self.add(name, "counter", help, &[], |opts, _| IntCounter::with_opts(opts))
    }

    pub fn counters(&mut self, name: &str, help: &'static str, labels: Labels) -> Result<IntCounterVec, MetricsError> {
        self.add(name, "counter", help, labels, IntCounterVec::new)
    }

    pub fn gauge(&mut self, name: &str, help: &'static str) -> Result<IntGauge, MetricsError> {
        self.add(name, "gauge", help, &[], |opts, _| IntGauge::with_opts(opts))
    }

    pub fn gauge_f64(&mut self, name: &str, help: &'static str) -> Result<Gauge, MetricsError> {
        self.add(name, "gauge", help, &[], |opts, _| Gauge::with_opts(opts))
    }

    pub fn gauges(&mut self, name: &str, help: &'static str, labels: Labels) -> Result<IntGaugeVec, MetricsError> {
        self.add(name, "gauge", help, labels, IntGaugeVec::new)
    }

    pub fn gauges_f64(&mut self, name: &str, help: &'static str, labels: Labels) -> Result<GaugeVec, MetricsError> {
        self.add(name, "gauge", help, labels, GaugeVec::new)
    }

    pub fn histogram(&mut self, name: &str, help: &'static str, buckets: &[f64]) -> Result<Histogram, MetricsError> {
        self.add(name, "histogram", help, &[], |opts, _| {
            Histogram::with_opts(HistogramOpts::from(opts).buckets(buckets.to_vec()))
        })
    }

    pub fn histograms(
        &mut self,
        name: &str,
        help: &'static str,
        labels: Labels,
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricsError> {
        self.add(name, "histogram", help, labels, |opts, labels| {
            HistogramVec::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
        })
    }

    fn add<M: Collector + Clone + 'static>(
        &mut self,
        name: &str,
        kind: &'static str,
        help: &'static str,
        labels: Labels,
        make: impl FnOnce(Opts, Labels) -> prometheus::Result<M>,
    ) -> Result<M, MetricsError> {
        let name = format!("groundswell_{name}");
        let failed = |source| MetricsError {
            name: name.clone(),
            source,
        };
        let metric = make(Opts::new(name.clone(), help), labels).map_err(failed)?;
        self.registry.register(Box::new(metric.clone())).map_err(failed)?;
        self.described.push(Described {
            name,
            kind,
            labels: labels.to_vec(),
            help,
        });
        Ok(metric)
    }
}
