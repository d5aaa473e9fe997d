//! Where components go: topologies over the clusters that are known (POL-007, WF-031).

use std::collections::BTreeMap;
use std::fmt;

use crate::api::{ApplicationComponent, LOCAL_CLUSTER};
use crate::appfile::{Finding, FindingKind, Replication, Topology, did_you_mean};

/// A cluster that the hub knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownCluster {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// One place where components are delivered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The cluster.
    pub cluster: String,
    /// The namespace there; empty means the Application's own.
    pub namespace: String,
    /// Why it was chosen.
    pub reason: PlacementReason,
}

/// Why a place was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementReason {
    /// No topology applies.
    NoTopology,
    /// The topology names neither clusters nor labels.
    LocalByDefault {
        /// Name of the policy.
        policy: String,
    },
    /// The topology names the cluster.
    Named {
        /// Name of the policy.
        policy: String,
    },
    /// The cluster has the labels that the topology asks for.
    Labels {
        /// Name of the policy.
        policy: String,
        /// The labels.
        labels: BTreeMap<String, String>,
    },
}

impl fmt::Display for PlacementReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTopology => f.write_str("no topology policy applies: the hub's own cluster"),
            Self::LocalByDefault { policy } => write!(
                f,
                "topology `{policy}` names neither clusters nor labels: the hub's own cluster"
            ),
            Self::Named { policy } => write!(f, "topology `{policy}` names the cluster"),
            Self::Labels { policy, labels } => {
                let labels: Vec<_> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                write!(f, "topology `{policy}` asks for {}", labels.join(","))
            }
        }
    }
}

/// What limits placements.
#[derive(Clone, Copy, Debug)]
pub struct PlacementRules<'a> {
    /// The clusters that are known.
    pub clusters: &'a [KnownCluster],
    /// Namespace of the Application.
    pub app_namespace: &'a str,
    /// Whether an Application may deliver to other namespaces than its own.
    pub cross_namespace: bool,
}

/// The places of some topologies (by policy name), in their order; a place that two of them name comes
/// once. Without a topology it is the hub's own cluster.
///
/// # Errors
/// If a cluster is not known, labels match none, or a namespace is not allowed. The words are also
/// KubeVela's (TRAP-008).
pub fn place(
    topologies: &[(&str, &Topology)],
    rules: PlacementRules<'_>,
) -> Result<Vec<Placement>, Box<Finding>> {
    if topologies.is_empty() {
        return Ok(vec![Placement {
            cluster: LOCAL_CLUSTER.to_owned(),
            namespace: String::new(),
            reason: PlacementReason::NoTopology,
        }]);
    }
    let mut placements: Vec<Placement> = Vec::new();
    for (policy, topology) in topologies {
        for (cluster, reason) in clusters_of(policy, topology, rules)? {
            let namespace = &topology.namespace;
            if !rules.cross_namespace && !namespace.is_empty() && namespace != rules.app_namespace {
                return Err(crosses_namespace(policy, namespace, rules.app_namespace));
            }
            let known = placements
                .iter()
                .any(|at| at.cluster == cluster && at.namespace == *namespace);
            if !known {
                placements.push(Placement {
                    cluster,
                    namespace: namespace.clone(),
                    reason,
                });
            }
        }
    }
    Ok(placements)
}

type Chosen = Vec<(String, PlacementReason)>;

fn clusters_of(
    policy: &str,
    topology: &Topology,
    rules: PlacementRules<'_>,
) -> Result<Chosen, Box<Finding>> {
    let policy = policy.to_owned();
    if let Some(names) = &topology.clusters {
        let known = |name: &String| {
            name == LOCAL_CLUSTER || rules.clusters.iter().any(|cluster| cluster.name == *name)
        };
        if let Some(missing) = names.iter().find(|name| !known(name)) {
            return Err(unknown_cluster(&policy, missing, rules.clusters));
        }
        let named = |name: &String| {
            (
                name.clone(),
                PlacementReason::Named {
                    policy: policy.clone(),
                },
            )
        };
        return Ok(names.iter().map(named).collect());
    }
    let selector = topology
        .cluster_label_selector
        .as_ref()
        .or(topology.cluster_selector.as_ref());
    let Some(labels) = selector else {
        return Ok(vec![(
            LOCAL_CLUSTER.to_owned(),
            PlacementReason::LocalByDefault { policy },
        )]);
    };
    let matches = |cluster: &&KnownCluster| {
        labels
            .iter()
            .all(|(key, value)| cluster.labels.get(key) == Some(value))
    };
    let chosen: Chosen = rules
        .clusters
        .iter()
        .filter(matches)
        .map(|cluster| {
            let reason = PlacementReason::Labels {
                policy: policy.clone(),
                labels: labels.clone(),
            };
            (cluster.name.clone(), reason)
        })
        .collect();
    if chosen.is_empty() && !topology.allow_empty {
        return Err(no_match(&policy, labels));
    }
    Ok(chosen)
}

fn place_of(policy: &str, field: &str) -> String {
    format!("spec.policies[{policy}].properties.{field}")
}

fn unknown_cluster(policy: &str, missing: &str, clusters: &[KnownCluster]) -> Box<Finding> {
    let names: Vec<&str> = clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .filter(|name| *name != LOCAL_CLUSTER)
        .collect();
    let hint = did_you_mean(missing, names.iter().copied()).unwrap_or_else(|| match names[..] {
        [] => "join the cluster first; only `local` is known".to_owned(),
        _ => format!(
            "join the cluster first; known are local, {}",
            names.join(", ")
        ),
    });
    Finding::new(
        FindingKind::UnknownObject,
        place_of(policy, "clusters"),
        format!("there is no cluster `{missing}`"),
    )
    .expected("the name of a cluster", missing)
    .hint(hint)
    .kubevela(format!(
        "failed to get cluster {missing}: virtualclusters.cluster.core.oam.dev \"{missing}\" not found"
    ))
    .into()
}

fn no_match(policy: &str, labels: &BTreeMap<String, String>) -> Box<Finding> {
    let wanted: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Finding::new(
        FindingKind::UnknownObject,
        place_of(policy, "clusterLabelSelector"),
        format!("no cluster has the labels {}", wanted.join(",")),
    )
    .hint("label a cluster, or set `allowEmpty: true` if none is fine")
    .kubevela("failed to find any cluster matches given labels")
    .into()
}

fn crosses_namespace(policy: &str, namespace: &str, own: &str) -> Box<Finding> {
    Finding::new(
        FindingKind::Invalid,
        place_of(policy, "namespace"),
        "an Application may deliver only to its own namespace here",
    )
    .expected(own, namespace)
    .hint("remove the namespace, or let the hub allow other namespaces")
    .kubevela("cannot cross namespace")
    .into()
}

/// A component, perhaps one copy of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentCopy {
    /// The component.
    pub component: ApplicationComponent,
    /// Key of the copy; empty where the component is not replicated.
    pub replica_key: String,
}

/// Copies components for the keys of `replication` policies (POL-009): the originals of those that are
/// copied are gone, the copies come at the end. A selector that is not given selects all.
pub fn replicate(
    components: &[ApplicationComponent],
    policies: &[&Replication],
) -> Vec<ComponentCopy> {
    let single = |component: &ApplicationComponent| ComponentCopy {
        component: component.clone(),
        replica_key: String::new(),
    };
    let mut result: Vec<ComponentCopy> = components.iter().map(single).collect();
    for policy in policies {
        let selected = |copy: &ComponentCopy| {
            let selector = policy.selector.as_ref();
            copy.replica_key.is_empty()
                && selector.is_none_or(|names| names.contains(&copy.component.name))
        };
        let (originals, mut kept): (Vec<ComponentCopy>, Vec<ComponentCopy>) =
            result.into_iter().partition(selected);
        for original in originals {
            kept.extend(policy.keys.iter().map(|key| ComponentCopy {
                component: original.component.clone(),
                replica_key: key.clone(),
            }));
        }
        result = kept;
    }
    result
}

/// One delivery of a `deploy` step: a component at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// What.
    pub copy: ComponentCopy,
    /// Where, and why there.
    pub placement: Placement,
}

/// Every component at every place (WF-031).
pub fn deliveries(copies: &[ComponentCopy], placements: &[Placement]) -> Vec<Delivery> {
    let at = |copy: &ComponentCopy| {
        let copy = copy.clone();
        placements.iter().map(move |placement| Delivery {
            copy: copy.clone(),
            placement: placement.clone(),
        })
    };
    copies.iter().flat_map(at).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn topology(value: Value) -> Topology {
        serde_json::from_value(value).unwrap()
    }

    fn clusters() -> Vec<KnownCluster> {
        [("berlin", "eu"), ("paris", "eu"), ("tokyo", "asia")]
            .map(|(name, region)| KnownCluster {
                name: name.to_owned(),
                labels: [("region".to_owned(), region.to_owned())].into(),
            })
            .into()
    }

    fn placed(topologies: &[Value]) -> Result<Vec<(String, String)>, String> {
        let clusters = clusters();
        let rules = PlacementRules {
            clusters: &clusters,
            app_namespace: "prod",
            cross_namespace: false,
        };
        let parsed: Vec<Topology> = topologies.iter().cloned().map(topology).collect();
        let named: Vec<(&str, &Topology)> = parsed.iter().map(|one| ("t", one)).collect();
        place(&named, rules)
            .map(|all| {
                all.into_iter()
                    .map(|at| (at.cluster, at.namespace))
                    .collect()
            })
            .map_err(|finding| finding.kubevela_text)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn names_go_before_labels_and_a_place_comes_once() {
        assert_eq!(placed(&[]), Ok(pairs(&[("local", "")])));
        assert_eq!(placed(&[json!({})]), Ok(pairs(&[("local", "")])));
        assert_eq!(
            placed(&[
                json!({"clusters": ["tokyo"], "clusterLabelSelector": {"region": "eu"}}),
                json!({"clusterLabelSelector": {"region": "eu"}}),
                json!({"clusters": ["berlin", "local"], "namespace": "prod"}),
                json!({"clusters": ["paris"]}),
            ]),
            Ok(pairs(&[
                ("tokyo", ""),
                ("berlin", ""),
                ("paris", ""),
                ("berlin", "prod"),
                ("local", "prod"),
            ]))
        );
    }

    #[test]
    fn what_cannot_be_placed_says_so_in_kubevelas_words() {
        assert_eq!(
            placed(&[json!({"clusters": ["berlim"]})]).unwrap_err(),
            "failed to get cluster berlim: virtualclusters.cluster.core.oam.dev \"berlim\" not found"
        );
        assert_eq!(
            placed(&[json!({"clusterLabelSelector": {"region": "mars"}})]).unwrap_err(),
            "failed to find any cluster matches given labels"
        );
        let empty = json!({"clusterLabelSelector": {"region": "mars"}, "allowEmpty": true});
        assert_eq!(placed(&[empty]), Ok(Vec::new()));
        assert_eq!(
            placed(&[json!({"namespace": "other"})]).unwrap_err(),
            "cannot cross namespace"
        );
    }

    #[test]
    fn a_misspelt_cluster_gets_a_hint() {
        let clusters = clusters();
        let rules = PlacementRules {
            clusters: &clusters,
            app_namespace: "",
            cross_namespace: true,
        };
        let wrong = topology(json!({"clusters": ["berlim"]}));
        let finding = place(&[("eu", &wrong)], rules).unwrap_err();
        assert_eq!(finding.hint, "did you mean `berlin`?");
        assert_eq!(finding.path, "spec.policies[eu].properties.clusters");
    }

    #[test]
    fn selected_components_are_copied_for_each_key() {
        let components = ["a", "b"].map(|name| ApplicationComponent {
            name: name.to_owned(),
            ..ApplicationComponent::default()
        });
        let policy: Replication =
            serde_json::from_value(json!({"keys": ["x", "y"], "selector": ["a"]})).unwrap();
        let copies = replicate(&components, &[&policy]);
        let shown: Vec<_> = copies
            .iter()
            .map(|copy| (copy.component.name.as_str(), copy.replica_key.as_str()))
            .collect();
        assert_eq!(shown, [("b", ""), ("a", "x"), ("a", "y")]);
    }
}
