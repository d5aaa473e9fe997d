//! The one writer. It takes all that waits into one transaction, so that many writers share one flush to the disk,
//! and answers when that is done.

use std::sync::Arc;

use caravel_workflow::Entry;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot};

use crate::{AppKey, Delivery, Retention, RunHead, RunId, Sealer, StoreError};

/// Changes that share one transaction at most.
const BATCH: usize = 256;

pub(super) enum Change {
    Open {
        head: RunHead,
        entries: Vec<Entry>,
    },
    Append {
        run: RunId,
        expected: u64,
        entries: Vec<Entry>,
    },
    Project {
        run: RunId,
        projection: String,
    },
    Keep {
        app: AppKey,
        key: String,
        body: Vec<u8>,
    },
    Forget {
        app: AppKey,
    },
    Record {
        delivery: Box<Delivery>,
    },
    Close,
}

pub(super) struct Request {
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
}

pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) sealer: Arc<Sealer>,
    pub(super) retention: Retention,
}

impl Writer {
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut open = true;
        while open {
            let mut batch = Vec::new();
            if requests.recv_many(&mut batch, BATCH).await == 0 {
                break;
            }
            open = !batch
                .iter()
                .any(|request| matches!(request.change, Change::Close));
            self.serve(batch).await;
        }
        requests.close();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the journal's database was not closed in order");
        }
    }

    async fn serve(&mut self, batch: Vec<Request>) {
        let (changes, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|request| (request.change, request.answer))
            .unzip();
        let results = match self.commit(&changes).await {
            Ok(results) => results,
            Err(error) => {
                // Nothing of the batch was written: everybody is told the same.
                tracing::error!(%error, writes = changes.len(), "the journal could not be written");
                let full = matches!(error, StoreError::DiskFull);
                let text = error.to_string();
                let again = || {
                    if full {
                        StoreError::DiskFull
                    } else {
                        StoreError::Database(text.clone())
                    }
                };
                changes.iter().map(|_| Err(again())).collect()
            }
        };
        for (answer, result) in answers.into_iter().zip(results) {
            // Somebody who no longer waits has lost nothing.
            let _ = answer.send(result);
        }
    }

    /// Applies changes in one transaction; one that is refused leaves no trace and does not harm the others.
    async fn commit(
        &mut self,
        changes: &[Change],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let mut part = transaction.begin().await?;
            let result = apply(&mut part, change, &self.sealer, self.retention).await;
            match result {
                Ok(()) => part.commit().await?,
                Err(StoreError::DiskFull) => return Err(StoreError::DiskFull),
                Err(_) => part.rollback().await?,
            }
            results.push(result);
        }
        transaction.commit().await?;
        Ok(results)
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    change: &Change,
    sealer: &Sealer,
    retention: Retention,
) -> Result<(), StoreError> {
    match change {
        Change::Open { head, entries } => open(connection, head, entries, sealer).await,
        Change::Append {
            run,
            expected,
            entries,
        } => append(connection, run, *expected, entries, sealer).await,
        Change::Project { run, projection } => {
            let done = sqlx::query("UPDATE run SET projection = $1 WHERE id = $2")
                .bind(projection)
                .bind(&run.0)
                .execute(connection)
                .await?;
            if done.rows_affected() == 0 {
                return Err(StoreError::NoRun(run.0.clone()));
            }
            Ok(())
        }
        Change::Keep { app, key, body } => keep(connection, app, key, body, sealer).await,
        Change::Forget { app } => forget(connection, app).await,
        Change::Record { delivery } => record(connection, delivery, retention).await,
        Change::Close => Ok(()),
    }
}

async fn keep(
    connection: &mut SqliteConnection,
    app: &AppKey,
    key: &str,
    body: &[u8],
    sealer: &Sealer,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO component (namespace, name, uid, key, body) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO UPDATE SET body = excluded.body",
    )
    .bind(&app.namespace)
    .bind(&app.name)
    .bind(&app.uid)
    .bind(key)
    .bind(sealer.seal(&place_of(app, key), body)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, app: &AppKey) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM run WHERE namespace = $1 AND name = $2 AND uid = $3",
        "DELETE FROM component WHERE namespace = $1 AND name = $2 AND uid = $3",
    ] {
        sqlx::query(statement)
            .bind(&app.namespace)
            .bind(&app.name)
            .bind(&app.uid)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn open(
    connection: &mut SqliteConnection,
    head: &RunHead,
    entries: &[Entry],
    sealer: &Sealer,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "INSERT INTO run (id, namespace, name, uid, revision, opened, entries) \
         VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&head.id.0)
    .bind(&head.app.namespace)
    .bind(&head.app.name)
    .bind(&head.app.uid)
    .bind(&head.revision)
    .bind(head.opened.as_microsecond())
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::RunExists(head.id.0.clone()));
    }
    append(connection, &head.id, 0, entries, sealer).await
}

async fn append(
    connection: &mut SqliteConnection,
    run: &RunId,
    expected: u64,
    entries: &[Entry],
    sealer: &Sealer,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT entries FROM run WHERE id = $1")
        .bind(&run.0)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| StoreError::NoRun(run.0.clone()))?;
    let found = row.try_get::<i64, _>(0)?.cast_unsigned();
    if found != expected {
        return Err(StoreError::Conflict {
            run: run.0.clone(),
            expected,
            found,
        });
    }
    for entry in entries {
        let plain = serde_json::to_vec(entry)?;
        let sealed = entry.record.is_sensitive();
        let body = if sealed {
            sealer.seal(&place(run, entry.seq), &plain)?
        } else {
            plain
        };
        sqlx::query("INSERT INTO entry (run, seq, sealed, body) VALUES ($1, $2, $3, $4)")
            .bind(&run.0)
            .bind(entry.seq.cast_signed())
            .bind(sealed)
            .bind(body)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE run SET entries = $1 WHERE id = $2")
        .bind((expected + entries.len() as u64).cast_signed())
        .bind(&run.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a sealed entry is bound to: an entry that is moved elsewhere does not open.
pub(super) fn place(run: &RunId, seq: u64) -> String {
    format!("entry/{run}/{seq}")
}

/// The same, of what is kept of a component.
pub(super) fn place_of(app: &AppKey, key: &str) -> String {
    format!("component/{}/{key}", app.uid)
}

async fn record(
    connection: &mut SqliteConnection,
    delivery: &Delivery,
    retention: Retention,
) -> Result<(), StoreError> {
    let run = &delivery.run.0;
    sqlx::query(
        "INSERT INTO delivery (run, namespace, name, uid, revision, started, ended, result, message) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (run) DO UPDATE SET ended = excluded.ended, result = excluded.result, message = excluded.message",
    )
    .bind(run)
    .bind(&delivery.app.namespace)
    .bind(&delivery.app.name)
    .bind(&delivery.app.uid)
    .bind(&delivery.revision)
    .bind(delivery.started.as_millisecond())
    .bind(delivery.ended.map(jiff::Timestamp::as_millisecond))
    .bind(&delivery.result)
    .bind(&delivery.message)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM delivery_step WHERE run = $1")
        .bind(run)
        .execute(&mut *connection)
        .await?;
    for (place, step) in (0_i64..).zip(&delivery.steps) {
        sqlx::query(
            "INSERT INTO delivery_step \
             (run, place, name, type, grouped, phase, reason, message, started, ended) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(run)
        .bind(place)
        .bind(&step.name)
        .bind(&step.type_)
        .bind(&step.group)
        .bind(&step.phase)
        .bind(&step.reason)
        .bind(&step.message)
        .bind(step.started.map(jiff::Timestamp::as_millisecond))
        .bind(step.ended.map(jiff::Timestamp::as_millisecond))
        .execute(&mut *connection)
        .await?;
    }
    if delivery.ended.is_some() {
        close(connection, delivery, retention).await?;
    }
    Ok(())
}

/// Closes the run of a delivery that has ended, and removes what is too old.
async fn close(
    connection: &mut SqliteConnection,
    delivery: &Delivery,
    retention: Retention,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE run SET closed = 1 WHERE id = $1")
        .bind(&delivery.run.0)
        .execute(&mut *connection)
        .await?;
    let app = &delivery.app;
    sqlx::query(
        "DELETE FROM run WHERE id IN (SELECT id FROM run \
         WHERE namespace = $1 AND name = $2 AND uid = $3 AND closed = 1 \
         ORDER BY opened DESC, id DESC LIMIT -1 OFFSET $4)",
    )
    .bind(&app.namespace)
    .bind(&app.name)
    .bind(&app.uid)
    .bind(i64::from(retention.journals))
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM delivery WHERE run IN (SELECT run FROM delivery \
         WHERE namespace = $1 AND name = $2 ORDER BY started DESC, run DESC LIMIT -1 OFFSET $3)",
    )
    .bind(&app.namespace)
    .bind(&app.name)
    .bind(i64::from(retention.deliveries))
    .execute(connection)
    .await?;
    Ok(())
}
