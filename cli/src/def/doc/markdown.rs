//! Pages in Markdown.

use super::{Page, by_kind, short_name, tables, title};
use crate::def::parameter::Parameter;

/// A page.
pub(super) fn page(page: &Page) -> String {
    let mut out = format!("# {}\n\n", page.name);
    if !page.description.is_empty() {
        out.extend([format!("{}\n\n", escape(&page.description))]);
    }
    out.extend([format!("Kind: {}\n", page.kind.word)]);
    for (label, text) in &page.facts {
        out.extend([format!("\n{label}: {}\n", escape(text))]);
    }
    if let Some(example) = &page.example {
        out.extend([format!(
            "\n## Example\n\n```yaml\n{}\n```\n",
            example.trim_end()
        )]);
    }
    out += "\n## Parameters\n";
    match &page.parameters {
        Err(reason) => {
            out.extend([format!("\n{}\n", escape(reason))]);
            let code = page.declared.iter();
            out.extend(code.map(|text| format!("\n```cue\n{text}\n```\n")));
        }
        Ok(parameters) if parameters.is_empty() => out += "\nNone.\n",
        Ok(parameters) => {
            for (path, rows) in tables(parameters) {
                if !path.is_empty() {
                    out.extend([format!("\n### {}\n", escape(&path))]);
                }
                out += &table(&path, &rows);
            }
        }
    }
    out
}

fn table(path: &str, rows: &[&Parameter]) -> String {
    let mut out =
        "\n| name | type | required | default | usage |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let name = code(short_name(row, path));
        let name = if row.fields.is_empty() {
            name
        } else {
            format!("[{name}](#{})", anchor(&row.path))
        };
        out.extend([format!(
            "| {name} | {} | {} | {} | {} |\n",
            code(&row.type_or_choices()),
            if row.required { "yes" } else { "" },
            code(&row.default_text()),
            escape(&row.notes())
        )]);
    }
    out
}

/// The list of all pages.
pub(super) fn index(pages: &[Page]) -> String {
    let mut out = "# Definitions\n".to_owned();
    for (kind, pages) in by_kind(pages) {
        out.extend([format!(
            "\n## {}\n\n| name | what it is for |\n|---|---|\n",
            title(kind)
        )]);
        for page in pages {
            out.extend([format!(
                "| [{}]({}.md) | {} |\n",
                page.name,
                page.stem(),
                escape(&page.description)
            )]);
        }
    }
    out
}

/// As renderers make anchors of titles.
fn anchor(title: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
    title.to_lowercase().chars().filter(kept).collect()
}

fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    // A bar would end the cell, in code too.
    format!("`{}`", text.replace('|', "\\|").replace('`', "'"))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '<' | '>' | '[' | ']' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
