//! Streams into a real table on disk, from an embedded broker, the local log and files.

mod files;
mod group;
mod local;
mod reading;
mod secrets;
mod trouble;
mod world;
