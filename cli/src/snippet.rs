//! Texts that errors quote, with columns as people and editors count them.

use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// A text and what it is called. Columns are letters: the library that draws snippets counts bytes.
#[derive(Clone, Debug)]
pub(crate) struct Snippet {
    name: String,
    text: Arc<str>,
}

impl Snippet {
    pub(crate) fn new(name: impl Into<String>, text: &Arc<str>) -> Self {
        Self {
            name: name.into(),
            text: Arc::clone(text),
        }
    }
}

impl SourceCode for Snippet {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.text.read_span(span, lines_before, lines_after)?;
        let start = read.span().offset();
        let before = start
            .checked_sub(read.column())
            .and_then(|line| self.text.get(line..start));
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            read.data(),
            *read.span(),
            read.line(),
            before.map_or(0, |before| before.chars().count()),
            read.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_letters() {
        let text: Arc<str> = "é: 1\nö: {ü: a}\n".into();
        let at = text.find("a}").unwrap_or_default();
        let snippet = Snippet::new("x.yaml", &text);
        let read = snippet.read_span(&(at, 1).into(), 0, 0);
        let place = read.map(|read| (read.line(), read.column(), read.name().map(str::to_owned)));
        assert_eq!(place.ok(), Some((1, 7, Some("x.yaml".to_owned()))));
    }
}
