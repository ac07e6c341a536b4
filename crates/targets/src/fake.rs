//! A target in memory, for tests: the same promises, and everything that goes wrong on demand.
