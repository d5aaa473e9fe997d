//! Durability in one SQLite file.

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Row, Sqlite as Db};

use super::backend::{Backend, BackendError, Change, ChangeKind, Loaded};
use super::object::{Key, Object};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How many rows go into one statement. Few sizes, so that every statement is prepared once.
const ROWS: [usize; 4] = [64, 16, 4, 1];
/// Versions that one compaction statement covers, so that writes need not wait long.
const COMPACT_STEP: u64 = 5_000;

/// A SQLite file in a data folder: write-ahead log, `synchronous=FULL`, one connection.
pub struct Sqlite {
    connection: Option<SqliteConnection>,
    compacted: u64,
    // Held, never read: the lock lasts as long as the file is open.
    _lock: File,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite")
            .field("compacted", &self.compacted)
            .finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens `hub.db` in `folder`, which is created if it is absent, and brings its schema up to date.
    ///
    /// # Errors
    /// The folder cannot be used, another daemon uses it, or a newer program wrote the file.
    pub async fn open(folder: &Path) -> Result<Self, BackendError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| file_error(folder, source))?;
        let lock = lock(folder)?;
        let path = folder.join("hub.db");
        // Secrets are in it. SQLite gives its other files the mode of this one.
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| file_error(&path, source))?;
        let mut connection = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .disable_statement_logging()
            .connect()
            .await?;
        migrate(&mut connection).await?;
        Ok(Self {
            connection: Some(connection),
            compacted: 0,
            _lock: lock,
        })
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, BackendError> {
        self.connection
            .as_mut()
            .ok_or(BackendError::Database(sqlx::Error::PoolClosed))
    }
}

fn file_error(path: &Path, source: std::io::Error) -> BackendError {
    BackendError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Takes the lock of a data folder; the system gives it back when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File, BackendError> {
    let path: PathBuf = folder.join("hub.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| file_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(BackendError::InUse {
            folder: folder.display().to_string(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(file_error(&path, source)),
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), BackendError> {
    let known: HashSet<i64> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect();
    let newest = known.iter().max().copied().unwrap_or_default();
    let has_table: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *connection)
    .await?;
    if has_table.is_some() {
        let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await?;
        if let Some(found) = found.filter(|found| *found > newest) {
            return Err(BackendError::Newer {
                found,
                known: newest,
            });
        }
    }
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| BackendError::Database(error.into()))
}

#[async_trait]
impl Backend for Sqlite {
    async fn load(&mut self) -> Result<Loaded, BackendError> {
        let connection = self.connection()?;
        let mut loaded = Loaded::default();
        for row in sqlx::query("SELECT key, value FROM meta")
            .fetch_all(&mut *connection)
            .await?
        {
            let value: i64 = row.try_get(1)?;
            match row.try_get::<String, _>(0)?.as_str() {
                "compacted" => loaded.compacted = value.cast_unsigned(),
                "version" => loaded.version = value.cast_unsigned(),
                _ => {}
            }
        }
        // Row by row: all bodies at once would double the memory that a start needs.
        let mut rows = sqlx::query(
            "SELECT log.rv, log.kind, log.resource, log.namespace, log.name, log.body, current.rv IS NOT NULL \
             FROM log LEFT JOIN current ON current.rv = log.rv AND current.resource = log.resource \
             AND current.namespace = log.namespace AND current.name = log.name ORDER BY log.rv",
        )
        .fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let version = row.try_get::<i64, _>(0)?.cast_unsigned();
            let key = Key::new(
                row.try_get::<String, _>(2)?,
                row.try_get::<String, _>(3)?,
                row.try_get::<String, _>(4)?,
            );
            let body = Bytes::from(row.try_get::<Vec<u8>, _>(5)?);
            let object = Arc::new(Object::restore(key, version, body));
            if row.try_get::<bool, _>(6)? {
                loaded.objects.push(Arc::clone(&object));
            }
            if version > loaded.compacted {
                loaded.events.push((kind_of(row.try_get(1)?), object));
            }
            loaded.version = loaded.version.max(version);
        }
        drop(rows);
        self.compacted = loaded.compacted;
        Ok(loaded)
    }

    async fn commit(&mut self, changes: &[Change]) -> Result<(), BackendError> {
        let mut transaction = self.connection()?.begin().await?;
        for part in parts(changes) {
            let mut log: QueryBuilder<Db> =
                QueryBuilder::new("INSERT INTO log (rv, kind, resource, namespace, name, body) ");
            log.push_values(part, |mut row, change| {
                let key = change.key();
                row.push_bind(change.version().cast_signed())
                    .push_bind(number_of(change.kind))
                    .push_bind(key.resource.to_string())
                    .push_bind(key.namespace.to_string())
                    .push_bind(key.name.to_string())
                    .push_bind(change.object.body().to_vec());
            });
            log.build().execute(&mut *transaction).await?;
        }
        // Of several writes to an object the last one counts.
        let last: HashMap<&Key, &Change> = changes
            .iter()
            .map(|change| (change.key(), change))
            .collect();
        let (gone, there): (Vec<&Change>, Vec<&Change>) = last
            .into_values()
            .partition(|change| change.kind == ChangeKind::Deleted);
        for part in parts(&there) {
            let mut current: QueryBuilder<Db> =
                QueryBuilder::new("INSERT INTO current (resource, namespace, name, rv) ");
            current.push_values(part, |mut row, change| {
                let key = change.key();
                row.push_bind(key.resource.to_string())
                    .push_bind(key.namespace.to_string())
                    .push_bind(key.name.to_string())
                    .push_bind(change.version().cast_signed());
            });
            current.push(" ON CONFLICT (resource, namespace, name) DO UPDATE SET rv = excluded.rv");
            current.build().execute(&mut *transaction).await?;
        }
        for change in gone {
            let key = change.key();
            sqlx::query("DELETE FROM current WHERE resource = $1 AND namespace = $2 AND name = $3")
                .bind(&*key.resource)
                .bind(&*key.namespace)
                .bind(&*key.name)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn compact(&mut self, version: u64) -> Result<(), BackendError> {
        let mut from = self.compacted;
        let connection = self.connection()?;
        while from < version {
            let to = version.min(from + COMPACT_STEP);
            let mut transaction = connection.begin().await?;
            sqlx::query(
                "DELETE FROM log WHERE rv > $1 AND rv <= $2 AND NOT EXISTS (SELECT 1 FROM current \
                 WHERE current.resource = log.resource AND current.namespace = log.namespace \
                 AND current.name = log.name AND current.rv = log.rv)",
            )
            .bind(from.cast_signed())
            .bind(to.cast_signed())
            .execute(&mut *transaction)
            .await?;
            // The last version must survive the deletion of its row, or it would be given out again.
            sqlx::query("UPDATE meta SET value = $1 WHERE key = 'compacted' OR (key = 'version' AND value < $1)")
                .bind(to.cast_signed())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            from = to;
        }
        self.compacted = self.compacted.max(from);
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed cleanly; it recovers at the next start");
        }
    }
}

/// Cuts rows into parts of the sizes of [`ROWS`].
fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS.into_iter().find(|size| *size <= rows.len())?;
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

fn number_of(kind: ChangeKind) -> i64 {
    match kind {
        ChangeKind::Added => 0,
        ChangeKind::Modified => 1,
        ChangeKind::Deleted => 2,
    }
}

fn kind_of(number: i64) -> ChangeKind {
    match number {
        0 => ChangeKind::Added,
        2 => ChangeKind::Deleted,
        _ => ChangeKind::Modified,
    }
}
