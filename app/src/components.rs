//! What two or more pages share.

pub mod agent;
pub mod ask;
pub mod ask_form;
pub mod bar;
pub mod chart;
pub mod diff;
pub mod failure;
pub mod field;
pub mod follow_focus;
pub mod form;
pub mod gates;
pub mod icon;
pub mod inquiry;
pub mod loaded;
pub mod moves;
pub mod new_build;
pub mod people_tabs;
pub mod phase_line;
pub mod placement;
pub mod rows;
pub mod slot;
pub mod sparkline;
pub mod spec_fields;
pub mod warmth;
pub mod when;
pub mod would_change;
