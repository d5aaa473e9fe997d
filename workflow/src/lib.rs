//! Pure workflow engine: the DAG, the state machine, the entries of the journal.
