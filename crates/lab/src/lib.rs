//! The laboratory: everything needed to see a load balancer work and to measure it.
//!
//! - [`backend`]: the demo service, with adjustable cost, metrics and an agent that advises weights;
//! - [`load`]: the load generator, in closed and open loops;
//! - [`origin`]: a server that costs next to nothing, for benchmarks;
//! - [`demo`]: three servers and the table that shows what each of them gets;
//! - [`statistics`]: counting and summing up;
//! - [`duration`]: the one spelling of lengths of time on the laboratory's command lines;
//! - [`interrupt`]: Ctrl-C as a flag that loops can look at.
//!
//! The product crates never depend on this one, so its dependencies stay out of the data plane.
#![forbid(unsafe_code)]

pub mod backend;
pub mod demo;
pub mod duration;
pub mod interrupt;
pub mod load;
pub mod origin;
pub mod statistics;
