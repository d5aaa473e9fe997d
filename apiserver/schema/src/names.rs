//! Checks of names, labels and annotations. Each gives the reasons why a text is wrong; none means that it is right.

/// A DNS-1123 subdomain of at most 253 characters: most object names.
pub fn subdomain(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, 253);
    if text.is_empty() || !text.split('.').all(is_label_1123) {
        reasons.push(SUBDOMAIN.to_owned());
    }
    reasons
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// A DNS-1123 label of at most 63 characters: namespaces, containers, volumes.
pub fn label(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, 63);
    if !is_label_1123(text) {
        let whole = text.split('.').all(is_label_1123);
        reasons.push(if whole {
            NO_DOTS.to_owned()
        } else {
            LABEL.to_owned()
        });
    }
    reasons
}

const NO_DOTS: &str = "must not contain dots";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// A DNS-1035 label of at most 63 characters, which starts with a letter: services, names in CRDs.
pub fn label_1035(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, 63);
    if !is_label_1123(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        reasons.push("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')".into());
    }
    reasons
}

/// A name that may stand in a URL path: roles and their bindings.
pub fn path_segment(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|c| text.contains(**c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// `prefix/name` or `name`: keys of labels and annotations, finalizers.
pub fn qualified(text: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                reasons.push("prefix part must be non-empty".to_owned());
            } else {
                reasons.extend(
                    subdomain(prefix)
                        .into_iter()
                        .map(|r| format!("prefix part {r}")),
                );
            }
            *name
        }
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        reasons.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        reasons.push("name part must be no more than 63 bytes".into());
    }
    if !is_qualified_part(name) {
        reasons.push(format!("name part {QUALIFIED}"));
    }
    reasons
}

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// The value of a label: empty, or like the name part of a key.
pub fn label_value(text: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if text.len() > 63 {
        reasons.push("must be no more than 63 bytes".to_owned());
    }
    if !text.is_empty() && !is_qualified_part(text) {
        reasons.push("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".into());
    }
    reasons
}

/// A key of a ConfigMap or Secret.
pub fn config_key(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, 253);
    let well_formed = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !well_formed {
        reasons.push("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".into());
    }
    if text == "." {
        reasons.push("must not be '.'".into());
    } else if text == ".." {
        reasons.push("must not be '..'".into());
    } else if text.starts_with("..") {
        reasons.push("must not start with '..'".into());
    }
    reasons
}

/// The name of an environment variable.
pub fn env_var(text: &str) -> Vec<String> {
    let well_formed =
        !text.is_empty() && text.chars().all(|c| (' '..='~').contains(&c) && c != '=');
    if well_formed {
        Vec::new()
    } else {
        vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".into()]
    }
}

/// The name of a port: an IANA service name.
pub fn port_name(text: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if text.len() > 15 {
        reasons.push("must be no more than 15 characters".to_owned());
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        reasons
            .push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.chars().any(|c| c.is_ascii_lowercase()) {
        reasons.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        reasons.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        reasons.push("must not begin or end with a hyphen".into());
    }
    reasons
}

fn too_long(text: &str, max: usize) -> Vec<String> {
    if text.len() > max {
        vec![format!("must be no more than {max} bytes")]
    } else {
        Vec::new()
    }
}

fn is_label_1123(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

fn is_qualified_part(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        assert!(subdomain("a.b-c.d1").is_empty());
        assert!(label("kube-system").is_empty());
        assert!(label_1035("web").is_empty());
        assert!(qualified("app.kubernetes.io/name").is_empty());
        assert!(label_value("").is_empty() && label_value("My_Value.1").is_empty());
        assert!(config_key("a.b_c-D").is_empty());
        assert!(port_name("http-80").is_empty());
        assert!(path_segment("system:node").is_empty());
    }

    #[test]
    fn bad_names_say_why() {
        assert_eq!(subdomain("Bad_Name"), [SUBDOMAIN]);
        assert_eq!(label("a.b"), [NO_DOTS]);
        assert!(!label_1035("1a").is_empty());
        assert_eq!(qualified("/x"), ["prefix part must be non-empty"]);
        assert_eq!(qualified("").len(), 2);
        assert_eq!(path_segment("a/b"), ["may not contain '/'"]);
        assert_eq!(config_key(".."), ["must not be '..'"]);
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(
            label_value(&"x".repeat(64)),
            ["must be no more than 63 bytes"]
        );
    }
}
