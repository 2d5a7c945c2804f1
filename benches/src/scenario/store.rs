//! Edges and control planes apart: how fast a change reaches everybody, and what a slow Redis does
//! to viewers.

pub(crate) mod publish;
mod redis;
pub(crate) mod slow;
