//! Which names are valid.

use caravel_schema::field::Error;
use rand::Rng;

use super::strategy::NameStyle;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a name, in Kubernetes' words.
pub(super) fn check(style: NameStyle, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let limit = match style {
        NameStyle::Subdomain => Some(253),
        NameStyle::Label | NameStyle::Label1035 => Some(63),
        NameStyle::Path => None,
    };
    if let Some(limit) = limit.filter(|limit| name.len() > *limit) {
        wrong.push(format!("must be no more than {limit} bytes"));
    }
    match style {
        NameStyle::Subdomain if !name.split('.').all(is_label) => wrong.push(SUBDOMAIN.to_owned()),
        NameStyle::Label if !is_label(name) => wrong.push(LABEL.to_owned()),
        NameStyle::Label1035
            if !is_label(name) || name.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            wrong.push(LABEL_1035.to_owned());
        }
        NameStyle::Path => {
            if name == "." || name == ".." {
                wrong.push(format!("may not be '{name}'"));
            }
            wrong.extend(
                ["/", "%"]
                    .iter()
                    .filter(|bad| name.contains(**bad))
                    .map(|bad| format!("may not contain '{bad}'")),
            );
        }
        _ => {}
    }
    wrong
}

/// A label of lower-case letters, digits and inner dashes.
fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

/// A name from `metadata.generateName`.
pub(super) fn generate(base: &str) -> String {
    const SUFFIX: usize = 5;
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let room = 63 - SUFFIX;
    let cut = base
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= room)
        .last()
        .unwrap_or(0);
    let mut name = base[..cut].to_owned();
    let mut random = rand::rng();
    name.extend((0..SUFFIX).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])));
    name
}

/// The errors of a name as errors of `metadata.name`.
pub(super) fn errors(style: NameStyle, name: &str) -> Vec<Error> {
    check(style, name)
        .into_iter()
        .map(|detail| Error::invalid("metadata.name", name, detail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_style() {
        for (style, name, good) in [
            (NameStyle::Subdomain, "a.b-c.d1", true),
            (NameStyle::Subdomain, "Bad_Name", false),
            (NameStyle::Subdomain, "a..b", false),
            (NameStyle::Subdomain, "", false),
            (NameStyle::Label, "a.b", false),
            (NameStyle::Label, "1a", true),
            (NameStyle::Label1035, "1a", false),
            (NameStyle::Path, "system:node:x", true),
            (NameStyle::Path, "a/b", false),
            (NameStyle::Path, "..", false),
        ] {
            assert_eq!(check(style, name).is_empty(), good, "{style:?} {name}");
        }
        assert_eq!(
            check(NameStyle::Label, &"a".repeat(64)),
            ["must be no more than 63 bytes"]
        );
    }

    #[test]
    fn generated_names_fit_and_differ() {
        let long = "é".repeat(60);
        assert!(generate(&long).len() <= 63);
        let (one, two) = (generate("web-"), generate("web-"));
        assert!(one.starts_with("web-") && one.len() == 9);
        assert_ne!(one, two);
    }
}
