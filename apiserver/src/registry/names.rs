//! Which names are valid.

use caravel_schema::field::Error;
use caravel_schema::names;
use rand::Rng;

use super::strategy::NameStyle;

/// What is wrong with a name, in Kubernetes' words.
pub(super) fn check(style: NameStyle, name: &str) -> Vec<String> {
    match style {
        NameStyle::Subdomain => names::subdomain(name),
        NameStyle::Label => names::label(name),
        NameStyle::Label1035 => names::label_1035(name),
        NameStyle::Path => names::path_segment(name),
    }
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
    fn generated_names_fit_and_differ() {
        let long = "é".repeat(60);
        assert!(generate(&long).len() <= 63);
        let (one, two) = (generate("web-"), generate("web-"));
        assert!(one.starts_with("web-") && one.len() == 9);
        assert_ne!(one, two);
    }
}
