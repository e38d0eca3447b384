//! The Redis protocol: crate `resp`, and the messages that only this broker sends.

pub(crate) mod invalidation;

pub(crate) use resp::{Protocol, reply, request, words};
