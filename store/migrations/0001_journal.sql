-- Facts about the file itself.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Runs of workflows.
CREATE TABLE run (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    uid        TEXT NOT NULL,
    revision   TEXT NOT NULL,
    opened     INTEGER NOT NULL,
    closed     INTEGER NOT NULL DEFAULT 0,
    -- Entries written so far: the place of the next one.
    entries    INTEGER NOT NULL,
    -- The status that was last projected, with its resourceVersion.
    projection TEXT
) STRICT;
CREATE INDEX run_of_application ON run (namespace, name, uid, opened);

-- Their journals. A body is JSON, or sealed where it may hold a secret.
CREATE TABLE entry (
    run    TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    body   BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- What was delivered, when, and how it went. Kept longer than journals.
CREATE TABLE delivery (
    run       TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    uid       TEXT NOT NULL,
    revision  TEXT NOT NULL,
    started   INTEGER NOT NULL,
    ended     INTEGER,
    result    TEXT NOT NULL,
    message   TEXT NOT NULL
) STRICT;
CREATE INDEX delivery_of_application ON delivery (namespace, name, started, run);
CREATE INDEX delivery_by_time ON delivery (started, run);

CREATE TABLE delivery_step (
    run     TEXT NOT NULL REFERENCES delivery (run) ON DELETE CASCADE,
    place   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    type    TEXT NOT NULL,
    grouped TEXT NOT NULL,
    phase   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    message TEXT NOT NULL,
    started INTEGER,
    ended   INTEGER,
    PRIMARY KEY (run, place)
) STRICT, WITHOUT ROWID;
