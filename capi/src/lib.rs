//! The C interface of SynaDB. What it promises is written in `include/synadb.h`, which is made
//! from the comments of the exported functions here.
//!
//! A translation and nothing else: arguments become what the Rust library takes, its results
//! become numbers, pointers and Arrow structs, its errors become codes. [`status`] has the codes
//! and the guard that every exported function runs under, [`input`] what is believed of arguments,
//! [`memory`] what callers have to free, [`handles`] the handles. The calls: [`classic`] by path,
//! [`db`], [`series`] and [`snapshot`] by handle; [`history`], [`scan`] and [`frame`] hand out
//! Arrow data by way of [`arrow`] and [`stream`], [`write`] takes it in by way of [`import`];
//! [`maintenance`] concerns whole files.
//!
//! Handles and pointers that come back from a caller are looked up before anything is done with
//! them, so that a stale one is an error. What cannot be looked up, strings and arrays of the
//! caller and the places where results go, is believed.

#![expect(non_camel_case_types, reason = "these are the names of C")]

#[cfg(not(unix))]
compile_error!("the C interface takes paths as bytes: it needs Unix");

mod arrow;
mod classic;
mod db;
mod frame;
mod handles;
mod history;
mod import;
mod input;
mod maintenance;
mod memory;
mod options;
mod scan;
mod series;
mod snapshot;
mod status;
mod stream;
mod values;
mod write;
