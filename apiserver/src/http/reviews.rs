//! Questions that are answered and not stored: reviews of access and identity, and requests for tokens.

use caravel_schema::field::Error;
use serde_json::{Value, json};

use crate::auth::rbac::Rule;
use crate::auth::tokens::{Grant, Reference};
use crate::core::text;
use crate::identity::Identity;
use crate::registry::{Answer, Call, Outcome};
use crate::request::Target;
use crate::status::{Result, Status};
use crate::store::Key;

const HOUR: i64 = 3600;

/// Answers the question, if the call is one. Questions have no side effects.
pub(super) fn answer(call: &Call, question: &mut Value) -> Option<Result<Outcome>> {
    if question.is_null() {
        *question = json!({});
    }
    if !question.is_object()
        || !(question["metadata"].is_null() || question["metadata"].is_object())
    {
        return Some(Err(Status::bad_request(
            "the question must be an object, and its metadata too",
        )));
    }
    let status = match (
        call.kind.group(),
        call.kind.plural(),
        call.subresource.as_str(),
    ) {
        ("authorization.k8s.io", "selfsubjectaccessreviews", "") => own_access(call, question),
        ("authorization.k8s.io", "subjectaccessreviews", "") => access(call, question, None),
        ("authorization.k8s.io", "localsubjectaccessreviews", "") => local_access(call, question),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "") => own_rules(call, question),
        ("authentication.k8s.io", "selfsubjectreviews", "") => {
            Ok(json!({"userInfo": user_info(&call.user)}))
        }
        ("authentication.k8s.io", "tokenreviews", "") => token(call, question),
        ("", "serviceaccounts", "token") => return Some(issue(call, question)),
        _ => return None,
    };
    Some(status.map(|status| reply(call, question, status)))
}

fn reply(call: &Call, question: &mut Value, status: Value) -> Outcome {
    question["apiVersion"] = json!(call.kind.resource.api_version());
    question["kind"] = json!(call.kind.kind());
    if question["metadata"].is_null() {
        question["metadata"] = json!({});
    }
    question["metadata"]["creationTimestamp"] = Value::Null;
    question["status"] = status;
    Outcome {
        object: Answer::Value(question.take()),
        warnings: Vec::new(),
        created: true,
    }
}

fn own_access(call: &Call, question: &Value) -> Result<Value> {
    decide(call, &question["spec"], &call.user)
}

fn access(call: &Call, question: &Value, namespace: Option<&str>) -> Result<Value> {
    let spec = &question["spec"];
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let user = spec["user"].as_str().unwrap_or_default();
    let groups = texts(&spec["groups"]);
    let mut errors = Vec::new();
    if user.is_empty() && groups.is_empty() {
        errors.push(Error::invalid(
            "spec.user",
            "",
            "at least one of user or group must be specified",
        ));
    }
    let asked = spec["resourceAttributes"]["namespace"]
        .as_str()
        .unwrap_or_default();
    if let Some(namespace) = namespace.filter(|namespace| *namespace != asked) {
        let detail = format!("must match metadata.namespace ({namespace})");
        errors.push(Error::invalid(
            "spec.resourceAttributes.namespace",
            asked,
            detail,
        ));
    }
    if !errors.is_empty() {
        return Err(Status::invalid(
            call.kind.group(),
            call.kind.kind(),
            "",
            &errors,
        ));
    }
    // The groups are those of the question: nothing is added to them.
    let subject = Identity {
        user: user.to_owned(),
        groups,
        ..Identity::default()
    };
    decide(call, spec, &subject)
}

fn local_access(call: &Call, question: &Value) -> Result<Value> {
    if question["spec"]["nonResourceAttributes"].is_object() {
        let detail = "disallowed on this kind of request";
        let error = Error::invalid("spec.nonResourceAttributes", Value::Null, detail);
        return Err(Status::invalid(
            call.kind.group(),
            call.kind.kind(),
            "",
            &[error],
        ));
    }
    access(call, question, Some(&call.namespace))
}

fn decide(call: &Call, spec: &Value, user: &Identity) -> Result<Value> {
    let target = target(call, spec)?;
    let decision = call.core.auth.decide(&call.core, user, &target);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = json!(decision.reason);
    }
    Ok(status)
}

/// The request that is asked about.
fn target(call: &Call, spec: &Value) -> Result<Target> {
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match (resource.is_object(), other.is_object()) {
        (true, false) => Ok(Target {
            verb: known_verb(&text(&resource["verb"])),
            group: text(&resource["group"]),
            version: text(&resource["version"]),
            // An empty resource stands for none; it must still be treated as a resource.
            resource: Some(text(&resource["resource"]))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "*".to_owned()),
            subresource: text(&resource["subresource"]),
            namespace: text(&resource["namespace"]),
            name: text(&resource["name"]),
            ..Target::default()
        }),
        (false, true) => Ok(Target {
            verb: known_verb(&text(&other["verb"])),
            path: text(&other["path"]),
            ..Target::default()
        }),
        (both, _) => {
            let detail = if both {
                "cannot be specified in combination with resourceAttributes"
            } else {
                "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            };
            let field = if both {
                "spec.nonResourceAttributes"
            } else {
                "spec.resourceAttributes"
            };
            let error = Error::invalid(field, Value::Null, detail);
            Err(Status::invalid(
                call.kind.group(),
                call.kind.kind(),
                "",
                &[error],
            ))
        }
    }
}

/// Verbs are a closed set inside; one that no rule can name but by `*` matches only that.
fn known_verb(verb: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "impersonate",
        "escalate",
        "bind",
        "use",
        "approve",
        "sign",
        "attest",
        "proxy",
        "post",
        "put",
        "head",
        "options",
        "*",
    ];
    KNOWN
        .iter()
        .find(|known| **known == verb)
        .copied()
        .unwrap_or("?")
}

fn own_rules(call: &Call, question: &Value) -> Result<Value> {
    let namespace = question["spec"]["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = call
        .core
        .auth
        .rbac
        .rules(&call.core.store, &call.user, namespace);
    let (resources, others): (Vec<&Rule>, Vec<&Rule>) = rules
        .iter()
        .partition(|rule| rule.non_resource_urls.is_empty());
    Ok(json!({"resourceRules": resources, "nonResourceRules": others, "incomplete": false}))
}

fn user_info(user: &Identity) -> Value {
    let mut info = json!({"username": user.user, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn audiences(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn token(call: &Call, question: &Value) -> Result<Value> {
    let token = question["spec"]["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let audiences = audiences(&question["spec"]["audiences"]);
    let core = &call.core;
    Ok(
        match core
            .auth
            .tokens
            .check(&core.store, token, &audiences, (core.clock)())
        {
            Some((user, audiences)) => {
                json!({"authenticated": true, "user": user_info(&user), "audiences": audiences})
            }
            None => json!({"user": {}, "error": "invalid bearer token"}),
        },
    )
}

/// `serviceaccounts/{name}/token`.
fn issue(call: &Call, question: &mut Value) -> Result<Outcome> {
    let key = Key::new(
        "serviceaccounts",
        call.namespace.as_str(),
        call.name.as_str(),
    );
    let account = call
        .core
        .store
        .get(&key)
        .ok_or_else(|| Status::not_found("", "serviceaccounts", &call.name))?
        .value();
    let spec = question["spec"].clone();
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(HOUR);
    let detail = match seconds {
        ..600 => Some("may not specify a duration less than 10 minutes"),
        4_294_967_297.. => Some("may not specify a duration larger than 2^32 seconds"),
        _ => None,
    };
    if let Some(detail) = detail {
        let error = Error::invalid("spec.expirationSeconds", seconds, detail);
        return Err(Status::invalid(
            "authentication.k8s.io",
            "TokenRequest",
            "",
            &[error],
        ));
    }
    let (pod, secret) = bound(call, &spec["boundObjectRef"])?;
    let mut audiences = audiences(&spec["audiences"]);
    if audiences.is_empty() {
        audiences.push(crate::auth::tokens::ISSUER.to_owned());
    }
    let now = (call.core.clock)();
    let grant = Grant {
        namespace: &call.namespace,
        account: reference(&account),
        pod,
        secret,
        audiences: &audiences,
        seconds,
    };
    let tokens = &call.core.auth.tokens;
    let token = tokens
        .issue(grant, now)
        .ok_or_else(|| Status::internal("the token could not be signed"))?;
    let expires = now
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    let object = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"name": call.name, "namespace": call.namespace, "creationTimestamp": call.core.now()},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec["boundObjectRef"]},
        "status": {"token": token, "expirationTimestamp": text(expires)},
    });
    Ok(Outcome {
        object: Answer::Value(object),
        warnings: Vec::new(),
        created: true,
    })
}

fn reference(object: &Value) -> Reference {
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Reference {
        name: text("name"),
        uid: text("uid"),
    }
}

/// The Pod or Secret with which a token is to end.
fn bound(call: &Call, wanted: &Value) -> Result<(Option<Reference>, Option<Reference>)> {
    if !wanted.is_object() {
        return Ok((None, None));
    }
    let text = |field: &str| wanted[field].as_str().unwrap_or_default();
    let (version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
    let plural = match (version, kind) {
        ("v1", "Pod") => "pods",
        ("v1", "Secret") => "secrets",
        _ => {
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {version}, Kind={kind}: Pod and Secret of v1 can be named"
            )));
        }
    };
    let found = call
        .core
        .store
        .get(&Key::new(plural, call.namespace.as_str(), name))
        .ok_or_else(|| Status::not_found("", plural, name))?
        .value();
    let reference = reference(&found);
    let uid = text("uid");
    if !uid.is_empty() && uid != reference.uid {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict("", plural, name, &why));
    }
    if plural == "secrets" {
        return Ok((None, Some(reference)));
    }
    if found["spec"]["serviceAccountName"] != call.name.as_str() {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            call.name
        )));
    }
    Ok((Some(reference), None))
}
