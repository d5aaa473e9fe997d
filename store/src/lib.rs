//! Journal, delivery history and metrics in SQLite.
