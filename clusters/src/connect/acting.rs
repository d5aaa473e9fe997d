//! Speaking with clusters in somebody's name (`Impersonate-*` headers).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use caravel_core::api::LOCAL_CLUSTER;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use kube::client::Body;

use super::Cluster;

/// Somebody in whose name clusters are asked. They decide what he may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActingAs {
    /// The user.
    pub user: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Only the hub knows the user; others are asked in the daemon's own name.
    pub on_hub_only: bool,
}

/// Clusters with clients that act as somebody.
#[derive(Debug)]
pub(super) struct Acting {
    who: ActingAs,
    /// Those that were asked for.
    made: Mutex<BTreeMap<String, Made>>,
}

/// A cluster with a client that acts as somebody.
#[derive(Debug)]
struct Made {
    /// What it was made of: a cluster may be replaced.
    of: Arc<Cluster>,
    acting: Arc<Cluster>,
}

impl Acting {
    pub(super) fn new(who: ActingAs) -> Self {
        Self {
            who,
            made: Mutex::default(),
        }
    }

    /// The same cluster, with a client that acts as somebody.
    pub(super) fn cluster(&self, own: Arc<Cluster>) -> Arc<Cluster> {
        if self.who.on_hub_only && own.name != LOCAL_CLUSTER {
            return own;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&own.name)
            && Arc::ptr_eq(&known.of, &own)
        {
            return Arc::clone(&known.acting);
        }
        let acting = Arc::new(Cluster {
            name: own.name.clone(),
            client: super::ClientDebug(client(own.client().clone(), self.who.clone())),
            discovery: Arc::clone(&own.discovery),
            timeout: own.timeout,
        });
        let entry = Made {
            of: Arc::clone(&own),
            acting: Arc::clone(&acting),
        };
        made.insert(own.name.clone(), entry);
        acting
    }
}

fn client(own: kube::Client, who: ActingAs) -> kube::Client {
    let namespace = own.default_namespace().to_owned();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let own = own.clone();
        let marked = mark(request.headers_mut(), &who);
        async move {
            marked.map_err(|error| kube::Error::Service(error.into()))?;
            own.send(request).await
        }
    });
    kube::Client::new(service, namespace)
}

/// Writes the headers; a name that cannot stand in one is an error, never left out.
fn mark(headers: &mut HeaderMap, who: &ActingAs) -> Result<(), http::header::InvalidHeaderValue> {
    const USER: HeaderName = HeaderName::from_static("impersonate-user");
    const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
    headers.insert(USER, HeaderValue::from_str(&who.user)?);
    headers.remove(GROUP);
    for group in &who.groups {
        headers.append(GROUP, HeaderValue::from_str(group)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_the_user_and_each_group() {
        let mut headers = HeaderMap::new();
        let who = ActingAs {
            user: "ann".to_owned(),
            groups: vec!["dev".to_owned(), "ops".to_owned()],
            on_hub_only: false,
        };
        assert!(mark(&mut headers, &who).is_ok());
        assert_eq!(headers["impersonate-user"], "ann");
        let groups: Vec<_> = headers.get_all("impersonate-group").iter().collect();
        assert_eq!(groups, ["dev", "ops"]);
        let wrong = ActingAs {
            user: "a\nb".to_owned(),
            ..ActingAs::default()
        };
        assert!(mark(&mut headers, &wrong).is_err());
    }
}
