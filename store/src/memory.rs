//! A store that ends with the process, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use caravel_workflow::Entry;
use serde_json::Value;

use crate::{
    AppKey, Cursor, Delivery, DeliveryQuery, History, Journal, Page, Projection, Retention, Run,
    RunHead, RunId, StoreError,
};

/// A store in memory. It keeps the same rules as the one on disk.
#[derive(Debug, Default)]
pub struct Memory {
    content: Mutex<Content>,
    retention: Retention,
}

#[derive(Debug, Default)]
struct Content {
    runs: BTreeMap<RunId, (Run, Vec<Entry>)>,
    deliveries: BTreeMap<RunId, Delivery>,
    components: Vec<(AppKey, BTreeMap<String, Value>)>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that keeps so much.
    pub fn with_retention(retention: Retention) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn run(&mut self, run: &RunId) -> Result<&mut (Run, Vec<Entry>), StoreError> {
        self.runs
            .get_mut(run)
            .ok_or_else(|| StoreError::NoRun(run.0.clone()))
    }

    fn components_of(&mut self, app: &AppKey) -> &mut BTreeMap<String, Value> {
        let known = self.components.iter().position(|(known, _)| known == app);
        let index = known.unwrap_or_else(|| {
            self.components.push((app.clone(), BTreeMap::new()));
            self.components.len() - 1
        });
        &mut self.components[index].1
    }

    fn runs_of(&self, app: &AppKey) -> Vec<Run> {
        let of_app = self
            .runs
            .values()
            .map(|(run, _)| run)
            .filter(|run| run.head.app == *app);
        let mut runs: Vec<Run> = of_app.cloned().collect();
        runs.sort_by(|a, b| (b.head.opened, &b.head.id).cmp(&(a.head.opened, &a.head.id)));
        runs
    }
}

#[async_trait]
impl Journal for Memory {
    async fn open(&self, head: &RunHead, entries: Vec<Entry>) -> Result<(), StoreError> {
        let mut content = self.content();
        if content.runs.contains_key(&head.id) {
            return Err(StoreError::RunExists(head.id.0.clone()));
        }
        let run = Run {
            head: head.clone(),
            closed: false,
            entries: entries.len() as u64,
            projection: None,
        };
        content.runs.insert(head.id.clone(), (run, entries));
        Ok(())
    }

    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        let mut content = self.content();
        let (known, journal) = content.run(run)?;
        if known.entries != expected {
            let found = known.entries;
            return Err(StoreError::Conflict {
                run: run.0.clone(),
                expected,
                found,
            });
        }
        journal.extend(entries);
        known.entries = journal.len() as u64;
        Ok(())
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, StoreError> {
        Ok(self.content().run(run)?.1.clone())
    }

    async fn latest(&self, app: &AppKey) -> Result<Option<Run>, StoreError> {
        Ok(self.content().runs_of(app).into_iter().next())
    }

    async fn runs(&self, app: &AppKey) -> Result<Vec<Run>, StoreError> {
        Ok(self.content().runs_of(app))
    }

    async fn project(&self, run: &RunId, projection: &Projection) -> Result<(), StoreError> {
        self.content().run(run)?.0.projection = Some(projection.clone());
        Ok(())
    }

    async fn keep(&self, app: &AppKey, key: &str, value: &Value) -> Result<(), StoreError> {
        self.content()
            .components_of(app)
            .insert(key.to_owned(), value.clone());
        Ok(())
    }

    async fn kept(&self, app: &AppKey) -> Result<BTreeMap<String, Value>, StoreError> {
        Ok(self.content().components_of(app).clone())
    }

    async fn forget(&self, app: &AppKey) -> Result<(), StoreError> {
        let mut content = self.content();
        content.runs.retain(|_, (run, _)| run.head.app != *app);
        content.components.retain(|(known, _)| known != app);
        Ok(())
    }
}

#[async_trait]
impl History for Memory {
    async fn record(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let mut content = self.content();
        content
            .deliveries
            .insert(delivery.run.clone(), delivery.clone());
        if delivery.ended.is_none() {
            return Ok(());
        }
        if let Some((run, _)) = content.runs.get_mut(&delivery.run) {
            run.closed = true;
        }
        let old: Vec<RunId> = content
            .runs_of(&delivery.app)
            .into_iter()
            .filter(|run| run.closed)
            .skip(self.retention.journals as usize)
            .map(|run| run.head.id)
            .collect();
        content.runs.retain(|id, _| !old.contains(id));
        let mut past: Vec<(i64, RunId)> = content
            .deliveries
            .values()
            .filter(|one| {
                one.app.namespace == delivery.app.namespace && one.app.name == delivery.app.name
            })
            .map(|one| (one.started.as_millisecond(), one.run.clone()))
            .collect();
        past.sort_by(|a, b| b.cmp(a));
        for (_, run) in past.into_iter().skip(self.retention.deliveries as usize) {
            content.deliveries.remove(&run);
        }
        Ok(())
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError> {
        let content = self.content();
        let place = |one: &Delivery| Cursor {
            started: one.started.as_millisecond(),
            run: one.run.clone(),
        };
        let wanted = |one: &&Delivery| {
            query
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == one.app.namespace)
                && query.name.as_ref().is_none_or(|name| *name == one.app.name)
                && query
                    .result
                    .as_ref()
                    .is_none_or(|result| *result == one.result)
                && query
                    .since
                    .is_none_or(|since| one.started.as_millisecond() >= since.as_millisecond())
                && query
                    .until
                    .is_none_or(|until| one.started.as_millisecond() < until.as_millisecond())
                && query.after.as_ref().is_none_or(|after| place(one) < *after)
        };
        let mut items: Vec<Delivery> = content
            .deliveries
            .values()
            .filter(wanted)
            .cloned()
            .collect();
        items.sort_by_key(|one| std::cmp::Reverse(place(one)));
        let more = items.len() > query.page_size();
        items.truncate(query.page_size());
        for item in &mut items {
            item.steps.clear();
        }
        let next = items.last().filter(|_| more).map(place);
        Ok(Page { items, next })
    }

    async fn delivery(&self, run: &RunId) -> Result<Option<Delivery>, StoreError> {
        Ok(self.content().deliveries.get(run).cloned())
    }
}
