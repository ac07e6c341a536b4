//! How traffic reaches a slot where no cluster does it.
//!
//! A process of its own, so that traffic goes on when the control plane is away. It knows routes,
//! slots and instances' addresses; it knows nothing of rollouts, containers or databases.
//!
//! ```text
//! clients ──► worker (one a core) ──► proxy ── looks once ──► table ──► upstream ──► instances
//!                                       └── flight ──► witness              ▲
//! control plane ──► control ──► writer ── state, file, journal ── publishes ┘
//! ```

pub mod bell;
pub mod cli;
pub mod client;
pub mod clock;
pub mod control;
pub mod journal;
pub mod per_worker;
pub mod proxy;
pub mod serve;
pub mod sockets;
pub mod state;
pub mod status;
pub mod switch;
pub mod table;
pub mod upstream;
pub mod witness;
pub mod worker;
pub mod writer;
