//! Everything that is checked before anything is changed: prerequisites, the target cluster, conflicts with existing
//! installations, and the OIDC provider.

pub mod conflicts;
pub mod oidc;
pub mod prerequisites;
pub mod target;
