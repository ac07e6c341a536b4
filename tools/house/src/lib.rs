//! Holds the plan of the house: which crate may use which (docs/ARCHITECTURE.md). All of it is in
//! `tests/edges.rs`; there is nothing to use here.
