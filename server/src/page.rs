//! Lists come in pages.

use kube::api::{ListParams, ObjectList};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Entries of a page where the caller does not say.
const USUAL: u32 = 100;
/// The most entries that a page has.
const MOST: u32 = 500;

/// Which page is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The most entries to return: 100 unless said otherwise, 500 at most.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `continue` of the page before.
    #[serde(rename = "continue")]
    continue_: Option<String>,
    /// Label selector, as `kubectl -l` takes it.
    label_selector: Option<String>,
}

impl PageQuery {
    /// From its parts.
    pub(crate) fn new(
        limit: Option<u32>,
        continue_: Option<String>,
        label_selector: Option<String>,
    ) -> Self {
        Self {
            limit,
            continue_,
            label_selector,
        }
    }

    /// As the hub's own paging.
    pub(crate) fn list_params(&self) -> ListParams {
        let mut parameters =
            ListParams::default().limit(self.limit.unwrap_or(USUAL).clamp(1, MOST));
        parameters.continue_token.clone_from(&self.continue_);
        parameters.label_selector.clone_from(&self.label_selector);
        parameters
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    /// The entries.
    pub(crate) items: Vec<T>,
    /// Pass it as `continue` to get the next page; absent on the last one.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    pub(crate) continue_: Option<String>,
    /// How many entries follow, where the hub knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remaining: Option<i64>,
    /// Version of the list; a stream resumes from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource_version: Option<String>,
}

impl<T> Page<T> {
    /// A page of the hub, each entry as a view of it.
    pub(crate) fn of<K: Clone>(list: ObjectList<K>, view: impl Fn(K) -> T) -> Self {
        Self {
            continue_: list.metadata.continue_.filter(|token| !token.is_empty()),
            remaining: list.metadata.remaining_item_count,
            resource_version: list.metadata.resource_version,
            items: list.items.into_iter().map(view).collect(),
        }
    }
}
