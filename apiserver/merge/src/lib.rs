//! Structured merge: server-side apply, managedFields, strategic merge patch; pure.
