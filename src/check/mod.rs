//! Checks: sentences that are true or false, as rows, and the one runner that preflight, the end of an install and
//! `verify` share. A check leaves nothing behind: what it has to make (a probe pod, an alert) it takes away again.
//! Must not print or prompt.

pub mod adoption;
pub mod identity;
pub mod login;
#[cfg(test)]
mod manual_tests;
pub mod preflight;
mod row;
mod runner;
pub mod stack;
mod web;

pub use runner::Selection;
