//! What is known of a kind, with no I/O: the table of built-in resources and their discovery documents, protobuf
//! bodies, OpenAPI documents, structural schemas of custom resources, strict decoding, defaults and validation of
//! built-in kinds, tables for `kubectl get`, and selectors.
//!
//! Everything takes and gives [`serde_json::Value`]; time is an argument. Errors are lists of [`field::Error`], which
//! render exactly as a kube-apiserver renders them, because clients read those texts.

pub mod builtin;
pub mod decode;
pub mod field;
pub mod jsonpath;
pub mod names;
pub mod openapi;
pub mod protobuf;
pub mod quantity;
pub mod resources;
pub mod selectors;
pub mod structural;
pub mod table;

#[cfg(test)]
mod robustness;
