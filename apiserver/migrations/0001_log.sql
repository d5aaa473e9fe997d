-- Every write is one row of the log; its id is the resourceVersion of the whole store.
CREATE TABLE log (
    rv INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL
);

-- Which row of the log is the present state of an object.
CREATE TABLE current (
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    rv INTEGER NOT NULL,
    PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;

-- `compacted`: events up to this resourceVersion are gone. `version`: the last one that was given out.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('compacted', 0), ('version', 0);
