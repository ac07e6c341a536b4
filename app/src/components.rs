//! What two or more pages share.

pub mod bar;
pub mod failure;
pub mod field;
pub mod form;
pub mod icon;
pub mod new_build;
pub mod when;
