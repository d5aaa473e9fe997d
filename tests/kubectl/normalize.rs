//! Makes two outputs comparable: what must differ from run to run (ages, ids, times, addresses) is
//! replaced by its name, everything else is kept to the letter.

use std::fmt;
use std::sync::LazyLock;

use caravel_tests::kubectl::Output;
use regex::Regex;
use serde_json::Value;

use crate::transcript::Command;

/// What a command said, normalized.
#[derive(PartialEq)]
pub(crate) struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
    /// The Status object that kubectl got, where it printed one.
    status: Option<Value>,
}

impl Said {
    /// From the transcript.
    pub(crate) fn recorded(command: &Command) -> Self {
        Self::new(
            &command.args,
            command.exit,
            &command.stdout,
            &command.stderr,
        )
    }

    /// From a run of now.
    pub(crate) fn now(arguments: &[String], output: Output) -> Self {
        Self::new(
            arguments,
            output.exit,
            &output.stdout,
            &without_log(&output.stderr),
        )
    }

    fn new(arguments: &[String], exit: i32, stdout: &str, stderr: &str) -> Self {
        let (status, stderr) = split_status(stderr);
        let stdout = match arguments[0].as_str() {
            "describe" => describe(stdout),
            "explain" if arguments[1].starts_with("application") => fields(stdout),
            "get" if arguments[1] == "--raw" => raw(stdout),
            _ => without_controllers(stdout),
        };
        Self {
            exit,
            stdout: scrub(&stdout),
            stderr: sorted_causes(&scrub(&stderr)),
            status,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n{}{}", self.exit, self.stdout, self.stderr)?;
        self.status
            .as_ref()
            .map_or(Ok(()), |status| write!(f, "{status}"))
    }
}

/// Drops kubectl's log lines, and the lines that continue one (`headers=<` … ` >`).
fn without_log(stderr: &str) -> String {
    static HEAD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^ ?[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ ").expect("a pattern"));
    let mut inside = false;
    let mut kept = String::new();
    for line in stderr.lines() {
        if inside {
            inside = !line.starts_with(" >");
        } else if HEAD.is_match(line) {
            inside = line.ends_with("=<");
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Takes the rest of `server response object: [{ … }]` apart from what follows it.
fn split_status(stderr: &str) -> (Option<Value>, String) {
    let Some((object, rest)) = stderr.split_once("\n}]\n") else {
        return (None, stderr.to_owned());
    };
    let mut status: Value =
        serde_json::from_str(&format!("{{{object}}}")).expect("a Status object");
    // Which of these two kubectl prints depends on how it decoded the reply, not on what was sent.
    if let Some(fields) = status.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    (Some(status), rest.to_owned())
}

/// What `explain` says of a kind of ours: its fields and their types. The descriptions are our own text.
fn fields(text: &str) -> String {
    let is_field = |line: &str| line.contains("\t<");
    let is_head = |line: &str| {
        line.split(':')
            .next()
            .is_some_and(|head| !head.is_empty() && head.chars().all(|c| c.is_ascii_uppercase()))
    };
    text.lines()
        .filter(|line| is_field(line) || is_head(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// A raw body, where it is JSON: the order of fields and of discovery's lists means nothing, and what names the
/// way of storage is the server's own business.
fn raw(text: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    for resource in body["resources"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = resource.as_object_mut() {
            fields.remove("storageVersionHash");
        }
    }
    if let Some(resources) = body["resources"].as_array_mut() {
        resources.sort_by_key(|resource| resource["name"].to_string());
    }
    format!("{body:#}")
}

/// A real server finds the errors of a custom resource by walking a map: their order differs from run to run.
fn sorted_causes(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(first) = lines.iter().position(|line| line.starts_with("* ")) {
        lines[first..].sort_unstable();
    }
    lines.join("\n")
}

/// `status` and the revision annotation of a Deployment are the work of controllers that write them in
/// their own time.
fn without_controllers(text: &str) -> String {
    if !text.starts_with("apiVersion: apps/v1\nkind: Deployment\n") {
        return text.to_owned();
    }
    let body = text.split("\nstatus:\n").next().unwrap_or(text);
    body.lines()
        .filter(|line| {
            !line.contains("deployment.kubernetes.io/revision")
                && !line.contains("caravel.dev/simulated")
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The part of `describe` that the API server's object decides: all above replica sets and events.
fn describe(text: &str) -> String {
    let above = text.split("\nConditions:").next().unwrap_or(text);
    above
        .lines()
        .filter(|line| !line.contains("deployment.kubernetes.io/revision"))
        .filter(|line| !line.contains("caravel.dev/simulated") && !line.starts_with("Replicas:"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Replaces what differs from run to run.
fn scrub(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"https://(127\.0\.0\.1:\d+|<server>)", "<server>"),
            (r"127\.0\.0\.1:\d+", "<address>"),
            (
                r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "<uid>",
            ),
            (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<jwt>"),
            (r#"resourceVersion: "\d+""#, r#"resourceVersion: "<rv>""#),
            (
                r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4}|Z)?",
                "<time>",
            ),
            (
                r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
                "<time>",
            ),
            (r"\x1b\[[0-9;]*m", ""),
            (r"/tmp/(LIVE|MERGED)[^/]*/", "/tmp/$1/"),
            (r"\b\d+m?\d+(s|ms)\b|\b\d+[smh]\b", "<age>"),
            (r" {2,}", "  "),
            (r"(?m) +$", ""),
        ]
        .into_iter()
        .map(|(pattern, name)| (Regex::new(pattern).expect("a pattern"), name))
        .collect()
    });
    let mut scrubbed = text.to_owned();
    for (pattern, name) in RULES.iter() {
        scrubbed = pattern.replace_all(&scrubbed, *name).into_owned();
    }
    scrubbed.trim_end().to_owned()
}
