//! `CustomResourceDefinition`s: defaults, validation, and what the server needs of each version.

use super::Schema;
use crate::field::{Error, Errors};
use crate::names;
use crate::resources::{CUSTOM_VERBS, Resource, Subresource, Text};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A column that a CRD adds to `kubectl get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `integer`, `number`, `string`, `boolean` or `date`.
    pub kind: String,
    /// OpenAPI format.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// Columns above 0 are shown with `-o wide` only.
    pub priority: i64,
    /// Where the value is, such as `.spec.size`.
    pub json_path: String,
}

/// Where the scale subresource of a custom resource finds its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// Under `.spec`.
    pub spec_replicas: String,
    /// Under `.status`.
    pub status_replicas: String,
    /// Under `.spec` or `.status`.
    pub label_selector: Option<String>,
}

/// One version of a CRD, compiled.
#[derive(Debug)]
pub struct CustomVersion {
    /// The resource.
    pub resource: Resource,
    /// Is the version served?
    pub served: bool,
    /// Is it the version that is stored?
    pub storage: bool,
    /// What to warn of when the version is used, if it is deprecated.
    pub deprecation_warning: Option<String>,
    /// `openAPIV3Schema` as written.
    pub open_api: Value,
    /// The compiled schema.
    pub schema: Schema,
    /// Has it a status subresource?
    pub has_status: bool,
    /// Its scale subresource.
    pub scale: Option<ScalePaths>,
    /// Additional printer columns.
    pub columns: Vec<Column>,
    /// JSON paths that field selectors may name.
    pub selectable_fields: Vec<String>,
}

/// Fills in the defaults of a CRD.
pub fn default_crd(crd: &mut Value) {
    let kind = crd["spec"]["names"]["kind"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if !kind.is_empty()
        && let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut)
    {
        let empty = |v: Option<&Value>| v.and_then(Value::as_str).is_none_or(str::is_empty);
        if empty(names.get("singular")) {
            names.insert("singular".into(), kind.to_lowercase().into());
        }
        if empty(names.get("listKind")) {
            names.insert("listKind".into(), format!("{kind}List").into());
        }
    }
    if spec.get("conversion").is_none_or(Value::is_null) {
        spec.insert("conversion".into(), json!({"strategy": "None"}));
    }
    if let Some(client) = spec.get_mut("conversion").and_then(|c| {
        c.get_mut("webhook")?
            .get_mut("clientConfig")?
            .get_mut("service")
    }) && client.get("port").is_none()
    {
        client["port"] = 443.into();
    }
}

/// The compiled versions of a CRD, in the order in which it names them.
///
/// # Errors
/// What keeps a schema from being structural.
pub fn versions(crd: &Value) -> Result<Vec<CustomVersion>, Errors> {
    let mut errors = Errors::new();
    let list = crd["spec"]["versions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let compiled: Vec<CustomVersion> = list
        .iter()
        .enumerate()
        .filter_map(|(i, version)| compile(crd, i, version).map_err(|e| errors.extend(e)).ok())
        .collect();
    if errors.is_empty() {
        Ok(compiled)
    } else {
        Err(errors)
    }
}

fn compile(crd: &Value, index: usize, version: &Value) -> Result<CustomVersion, Errors> {
    let open_api = version["schema"]["openAPIV3Schema"].clone();
    let schema = Schema::compile(
        &open_api,
        &format!("spec.versions[{index}].schema.openAPIV3Schema"),
    )?;
    let sub = &version["subresources"];
    let has_status = sub.get("status").is_some_and(|s| !s.is_null());
    let scale = sub
        .get("scale")
        .filter(|s| !s.is_null())
        .map(|s| ScalePaths {
            spec_replicas: text(s, "specReplicasPath").to_owned(),
            status_replicas: text(s, "statusReplicasPath").to_owned(),
            label_selector: Some(text(s, "labelSelectorPath"))
                .filter(|p| !p.is_empty())
                .map(str::to_owned),
        });
    let warning = || {
        let given = text(version, "deprecationWarning");
        let (group, kind) = (
            text(&crd["spec"], "group"),
            text(&crd["spec"]["names"], "kind"),
        );
        if given.is_empty() {
            format!("{group}/{} {kind} is deprecated", text(version, "name"))
        } else {
            given.to_owned()
        }
    };
    Ok(CustomVersion {
        resource: resource(crd, text(version, "name"), has_status, scale.is_some()),
        served: version["served"] == true,
        storage: version["storage"] == true,
        deprecation_warning: (version["deprecated"] == true).then(warning),
        open_api,
        schema,
        has_status,
        scale,
        columns: columns(version),
        selectable_fields: version["selectableFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|f| text(f, "jsonPath").to_owned())
            .collect(),
    })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn resource(crd: &Value, version: &str, has_status: bool, has_scale: bool) -> Resource {
    let spec = &crd["spec"];
    let names = &spec["names"];
    let list = |name: &str| -> Vec<Text> {
        let items = names
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items
            .filter_map(|v| Some(v.as_str()?.to_owned().into()))
            .collect()
    };
    let own = |value: &str| -> Text { value.to_owned().into() };
    let mut subresources = Vec::new();
    if has_status {
        subresources.push(Subresource::status());
    }
    if has_scale {
        subresources.push(Subresource::scale());
    }
    Resource {
        group: own(text(spec, "group")),
        version: own(version),
        kind: own(text(names, "kind")),
        list_kind: own(text(names, "listKind")),
        plural: own(text(names, "plural")),
        singular: own(text(names, "singular")),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: text(spec, "scope") == "Namespaced",
        verbs: CUSTOM_VERBS,
        subresources,
        definition: None,
    }
}

/// Without columns of its own a kind shows its age.
fn columns(version: &Value) -> Vec<Column> {
    let given = version["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten();
    let columns: Vec<Column> = given
        .map(|c| Column {
            name: text(c, "name").to_owned(),
            kind: text(c, "type").to_owned(),
            format: text(c, "format").to_owned(),
            description: text(c, "description").to_owned(),
            priority: c["priority"].as_i64().unwrap_or_default(),
            json_path: text(c, "jsonPath").to_owned(),
        })
        .collect();
    if !columns.is_empty() {
        return columns;
    }
    vec![Column {
        name: "Age".into(),
        kind: "date".into(),
        format: String::new(),
        description: CREATION.into(),
        priority: 0,
        json_path: ".metadata.creationTimestamp".into(),
    }]
}

const CREATION: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The status of a CRD whose names are accepted: `NamesAccepted`, `Established`, accepted names, stored versions.
pub fn accepted_conditions(crd: &Value, now: Timestamp) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": format!("{now:.0}")});
    let mut stored: Vec<Value> = crd["status"]["storedVersions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let storage = crd["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|v| v["storage"] == true);
    if let Some(name) = storage.map(|v| v["name"].clone())
        && !stored.contains(&name)
    {
        stored.push(name);
    }
    json!({
        "acceptedNames": crd["spec"]["names"],
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    })
}

/// What is wrong with a (defaulted) CRD.
pub fn validate_crd(crd: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = &crd["spec"];
    let (group, plural) = (text(spec, "group"), text(&spec["names"], "plural"));
    let name = text(&crd["metadata"], "name");
    if name != format!("{plural}.{group}") {
        errors.push(Error::invalid(
            "metadata.name",
            name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    validate_group(group, &mut errors);
    let scope = text(spec, "scope");
    match scope {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(Error::required("spec.scope", "")),
        other => errors.push(Error::not_supported(
            "spec.scope",
            other,
            &["Cluster", "Namespaced"],
        )),
    }
    if spec["preserveUnknownFields"] == true {
        errors.push(Error::invalid(
            "spec.preserveUnknownFields",
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    validate_versions(spec, &mut errors);
    validate_names(&spec["names"], &mut errors);
    validate_conversion(&spec["conversion"], &mut errors);
    if let Err(found) = versions(crd) {
        errors.extend(found);
    }
    errors
}

fn validate_group(group: &str, errors: &mut Errors) {
    if group.is_empty() {
        errors.push(Error::required("spec.group", ""));
        return;
    }
    for reason in names::subdomain(group) {
        errors.push(Error::invalid("spec.group", group, reason));
    }
    if !group.contains('.') {
        errors.push(Error::invalid(
            "spec.group",
            group,
            "should be a domain with at least one dot",
        ));
    }
}

fn validate_versions(spec: &Value, errors: &mut Errors) {
    let list = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut seen: Vec<&str> = Vec::new();
    for (i, version) in list.iter().enumerate() {
        let at = format!("spec.versions[{i}]");
        let name = text(version, "name");
        for reason in names::label_1035(name) {
            errors.push(Error::invalid(format!("{at}.name"), name, reason));
        }
        if seen.contains(&name) {
            errors.push(Error::invalid(
                "spec.versions",
                spec["versions"].clone(),
                "must contain unique version names",
            ));
        }
        seen.push(name);
        if !version["schema"]["openAPIV3Schema"].is_object() {
            errors.push(Error::required(
                format!("{at}.schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
        validate_columns(&version["additionalPrinterColumns"], &at, errors);
        validate_scale(&version["subresources"]["scale"], &at, errors);
    }
    if list.iter().filter(|v| v["storage"] == true).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(
            "spec.versions",
            spec["versions"].clone(),
            detail,
        ));
    }
}

fn validate_columns(columns: &Value, at: &str, errors: &mut Errors) {
    for (i, column) in columns.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}.additionalPrinterColumns[{i}]");
        if text(column, "name").is_empty() {
            errors.push(Error::required(format!("{at}.name"), ""));
        }
        let kinds = ["boolean", "date", "integer", "number", "string"];
        match text(column, "type") {
            "" => errors.push(Error::required(
                format!("{at}.type"),
                "must be one of boolean,date,integer,number,string",
            )),
            kind if kinds.contains(&kind) => {}
            kind => errors.push(Error::invalid(
                format!("{at}.type"),
                kind,
                "must be one of boolean,date,integer,number,string",
            )),
        }
        let path = text(column, "jsonPath");
        if path.is_empty() {
            errors.push(Error::required(format!("{at}.jsonPath"), ""));
        } else if let Err(reason) = crate::jsonpath::JsonPath::parse(path) {
            errors.push(Error::invalid(
                format!("{at}.jsonPath"),
                path,
                format!("is an invalid JSON path: {reason}"),
            ));
        }
    }
}

fn validate_scale(scale: &Value, at: &str, errors: &mut Errors) {
    if !scale.is_object() {
        return;
    }
    for (name, root) in [
        ("specReplicasPath", ".spec."),
        ("statusReplicasPath", ".status."),
    ] {
        let path = text(scale, name);
        let at = format!("{at}.subresources.scale.{name}");
        if path.is_empty() {
            errors.push(Error::required(at, ""));
        } else if !path.starts_with(root) {
            errors.push(Error::invalid(
                at,
                path,
                format!("should be a json path under {}", root.trim_end_matches('.')),
            ));
        }
    }
    let selector = text(scale, "labelSelectorPath");
    if !selector.is_empty() && !selector.starts_with(".spec.") && !selector.starts_with(".status.")
    {
        let at = format!("{at}.subresources.scale.labelSelectorPath");
        errors.push(Error::invalid(
            at,
            selector,
            "should be a json path under either .spec or .status",
        ));
    }
}

fn validate_names(all: &Value, errors: &mut Errors) {
    let mut label = |at: String, value: &str, prefix: &str| {
        for reason in names::label_1035(value) {
            errors.push(Error::invalid(
                at.clone(),
                value,
                format!("{prefix}{reason}"),
            ));
        }
    };
    let plural = text(all, "plural");
    if !plural.is_empty() {
        label("spec.names.plural".into(), plural, "");
    }
    let singular = text(all, "singular");
    if !singular.is_empty() {
        label("spec.names.singular".into(), singular, "");
    }
    let mixed = "may have mixed case, but should otherwise match: ";
    for name in ["kind", "listKind"] {
        let value = text(all, name);
        if !value.is_empty() {
            for reason in names::label_1035(&value.to_lowercase()) {
                errors.push(Error::invalid(
                    format!("spec.names.{name}"),
                    value,
                    format!("{mixed}{reason}"),
                ));
            }
        }
    }
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(all, name).is_empty() {
            errors.push(Error::required(format!("spec.names.{name}"), ""));
        }
    }
    for name in ["shortNames", "categories"] {
        for (i, value) in all
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let value = value.as_str().unwrap_or_default();
            for reason in names::label_1035(value) {
                errors.push(Error::invalid(
                    format!("spec.names.{name}[{i}]"),
                    value,
                    reason,
                ));
            }
        }
    }
    if text(all, "kind") == text(all, "listKind") && !text(all, "kind").is_empty() {
        errors.push(Error::invalid(
            "spec.names.listKind",
            text(all, "listKind"),
            "kind and listKind may not be the same",
        ));
    }
}

fn validate_conversion(conversion: &Value, errors: &mut Errors) {
    match text(conversion, "strategy") {
        "None" if conversion.get("webhook").is_some_and(|w| !w.is_null()) => {
            errors.push(Error::forbidden(
                "spec.conversion.webhook",
                "should not be set when strategy is not set to Webhook",
            ));
        }
        "None" => {}
        "" => errors.push(Error::required("spec.conversion.strategy", "")),
        // Conversion webhooks are beyond what this server does; say so rather than store what never works.
        "Webhook" => errors.push(Error::not_supported(
            "spec.conversion.strategy",
            "Webhook",
            &["None"],
        )),
        other => errors.push(Error::not_supported(
            "spec.conversion.strategy",
            other,
            &["None"],
        )),
    }
}

/// What is wrong with a change of a CRD, besides what [`validate_crd`] finds.
pub fn validate_crd_update(crd: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let established = old["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Established" && c["status"] == "True");
    if established {
        for (name, pointer) in [
            ("spec.scope", "/spec/scope"),
            ("spec.names.kind", "/spec/names/kind"),
        ] {
            let value = crd.pointer(pointer).cloned().unwrap_or_default();
            if old.pointer(pointer) != Some(&value) {
                errors.push(Error::invalid(name, value, "field is immutable"));
            }
        }
    }
    let names: Vec<&Value> = crd["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| &v["name"])
        .collect();
    for (i, stored) in old["status"]["storedVersions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if !names.contains(&stored) {
            errors.push(Error::invalid(
                format!("status.storedVersions[{i}]"),
                stored.clone(),
                "must appear in spec.versions",
            ));
        }
    }
    errors
}
