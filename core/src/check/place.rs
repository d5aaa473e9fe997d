//! The place of a field in a template, as far as its text tells.

/// Line and column, from 1, of the first place where a field of that name is given a value.
pub fn place_of_field(template: &str, field: &str) -> Option<(u32, u32)> {
    if field.is_empty() {
        return None;
    }
    let lines = template.lines().enumerate();
    let found = lines.filter_map(|(index, line)| Some((index + 1, column(line, field)? + 1)));
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let (line, column) = found.into_iter().next()?;
    Some((number(line), number(column)))
}

/// How many letters of a line stand before the field.
fn column(line: &str, field: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = line[from..].find(field).map(|at| at + from) {
        let before = line[..at].chars().next_back();
        let after = line[at + field.len()..].trim_start_matches(['"', '?', '!']);
        let is_whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.');
        if is_whole && after.trim_start().starts_with(':') {
            return Some(line[..at].chars().count());
        }
        from = at + field.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_where_it_is_given_not_where_it_is_used() {
        let template = "output: {\n  x: parameter.replica\n  spec: {\"replica\": 1}\n}\n";
        assert_eq!(place_of_field(template, "replica"), Some((3, 11)));
        assert_eq!(place_of_field(template, "nowhere"), None);
    }
}
