//! An inventory that several deliveries of one Application write at the same time.

use std::ops::{Deref, DerefMut};

use tokio::sync::{Mutex, MutexGuard};

use super::{Inventory, InventoryError, Store};

/// An inventory in use. Entries are written down together: those who come while a write is under way share
/// the next one.
#[derive(Debug)]
pub struct Ledger {
    book: Mutex<Book>,
    /// Held by whoever writes to the hub. Taken before `book`, never after it.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Book {
    /// Empty while it is closed.
    inventory: Inventory,
    is_open: bool,
    /// The same as compressed JSON text, which takes a small part of the memory; none if it was edited since.
    packed: Option<Packed>,
    /// Counts edits.
    edited: u64,
    /// How many of them are on the hub.
    written: u64,
}

impl Book {
    /// For reading: the text stays good.
    fn open(&mut self) -> &Inventory {
        if !self.is_open
            && let Some(inventory) = self.packed.as_ref().and_then(Packed::unpack)
        {
            self.inventory = inventory;
            self.is_open = true;
        }
        &self.inventory
    }

    /// For editing.
    fn open_mut(&mut self) -> &mut Inventory {
        self.open();
        self.packed = None;
        &mut self.inventory
    }

    /// Keeps the text alone, if it can be read back.
    fn close(&mut self) {
        if self.packed.is_none() {
            self.packed = Packed::of(&self.inventory);
        }
        if self.packed.is_some() && self.is_open {
            self.inventory = Inventory::empty(self.inventory.owner().clone());
            self.is_open = false;
        }
    }
}

/// An inventory as compressed JSON text.
#[derive(Debug)]
struct Packed {
    bytes: Box<[u8]>,
    /// Length of the text.
    size: usize,
}

impl Packed {
    /// Nothing if it could not be read back.
    fn of(inventory: &Inventory) -> Option<Self> {
        let text = serde_json::to_vec(inventory).ok()?;
        let bytes = zstd::bulk::compress(&text, 1).ok()?;
        let packed = Self {
            bytes: bytes.into_boxed_slice(),
            size: text.len(),
        };
        packed.unpack().map(|_| packed)
    }

    fn unpack(&self) -> Option<Inventory> {
        let text = zstd::bulk::decompress(&self.bytes, self.size).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// The whole inventory for one writer.
#[derive(Debug)]
pub struct Exclusive<'a> {
    book: MutexGuard<'a, Book>,
    _writing: MutexGuard<'a, ()>,
}

impl Deref for Exclusive<'_> {
    type Target = Inventory;

    fn deref(&self) -> &Inventory {
        &self.book.inventory
    }
}

impl DerefMut for Exclusive<'_> {
    fn deref_mut(&mut self) -> &mut Inventory {
        &mut self.book.inventory
    }
}

impl Ledger {
    /// Over an inventory that was read.
    pub fn new(inventory: Inventory) -> Self {
        Self {
            book: Mutex::new(Book {
                inventory,
                is_open: true,
                packed: None,
                edited: 0,
                written: 0,
            }),
            writing: Mutex::default(),
        }
    }

    /// Waits until nobody writes, and keeps all others out.
    pub async fn lock(&self) -> Exclusive<'_> {
        let writing = self.writing.lock().await;
        let mut book = self.book.lock().await;
        book.open_mut();
        Exclusive {
            book,
            _writing: writing,
        }
    }

    /// Looks at the inventory, as far as it is known here.
    pub async fn read<T>(&self, look: impl FnOnce(&Inventory) -> T) -> T {
        look(self.book.lock().await.open())
    }

    /// Changes the inventory in memory. What must be on the hub before something happens needs a
    /// [`Ledger::commit`] then; the rest goes with the next one.
    pub async fn edit<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        let mut book = self.book.lock().await;
        book.edited += 1;
        change(book.open_mut())
    }

    /// Keeps it small until it is needed again.
    pub async fn pack(&self) {
        self.book.lock().await.close();
    }

    /// Returns when all that was edited before is on the hub.
    ///
    /// # Errors
    /// [`InventoryError::Conflict`] if another writer was faster; then everything must be read again.
    pub async fn commit(&self, store: &Store) -> Result<(), InventoryError> {
        let wanted = self.book.lock().await.edited;
        let _writing = self.writing.lock().await;
        let (mut snapshot, edited) = {
            let mut book = self.book.lock().await;
            if book.written >= wanted {
                return Ok(());
            }
            (book.open().clone(), book.edited)
        };
        let saved = store.save(&mut snapshot).await;
        // Trackers that were written before one failed are known to be.
        let mut book = self.book.lock().await;
        book.open_mut().stored(snapshot);
        saved?;
        book.written = edited;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use caravel_core::api::{ManagedResource, TrackerType};

    use super::*;
    use crate::key::ObjectKey;
    use crate::testing::{Hub, owner};

    fn entry(name: &str) -> ManagedResource {
        ManagedResource {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: name.to_owned(),
            namespace: Some("demo".to_owned()),
            ..ManagedResource::default()
        }
    }

    async fn intend(ledger: &Ledger, store: &Store, name: &str) {
        ledger
            .edit(|inventory| inventory.intend(TrackerType::Versioned, entry(name)))
            .await;
        ledger.commit(store).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_comes_while_a_write_is_under_way_shares_the_next() {
        let hub = Hub::open().await;
        let ledger = hub.ledger(&owner("app", 1)).await;
        let names: Vec<String> = (0..20).map(|index| format!("c{index}")).collect();
        let all = names.iter().map(|name| intend(&ledger, &hub.store, name));
        futures::future::join_all(all).await;
        let stored = hub.inventory(&owner("app", 1)).await;
        assert_eq!(stored.keys().len(), 20);
        let tracker = hub.cluster.get(&hub.store.target("app-v1-demo")).await;
        let generation = tracker.unwrap().unwrap()["metadata"]["generation"].clone();
        assert!(
            generation.as_i64().unwrap() <= 2,
            "{generation} writes of 20"
        );
    }

    #[tokio::test]
    async fn what_is_edited_while_a_write_is_under_way_is_written_with_the_next() {
        let hub = Hub::open().await;
        let ledger = hub.ledger(&owner("app", 1)).await;
        let key = ObjectKey::of_entry(&entry("a"));
        ledger
            .edit(|inventory| inventory.intend(TrackerType::Versioned, entry("a")))
            .await;
        let settle = async {
            // The write has taken its copy by now.
            ledger.edit(|inventory| inventory.settle(&key, "u1")).await;
        };
        let (written, ()) = tokio::join!(ledger.commit(&hub.store), settle);
        written.unwrap();
        ledger.commit(&hub.store).await.unwrap();
        let stored = hub.inventory(&owner("app", 1)).await;
        assert_eq!(stored.entry(&key).unwrap().uid.as_deref(), Some("u1"));
    }

    #[tokio::test]
    async fn another_writer_is_told_of_and_nothing_of_his_is_lost() {
        let hub = Hub::open().await;
        let (ours, theirs) = (
            hub.ledger(&owner("app", 1)).await,
            hub.ledger(&owner("app", 1)).await,
        );
        intend(&theirs, &hub.store, "theirs").await;
        ours.edit(|inventory| inventory.intend(TrackerType::Versioned, entry("ours")))
            .await;
        let error = ours.commit(&hub.store).await.unwrap_err();
        assert!(matches!(error, InventoryError::Conflict { .. }), "{error}");
        // It stays so until everything is read again.
        ours.commit(&hub.store).await.unwrap_err();
        let stored = hub.inventory(&owner("app", 1)).await;
        assert_eq!(stored.keys().len(), 1);
        assert!(
            stored
                .entry(&ObjectKey::of_entry(&entry("theirs")))
                .is_some()
        );
    }

    #[tokio::test]
    async fn what_is_packed_is_the_same_and_can_be_written() {
        let hub = Hub::open().await;
        let ledger = hub.ledger(&owner("app", 1)).await;
        let key = ObjectKey::of_entry(&entry("a"));
        let mut with_manifest = entry("a");
        with_manifest.raw = Some(serde_json::json!({"kind": "ConfigMap", "data": {"a": "b"}}));
        ledger
            .edit(|inventory| inventory.intend(TrackerType::Root, with_manifest))
            .await;
        ledger.pack().await;
        ledger.pack().await;
        let kept = |inventory: &Inventory| inventory.entry(&key).and_then(|one| one.raw.clone());
        assert_eq!(ledger.read(kept).await.unwrap()["data"]["a"], "b");
        // It was not written before it was packed, and is not forgotten.
        ledger.commit(&hub.store).await.unwrap();
        ledger.pack().await;
        ledger.edit(|inventory| inventory.settle(&key, "u1")).await;
        ledger.commit(&hub.store).await.unwrap();
        let stored = hub.inventory(&owner("app", 1)).await;
        assert_eq!(stored.entry(&key).unwrap().uid.as_deref(), Some("u1"));
        assert_eq!(kept(&stored).unwrap()["data"]["a"], "b");
    }
}
