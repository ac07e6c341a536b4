//! The router as its users meet it: the real binary, real sockets, small upstreams.
//!
//! Each module holds the rules of one subject. What is pure is tested beside the code.

mod bodies;
mod break_glass;
mod client;
mod durability;
mod heads;
mod load;
mod process;
mod routing;
mod stage;
mod switching;
mod traffic;
mod upstream;
mod writes;
