//! Names of filters and services.

/// Sorted.
pub(crate) const FILTERS: &[&str] = &[
    "bwlim-in",
    "bwlim-out",
    "cache",
    "comp-req",
    "comp-res",
    "compression",
    "fcgi-app",
    "spoe",
    "trace",
];

/// Sorted.
#[cfg(test)]
pub(crate) const SERVICES: &[&str] = &["prometheus-exporter"];
