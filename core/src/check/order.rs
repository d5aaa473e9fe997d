//! The order in which people read an Application.

use crate::appfile::Finding;
use crate::path::{Part, parts};

/// What people write first, wherever it stands.
const FIRST: [&str; 3] = ["name", "type", "properties"];

/// Sorts findings by their place; those of one place keep their order.
pub(super) fn sort(findings: &mut [Finding]) {
    findings.sort_by_cached_key(|finding| key(&finding.path));
}

/// Section, then its parts: fields by their names, as API servers have them, elements of lists by their numbers.
fn key(path: &str) -> (usize, Vec<(usize, Part)>) {
    let section = match path {
        path if path.starts_with("metadata") => 0,
        path if path.starts_with("spec.components") => 1,
        path if path.starts_with("spec.policies") => 2,
        path if path.starts_with("spec.workflow") => 3,
        _ => 4,
    };
    let ranked = |part: Part| (rank(&part), part);
    (section, parts(path).into_iter().map(ranked).collect())
}

fn rank(part: &Part) -> usize {
    let is_it = |first: &&str| matches!(part, Part::Name(name) if name == first);
    FIRST.iter().position(is_it).unwrap_or(FIRST.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_go_before_traits_policies_and_steps() {
        let expected = [
            "metadata.annotations[x]",
            "spec.components[2].name",
            "spec.components[2].properties.env[0].name",
            "spec.components[2].properties.ports[1].port",
            "spec.components[2].properties.ports[10].port",
            "spec.components[2].traits[0].type",
            "spec.components[2].traits[1].properties.x",
            "spec.components[10].type",
            "spec.policies[0].properties",
            "spec.workflow.steps[0].type",
        ];
        let mut paths = expected;
        paths.reverse();
        paths.sort_by_key(|path| key(path));
        assert_eq!(paths, expected);
    }
}
