//! The live view of a run in a terminal: state, layout and redrawn region.

pub(super) mod bars;
pub(super) mod indicatif_term;
pub(super) mod layout;
pub(super) mod region;
pub(super) mod state;
