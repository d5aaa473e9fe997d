//! What a request asks for, read from its method and path.

use http::Method;

/// A request as authorization sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the lower-case method for other paths.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource; empty if the path names none.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What follows the subresource, as for a proxy.
    pub rest: String,
    /// The whole path.
    pub path: String,
}

impl Target {
    /// Reads a request. `watch` is the query parameter of that name.
    pub(crate) fn parse(method: &Method, path: &str, watch: bool) -> Self {
        let mut target = Self {
            verb: plain_verb(method),
            path: path.to_owned(),
            ..Self::default()
        };
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decode)
            .collect();
        let mut parts = parts.into_iter();
        match parts.next().as_deref() {
            Some("api") => {}
            Some("apis") => match parts.next() {
                Some(group) => target.group = group,
                None => return target,
            },
            _ => return target,
        }
        let Some(version) = parts.next() else {
            return Self {
                group: String::new(),
                ..target
            };
        };
        target.version = version;
        let mut parts: std::collections::VecDeque<String> = parts.collect();
        let mut watch = watch;
        if parts.front().is_some_and(|part| part == "watch") {
            parts.pop_front();
            watch = true;
        }
        if parts.front().is_some_and(|part| part == "namespaces") && parts.len() > 1 {
            let own = parts
                .get(2)
                .is_none_or(|next| next == "status" || next == "finalize");
            target.namespace = parts.get(1).cloned().unwrap_or_default();
            if !own {
                parts.drain(..2);
            }
        }
        target.resource = parts.pop_front().unwrap_or_default();
        target.name = parts.pop_front().unwrap_or_default();
        target.subresource = parts.pop_front().unwrap_or_default();
        target.rest = parts.into_iter().collect::<Vec<_>>().join("/");
        if !target.resource.is_empty() {
            target.verb = resource_verb(method, watch, !target.name.is_empty());
        }
        target
    }

    /// Does the path name a resource?
    pub fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }
}

fn plain_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn resource_verb(method: &Method, watch: bool, named: bool) -> &'static str {
    match *method {
        Method::GET | Method::HEAD if watch => "watch",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

/// Percent-decodes one segment; a broken escape stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Query parameters, decoded; the last one of a name wins, as none of ours may repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (
                        decode(&name.replace('+', " ")),
                        decode(&value.replace('+', " ")),
                    )
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value, "true" | "1" | "True" | "t"))
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, path: &str) -> (String, Target) {
        let target = Target::parse(&method, path, false);
        let text = [
            target.verb,
            &target.group,
            &target.version,
            &target.namespace,
            &target.resource,
            &target.name,
            &target.subresource,
        ]
        .join("|");
        (text, target)
    }

    #[test]
    fn paths_are_read_as_kubernetes_reads_them() {
        let cases = [
            (Method::GET, "/api/v1/namespaces", "list||v1||namespaces||"),
            (
                Method::GET,
                "/api/v1/namespaces/a",
                "get||v1|a|namespaces|a|",
            ),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                "update||v1|a|namespaces|a|finalize",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods",
                "list||v1|a|pods||",
            ),
            (
                Method::GET,
                "/api/v1/watch/namespaces/a/pods/x",
                "watch||v1|a|pods|x|",
            ),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection|apps|v1|a|deployments||",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "patch|apps|v1|a|deployments|d|scale",
            ),
            (Method::GET, "/apis/apps/v1", "get|apps|v1||||"),
            (Method::GET, "/apis/apps", "get||||||"),
            (Method::GET, "/version", "get||||||"),
        ];
        for (method, path, expected) in cases {
            assert_eq!(parse(method, path).0, expected, "{path}");
        }
        let (_, proxy) = parse(Method::GET, "/apis/g/v1/things/t/proxy/api/v1%2Fx");
        assert_eq!(proxy.rest, "api/v1/x");
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse(Some("labelSelector=app+in+%28a%2Cd2%29&watch=1&broken=%zz"));
        assert_eq!(query.get("labelSelector"), Some("app in (a,d2)"));
        assert!(query.flag("watch"));
        assert_eq!(query.get("broken"), Some("%zz"));
    }
}
