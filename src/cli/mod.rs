//! The command line: one file per sub-command.

pub mod check_config;
