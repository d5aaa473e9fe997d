//! The OpenAPI documents that are served, with their hashes.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use caravel_schema::openapi::{
    CustomKind, builtin_document, custom_document, encode_v2, index_entry, swagger,
};
use caravel_schema::resources::builtins;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Kind};

/// One document, encoded.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its JSON.
    pub(crate) body: Bytes,
    /// The hash under which clients may keep it for ever.
    pub(crate) hash: String,
    entry: Value,
}

impl Document {
    fn new(group: &str, version: &str, document: &Value) -> (String, Arc<Self>) {
        let (path, entry) = index_entry(group, version, document);
        let url = entry["serverRelativeURL"].as_str().unwrap_or_default();
        let hash = url.rsplit("hash=").next().unwrap_or_default().to_owned();
        let body = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
        (path, Arc::new(Self { body, hash, entry }))
    }
}

/// Documents of built-in group versions: the same for the life of the process.
static BUILTIN: LazyLock<BTreeMap<String, Arc<Document>>> = LazyLock::new(|| {
    let mut versions: Vec<(&str, &str)> = builtins()
        .iter()
        .map(|resource| (resource.group.as_ref(), resource.version.as_ref()))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
        .into_iter()
        .filter_map(|(group, version)| {
            let document = builtin_document(group, version)?;
            Some(Document::new(group, version, &document))
        })
        .collect()
});

/// The document of v2, made when it is first asked for: few clients are so old.
#[derive(Debug)]
pub(crate) struct Second {
    /// As JSON.
    pub(crate) json: Bytes,
    /// As protocol buffers.
    pub(crate) protobuf: Bytes,
    /// What both are known by.
    pub(crate) hash: String,
}

impl Second {
    fn make(catalog: &Catalog) -> Self {
        let kinds: Vec<CustomKind<'_>> =
            catalog.kinds().filter_map(|kind| described(kind)).collect();
        let document = swagger(&kinds);
        let json = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
        Self {
            hash: hex::encode_upper(Sha256::digest(&json)),
            protobuf: encode_v2(&document).into(),
            json,
        }
    }
}

/// What a custom kind says of itself.
fn described(kind: &Kind) -> Option<CustomKind<'_>> {
    let custom = kind.custom.as_ref()?;
    Some(CustomKind {
        resource: &kind.resource,
        schema: Some(&custom.version.open_api).filter(|schema| schema.is_object()),
    })
}

/// All documents of one catalog, by their path below `/openapi/v3/`.
#[derive(Debug)]
pub(crate) struct Documents {
    by_path: BTreeMap<String, Arc<Document>>,
    /// The answer to `GET /openapi/v3`.
    pub(crate) index: Bytes,
    second: OnceLock<Second>,
}

impl Documents {
    pub(crate) fn make(catalog: &Catalog) -> Self {
        let mut by_path = BUILTIN.clone();
        let mut custom: BTreeMap<(&str, &str), Vec<&Kind>> = BTreeMap::new();
        for kind in catalog.kinds().filter(|kind| kind.custom.is_some()) {
            custom
                .entry((kind.group(), &kind.resource.version))
                .or_default()
                .push(kind);
        }
        for ((group, version), kinds) in custom {
            let kinds: Vec<CustomKind<'_>> = kinds.into_iter().filter_map(described).collect();
            let (path, document) =
                Document::new(group, version, &custom_document(group, version, &kinds));
            // A definition that adds to a built-in group version must not hide it.
            by_path.entry(path).or_insert(document);
        }
        let paths: Map<String, Value> = by_path
            .iter()
            .map(|(path, document)| (path.clone(), document.entry.clone()))
            .collect();
        let index = Bytes::from(serde_json::to_vec(&json!({"paths": paths})).unwrap_or_default());
        Self {
            by_path,
            index,
            second: OnceLock::new(),
        }
    }

    /// The document of v2. `catalog` is the one that these documents are of.
    pub(crate) fn second(&self, catalog: &Catalog) -> &Second {
        self.second.get_or_init(|| Second::make(catalog))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Document>> {
        self.by_path.get(path)
    }
}
