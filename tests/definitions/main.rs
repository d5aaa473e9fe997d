//! The definitions that come with Caravel: what they say about themselves, what their examples render to, how they
//! judge live objects; and templates of users that try the less common rules of rendering (rows REN-*).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper fails the test"
)]

mod attributes;
mod builtin;
mod examples;
mod health;
mod rendering;
