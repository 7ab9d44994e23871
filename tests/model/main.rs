//! What podskew makes of objects, files and registries' answers: the library, without a server.

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod case_table;
mod diff;
mod exposition;
mod files;
mod files_fuzz;
mod give_back;
mod objects;
mod properties;
mod protobuf;
mod recordings;
mod registry_rules;
mod rollback;
mod verdict;
