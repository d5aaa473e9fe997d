//! Whole controllers on an embedded API server, in this process, in a world that misbehaves.

mod house;
mod lag;
mod refusal;
