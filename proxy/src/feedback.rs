//! What comes back from players.
//!
//! - [`viewers`]: viewers per stream, and what their players report of stalls.
//! - [`posted_reports`]: reports that players post, in the format of [`cmcd`] (CTA-5004).

pub mod cmcd;
pub mod posted_reports;
pub mod viewers;
