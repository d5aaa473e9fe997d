//! Template engines: frame protocol, pool of worker processes, caches.
