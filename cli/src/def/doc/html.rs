//! Pages in HTML: complete, without scripts and without anything from elsewhere.

use super::{Page, by_kind, short_name, tables, title};
use crate::def::parameter::Parameter;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
    table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{border:1px solid #d0d7de;padding:.35rem .6rem;\
    text-align:left;vertical-align:top}th{background:#f6f8fa}pre{background:#f6f8fa;padding:1rem;overflow:auto}\
    code{font:0.9em ui-monospace,monospace}a{color:#0550ae}";

/// A page.
pub(super) fn page(page: &Page) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape(&page.name));
    if !page.description.is_empty() {
        body.extend([format!("<p>{}</p>\n", escape(&page.description))]);
    }
    body.extend([format!("<p>Kind: {}</p>\n", page.kind.word)]);
    for (label, text) in &page.facts {
        body.extend([format!("<p>{label}: {}</p>\n", escape(text))]);
    }
    if let Some(example) = &page.example {
        let text = escape(example.trim_end());
        body.extend([format!(
            "<h2>Example</h2>\n<pre><code>{text}</code></pre>\n"
        )]);
    }
    body += "<h2>Parameters</h2>\n";
    match &page.parameters {
        Err(reason) => {
            body.extend([format!("<p>{}</p>\n", escape(reason))]);
            let code = page.declared.iter().map(|text| escape(text));
            body.extend(code.map(|text| format!("<pre><code>{text}</code></pre>\n")));
        }
        Ok(parameters) if parameters.is_empty() => body += "<p>None.</p>\n",
        Ok(parameters) => {
            for (path, rows) in tables(parameters) {
                if !path.is_empty() {
                    let path = escape(&path);
                    body.extend([format!("<h3 id=\"{path}\">{path}</h3>\n")]);
                }
                body += &table(&path, &rows);
            }
        }
    }
    body += "<p><a href=\"../index.html\">All definitions</a></p>\n";
    whole(&page.name, &body)
}

fn table(path: &str, rows: &[&Parameter]) -> String {
    let mut out = "<table>\n<tr><th>name</th><th>type</th><th>required</th><th>default</th><th>usage</th></tr>\n"
        .to_owned();
    for row in rows {
        let name = code(short_name(row, path));
        let name = if row.fields.is_empty() {
            name
        } else {
            format!("<a href=\"#{}\">{name}</a>", escape(&row.path))
        };
        out.extend([format!(
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            code(&row.type_or_choices()),
            if row.required { "yes" } else { "" },
            code(&row.default_text()),
            escape(&row.notes())
        )]);
    }
    out + "</table>\n"
}

/// The list of all pages.
pub(super) fn index(pages: &[Page]) -> String {
    let mut body = "<h1>Definitions</h1>\n".to_owned();
    for (kind, pages) in by_kind(pages) {
        body.extend([format!("<h2>{}</h2>\n<table>\n", title(kind))]);
        for page in pages {
            body.extend([format!(
                "<tr><td><a href=\"{}.html\">{}</a></td><td>{}</td></tr>\n",
                escape(&page.stem()),
                escape(&page.name),
                escape(&page.description)
            )]);
        }
        body += "</table>\n";
    }
    whole("Definitions", &body)
}

fn whole(name: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n\
         </html>\n",
        escape(name)
    )
}

fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("<code>{}</code>", escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
