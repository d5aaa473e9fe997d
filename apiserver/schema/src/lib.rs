//! What is known of a kind: built-in resources, structural schemas, OpenAPI, tables, protobuf; pure.
