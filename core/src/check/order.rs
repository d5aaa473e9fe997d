//! The order in which people read an Application.

use crate::appfile::Finding;

/// Sorts findings by their place; those of one place keep their order.
pub(super) fn sort(findings: &mut [Finding]) {
    findings.sort_by_cached_key(|finding| key(&finding.path));
}

/// Section, then component, trait or step. What is inside of properties is not sorted: engines report it in a
/// useful order.
fn key(path: &str) -> Vec<usize> {
    let section = match path {
        path if path.starts_with("metadata") => 0,
        path if path.starts_with("spec.components") => 1,
        path if path.starts_with("spec.policies") => 2,
        path if path.starts_with("spec.workflow") => 3,
        _ => 4,
    };
    let mut key = vec![section];
    for part in path.split('.').skip(1) {
        if part == "properties" {
            // After the component's own properties come its traits.
            key.push(0);
            break;
        }
        let Some((name, index)) = part.split_once('[') else {
            key.push(0);
            continue;
        };
        if name == "traits" || name == "subSteps" {
            key.push(1);
        }
        key.push(index.trim_end_matches(']').parse().unwrap_or_default());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_go_before_traits_policies_and_steps() {
        let mut paths = [
            "spec.workflow.steps[0].type",
            "spec.components[10].type",
            "spec.components[2].traits[1].properties.x",
            "spec.components[2].traits[0].type",
            "spec.policies[0].properties",
            "spec.components[2].properties.image",
            "metadata.annotations[x]",
            "spec.components[2].name",
        ];
        paths.sort_by_key(|path| key(path));
        assert_eq!(
            paths,
            [
                "metadata.annotations[x]",
                "spec.components[2].properties.image",
                "spec.components[2].name",
                "spec.components[2].traits[0].type",
                "spec.components[2].traits[1].properties.x",
                "spec.components[10].type",
                "spec.policies[0].properties",
                "spec.workflow.steps[0].type",
            ]
        );
    }
}
