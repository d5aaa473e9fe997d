-- What cannot be found out again of how an Application's components were delivered last. Sealed: inputs may be secrets.
CREATE TABLE component (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    uid       TEXT NOT NULL,
    -- The component and its place.
    key       TEXT NOT NULL,
    body      BLOB NOT NULL,
    PRIMARY KEY (namespace, name, uid, key)
) STRICT, WITHOUT ROWID;
