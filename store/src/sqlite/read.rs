//! Reading beside the writer.

use std::collections::BTreeMap;

use caravel_workflow::Entry;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite as Db};

use super::write::{place, place_of};
use crate::{
    AppKey, Cursor, Delivery, DeliveryQuery, DeliveryStep, Page, Run, RunHead, RunId, Sealer,
    StoreError,
};

pub(super) async fn entries(
    readers: &SqlitePool,
    sealer: &Sealer,
    run: &RunId,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query("SELECT seq, sealed, body FROM entry WHERE run = $1 ORDER BY seq")
        .bind(&run.0)
        .fetch_all(readers)
        .await?;
    if rows.is_empty() {
        return Err(StoreError::NoRun(run.0.clone()));
    }
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let seq = row.try_get::<i64, _>(0)?.cast_unsigned();
        let mut body: Vec<u8> = row.try_get(2)?;
        if row.try_get::<bool, _>(1)? {
            body = sealer
                .unseal(&place(run, seq), &body)
                .ok_or_else(|| StoreError::Sealed {
                    run: run.0.clone(),
                    seq,
                })?;
        }
        entries.push(serde_json::from_slice(&body)?);
    }
    Ok(entries)
}

pub(super) async fn kept(
    readers: &SqlitePool,
    sealer: &Sealer,
    app: &AppKey,
) -> Result<BTreeMap<String, Value>, StoreError> {
    let rows = sqlx::query(
        "SELECT key, body FROM component WHERE namespace = $1 AND name = $2 AND uid = $3",
    )
    .bind(&app.namespace)
    .bind(&app.name)
    .bind(&app.uid)
    .fetch_all(readers)
    .await?;
    let mut kept = BTreeMap::new();
    for row in rows {
        let (key, body): (String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let body = sealer.unseal(&place_of(app, &key), &body);
        let body = body.ok_or_else(|| {
            StoreError::Damaged(format!("what was kept of component {key} cannot be opened"))
        })?;
        kept.insert(key, serde_json::from_slice(&body)?);
    }
    Ok(kept)
}

pub(super) async fn runs(
    readers: &SqlitePool,
    app: &AppKey,
    limit: i64,
) -> Result<Vec<Run>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, revision, opened, closed, entries, projection FROM run \
         WHERE namespace = $1 AND name = $2 AND uid = $3 ORDER BY opened DESC, id DESC LIMIT $4",
    )
    .bind(&app.namespace)
    .bind(&app.name)
    .bind(&app.uid)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let opened = Timestamp::from_microsecond(row.try_get(2)?);
        let projection: Option<String> = row.try_get(5)?;
        runs.push(Run {
            head: RunHead {
                id: RunId(row.try_get(0)?),
                app: app.clone(),
                revision: row.try_get(1)?,
                opened: opened.map_err(|error| StoreError::Damaged(error.to_string()))?,
            },
            closed: row.try_get(3)?,
            entries: row.try_get::<i64, _>(4)?.cast_unsigned(),
            projection: projection
                .as_deref()
                .map(serde_json::from_str)
                .transpose()?,
        });
    }
    Ok(runs)
}

pub(super) async fn deliveries(
    readers: &SqlitePool,
    query: &DeliveryQuery,
) -> Result<Page<Delivery>, StoreError> {
    let mut sql: QueryBuilder<Db> = QueryBuilder::new(
        "SELECT run, namespace, name, uid, revision, started, ended, result, message FROM delivery WHERE 1 = 1",
    );
    if let Some(namespace) = &query.namespace {
        sql.push(" AND namespace = ").push_bind(namespace.clone());
    }
    if let Some(name) = &query.name {
        sql.push(" AND name = ").push_bind(name.clone());
    }
    if let Some(result) = &query.result {
        sql.push(" AND result = ").push_bind(result.clone());
    }
    if let Some(since) = query.since {
        sql.push(" AND started >= ")
            .push_bind(since.as_millisecond());
    }
    if let Some(until) = query.until {
        sql.push(" AND started < ")
            .push_bind(until.as_millisecond());
    }
    if let Some(after) = &query.after {
        sql.push(" AND (started, run) < (").push_bind(after.started);
        sql.push(", ").push_bind(after.run.0.clone()).push(")");
    }
    let size = query.page_size();
    sql.push(" ORDER BY started DESC, run DESC LIMIT ");
    // One more tells whether there is a next page.
    sql.push_bind(i64::try_from(size + 1).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(readers).await?;
    let more = rows.len() > size;
    let items = rows
        .iter()
        .take(size)
        .map(delivery_of)
        .collect::<Result<Vec<_>, _>>()?;
    let next = items.last().filter(|_| more).map(|last| Cursor {
        started: last.started.as_millisecond(),
        run: last.run.clone(),
    });
    Ok(Page { items, next })
}

pub(super) async fn delivery(
    readers: &SqlitePool,
    run: &RunId,
) -> Result<Option<Delivery>, StoreError> {
    let row = sqlx::query(
        "SELECT run, namespace, name, uid, revision, started, ended, result, message FROM delivery WHERE run = $1",
    )
    .bind(&run.0)
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut delivery = delivery_of(&row)?;
    let rows = sqlx::query(
        "SELECT name, type, grouped, phase, reason, message, started, ended FROM delivery_step \
         WHERE run = $1 ORDER BY place",
    )
    .bind(&run.0)
    .fetch_all(readers)
    .await?;
    for row in rows {
        delivery.steps.push(DeliveryStep {
            name: row.try_get(0)?,
            type_: row.try_get(1)?,
            group: row.try_get(2)?,
            phase: row.try_get(3)?,
            reason: row.try_get(4)?,
            message: row.try_get(5)?,
            started: row.try_get::<Option<i64>, _>(6)?.map(time).transpose()?,
            ended: row.try_get::<Option<i64>, _>(7)?.map(time).transpose()?,
        });
    }
    Ok(Some(delivery))
}

fn delivery_of(row: &SqliteRow) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        run: RunId(row.try_get(0)?),
        app: AppKey {
            namespace: row.try_get(1)?,
            name: row.try_get(2)?,
            uid: row.try_get(3)?,
        },
        revision: row.try_get(4)?,
        started: time(row.try_get(5)?)?,
        ended: row.try_get::<Option<i64>, _>(6)?.map(time).transpose()?,
        result: row.try_get(7)?,
        message: row.try_get(8)?,
        steps: Vec::new(),
    })
}

fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|error| StoreError::Damaged(error.to_string()))
}
