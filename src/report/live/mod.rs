//! The live view of a run in a terminal: its state, its layout, and the region that is redrawn.

pub(super) mod bars;
pub(super) mod indicatif_term;
pub(super) mod layout;
pub(super) mod region;
pub(super) mod state;
