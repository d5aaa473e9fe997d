//! The controller of Applications.

mod revision;
mod source;

pub(crate) use self::source::LiveSource;
