#![forbid(unsafe_code)]

pub mod reactor;
