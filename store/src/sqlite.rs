//! Journal and history in one SQLite file: write-ahead log, `synchronous=FULL`, one writer.

mod read;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use caravel_workflow::Entry;
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::sync::{mpsc, oneshot};

use self::write::{Change, Request, Writer};
use crate::{
    AppKey, Delivery, DeliveryQuery, History, Journal, Page, Projection, Retention, Run, RunHead,
    RunId, Sealer, StoreError,
};

/// Name of the database file in the data folder.
pub const DATABASE_FILE: &str = "caravel.db";
/// Its name while it is locked by a daemon.
const LOCK_FILE: &str = "caravel.lock";
/// Readers at a time.
const READERS: u32 = 4;
/// Writers that may wait before the next one has to.
const QUEUE: usize = 1024;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The store of a data folder.
#[derive(Debug)]
pub struct Sqlite {
    readers: SqlitePool,
    writer: mpsc::Sender<Request>,
    finished: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
    sealer: Arc<Sealer>,
}

impl Sqlite {
    /// Opens the store in `folder`, which is made if it is absent, and brings its schema up to date.
    ///
    /// Refused where another daemon has the folder, where a newer program wrote the file, or where the
    /// key does not fit to what was sealed.
    pub async fn open(folder: &Path, retention: Retention) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| file_error(folder, error))?;
        let lock = lock(folder)?;
        let path = folder.join(DATABASE_FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(std::time::Duration::from_secs(10))
            .disable_statement_logging();
        let mut connection = options.clone().create_if_missing(true).connect().await?;
        migrate(&path, &mut connection).await?;
        let (sealer, made) = Sealer::of_folder(folder)?;
        check_key(folder, &mut connection, &sealer, made).await?;
        let sealer = Arc::new(sealer);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        let (sender, requests) = mpsc::channel(QUEUE);
        let writer = Writer {
            connection,
            sealer: Arc::clone(&sealer),
            retention,
        };
        let task = tokio::spawn(async move {
            writer.run(requests).await;
            // Held until the last write is done.
            drop(lock);
        });
        Ok(Self {
            readers,
            writer: sender,
            finished: tokio::sync::Mutex::new(Some(task)),
            sealer,
        })
    }

    /// Finishes what is being written and gives the folder back. Later calls answer [`StoreError::Closed`].
    pub async fn close(&self) {
        let (sender, done) = oneshot::channel();
        let request = Request {
            change: Change::Close,
            answer: sender,
        };
        if self.writer.send(request).await.is_ok() {
            let _ = done.await;
        }
        self.readers.close().await;
        if let Some(task) = self.finished.lock().await.take() {
            let _ = task.await;
        }
    }

    async fn write(&self, change: Change) -> Result<(), StoreError> {
        let (sender, done) = oneshot::channel();
        let request = Request {
            change,
            answer: sender,
        };
        self.writer
            .send(request)
            .await
            .map_err(|_| StoreError::Closed)?;
        done.await.map_err(|_| StoreError::Closed)?
    }
}

fn file_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Takes the folder. The system gives the lock back when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| file_error(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            folder: folder.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(file_error(&path, error)),
    }
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let versions: HashSet<i64> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect();
    let known = versions.iter().max().copied().unwrap_or_default();
    let has_schema: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *connection)
    .await?;
    if has_schema.is_some() {
        let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await?;
        if let Some(found) = found.filter(|found| *found > known) {
            return Err(StoreError::Newer {
                file: path.display().to_string(),
                found,
                known,
            });
        }
    }
    MIGRATIONS
        .run(connection)
        .await
        .map_err(|error| StoreError::Database(error.to_string()))
}

/// A key that was lost must not be replaced in silence: what is sealed would be lost with it.
async fn check_key(
    folder: &Path,
    connection: &mut SqliteConnection,
    sealer: &Sealer,
    made: bool,
) -> Result<(), StoreError> {
    const PLACE: &str = "key";
    let proof: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM fact WHERE name = $1")
        .bind(PLACE)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(proof) = proof else {
        sqlx::query("INSERT INTO fact (name, value) VALUES ($1, $2)")
            .bind(PLACE)
            .bind(sealer.seal(PLACE, PLACE.as_bytes())?)
            .execute(connection)
            .await?;
        return Ok(());
    };
    if sealer.unseal(PLACE, &proof).is_some() {
        return Ok(());
    }
    let path = folder.join(crate::KEY_FILE);
    if made {
        // It opens nothing; with it in place the next start would say so less clearly.
        let _ = std::fs::remove_file(&path);
    }
    let what = if made {
        "the key is missing"
    } else {
        "this is not the key"
    };
    Err(StoreError::Key {
        path: path.display().to_string(),
        problem: format!(
            "{what} with which {DATABASE_FILE} was sealed; restore it from a backup, or move {DATABASE_FILE} away to begin anew without its journals and history"
        ),
    })
}

#[async_trait]
impl Journal for Sqlite {
    async fn open(&self, head: &RunHead, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.write(Change::Open {
            head: head.clone(),
            entries,
        })
        .await
    }

    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        self.write(Change::Append {
            run: run.clone(),
            expected,
            entries,
        })
        .await
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, StoreError> {
        read::entries(&self.readers, &self.sealer, run).await
    }

    async fn latest(&self, app: &AppKey) -> Result<Option<Run>, StoreError> {
        Ok(read::runs(&self.readers, app, 1).await?.into_iter().next())
    }

    async fn runs(&self, app: &AppKey) -> Result<Vec<Run>, StoreError> {
        read::runs(&self.readers, app, i64::MAX).await
    }

    async fn project(&self, run: &RunId, projection: &Projection) -> Result<(), StoreError> {
        let projection = serde_json::to_string(projection)?;
        self.write(Change::Project {
            run: run.clone(),
            projection,
        })
        .await
    }

    async fn keep(&self, app: &AppKey, key: &str, value: &Value) -> Result<(), StoreError> {
        self.write(Change::Keep {
            app: app.clone(),
            key: key.to_owned(),
            body: serde_json::to_vec(value)?,
        })
        .await
    }

    async fn kept(&self, app: &AppKey) -> Result<BTreeMap<String, Value>, StoreError> {
        read::kept(&self.readers, &self.sealer, app).await
    }

    async fn forget(&self, app: &AppKey) -> Result<(), StoreError> {
        self.write(Change::Forget { app: app.clone() }).await
    }
}

#[async_trait]
impl History for Sqlite {
    async fn record(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.write(Change::Record {
            delivery: Box::new(delivery.clone()),
        })
        .await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError> {
        read::deliveries(&self.readers, query).await
    }

    async fn delivery(&self, run: &RunId) -> Result<Option<Delivery>, StoreError> {
        read::delivery(&self.readers, run).await
    }
}

#[cfg(test)]
mod tests;
