//! Lists: selectors, pages, and which version they show.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caravel_schema::field::Error;
use serde::{Deserialize, Serialize};

use crate::catalog::Kind;
use crate::core::Core;
use crate::request::Query;
use crate::selector::Selectors;
use crate::status::{Result, Status};
use crate::store::{Compacted, Object, Range};

/// Which version a list or watch may show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// Not said.
    #[default]
    Unset,
    /// This one or a newer one.
    NotOlderThan,
    /// Exactly this one.
    Exact,
}

/// What a list or watch asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub(crate) selectors: Selectors,
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
    pub(crate) version: Option<u64>,
    pub(crate) version_match: VersionMatch,
}

impl ListOptions {
    /// Reads the options of a query for a kind. `name` restricts to one object, as a watch of one object does.
    pub(crate) fn parse(query: &Query, kind: &Kind, name: &str) -> Result<Self> {
        let version = match query.text("resourceVersion") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                let quoted = caravel_schema::field::quote(text);
                Status::bad_request(format!(
                    "resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: invalid syntax"
                ))
            })?),
        };
        let version_match = match query.text("resourceVersionMatch") {
            None => VersionMatch::Unset,
            Some("NotOlderThan") => VersionMatch::NotOlderThan,
            Some("Exact") => VersionMatch::Exact,
            Some(other) => {
                let error = Error::not_supported(
                    "resourceVersionMatch",
                    other,
                    &["", "Exact", "NotOlderThan"],
                );
                return Err(invalid(error));
            }
        };
        let limit = match query.text("limit") {
            None => 0,
            Some(text) => text
                .parse::<i64>()
                .ok()
                .and_then(|limit| usize::try_from(limit).ok())
                .ok_or_else(|| {
                    Status::bad_request(format!(
                        "limit must be a number that is not negative, found {text:?}"
                    ))
                })?,
        };
        Ok(Self {
            selectors: Selectors::parse(query, kind, name)?,
            limit,
            after: query.text("continue").map(str::to_owned),
            version,
            version_match,
        })
    }

    fn validate(&self) -> Result<()> {
        let forbidden =
            |detail: &str| Err(invalid(Error::forbidden("resourceVersionMatch", detail)));
        if self.version_match == VersionMatch::Unset {
            return Ok(());
        }
        if self.after.is_some() {
            return forbidden("resourceVersionMatch is forbidden when continue is provided");
        }
        if self.version.is_none() {
            return forbidden(
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        if self.version_match == VersionMatch::Exact && self.version == Some(0) {
            return forbidden(
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            );
        }
        Ok(())
    }
}

pub(crate) fn invalid(error: Error) -> Status {
    Status::invalid("meta.k8s.io", "ListOptions", "", &[error])
}

/// Where a list goes on. The form is the one of Kubernetes, so that what decodes it can read ours.
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) version: u64,
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// Lists a kind in a namespace, or everywhere if it is empty.
pub(crate) fn list(
    core: &Core,
    kind: &Kind,
    namespace: &str,
    options: &ListOptions,
) -> Result<Page> {
    options.validate()?;
    let current = core.store.version();
    if let Some(wanted) = options.version.filter(|wanted| *wanted > current) {
        return Err(Status::version_too_large(wanted, current));
    }
    let namespace =
        (!namespace.is_empty() && kind.resource.namespaced).then(|| namespace.to_owned());
    let mut range = Range {
        namespace,
        limit: options.limit,
        ..Range::default()
    };
    if let Some(token) = &options.after {
        let (version, start) = read_token(token)?;
        range.at = version;
        range.after = Some((start.0.into(), start.1.into()));
    } else if options.version_match == VersionMatch::Exact
        || (options.limit > 0
            && options.version_match == VersionMatch::Unset
            && options.version.is_some_and(|v| v > 0))
    {
        range.at = options.version;
    }
    let listed = core
        .store
        .list(&kind.stored_as, &range, |object| {
            options.selectors.select(object)
        })
        .map_err(|compacted| too_old(compacted, options))?;
    let more = range.limit > 0 && listed.rest > 0;
    let last = listed.objects.last().filter(|_| more);
    Ok(Page {
        version: listed.version,
        next: last.map(|object| write_token(listed.version, object)),
        remaining: (more && options.selectors.is_empty()).then_some(listed.rest),
        objects: listed.objects,
    })
}

fn too_old(compacted: Compacted, options: &ListOptions) -> Status {
    if options.after.is_some() {
        return Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter.",
        );
    }
    Status::expired(format!(
        "The resourceVersion for the provided list is too old: {}",
        compacted.wanted
    ))
}

fn write_token(version: u64, last: &Object) -> String {
    let start = format!("{}/{}\u{0}", last.key.namespace, last.key.name);
    let token = Token {
        v: "meta.k8s.io/v1".to_owned(),
        rv: version.cast_signed(),
        start,
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// The version and the place of a token; a negative version stands for "now".
fn read_token(token: &str) -> Result<(Option<u64>, (String, String))> {
    let invalid = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD
        .decode(token.trim_end_matches('='))
        .map_err(|error| invalid(&error.to_string()))?;
    let token: Token =
        serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
    if token.v != "meta.k8s.io/v1" {
        return Err(invalid(&format!(
            "server does not recognize this encoded version {:?}",
            token.v
        )));
    }
    let start = token.start.trim_end_matches('\u{0}');
    let (namespace, name) = start
        .split_once('/')
        .ok_or_else(|| invalid("it names no place"))?;
    Ok((
        u64::try_from(token.rv).ok(),
        (namespace.to_owned(), name.to_owned()),
    ))
}
