//! What comes back from players.
//!
//! - [`viewers`]: viewers per stream, and what their players report of stalls.
//! - [`cmcd`]: the reports' format (CTA-5004).

pub mod cmcd;
pub mod viewers;
