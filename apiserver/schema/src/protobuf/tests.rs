use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::path::PathBuf;

/// The recorded exchanges of kubectl with a real kube-apiserver.
fn transcript() -> Value {
    let root = std::env::var_os("CARAVEL_CONFORMANCE_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(root.join("kubectl/transcript.json"))
        .expect("the conformance data is there");
    serde_json::from_str(&text).expect("the transcript is JSON")
}

/// Bytes of a dump as `hexdump -C` prints it.
fn bytes_of(dump: &str) -> Vec<u8> {
    let hex = dump
        .lines()
        .filter_map(|l| l.get(8..)?.split('|').next())
        .flat_map(str::split_whitespace);
    hex.filter_map(|b| u8::from_str_radix(b, 16).ok()).collect()
}

fn bodies(which: &str) -> Vec<(u64, Vec<u8>)> {
    let transcript = transcript();
    let mut out = Vec::new();
    for command in transcript["commands"].as_array().expect("a list") {
        for exchange in command["http"].as_array().expect("a list") {
            let dump = exchange[which].as_str().unwrap_or_default();
            // Dumps of replies are cut when they are long.
            if dump.starts_with("00000000  6b 38 73 00") && dump.len() < 5_990 {
                out.push((command["n"].as_u64().expect("a number"), bytes_of(dump)));
            }
        }
    }
    out
}

#[test]
fn every_recorded_request_decodes() {
    let bodies = bodies("request");
    assert!(bodies.len() > 8, "{} bodies", bodies.len());
    let decoded: Vec<Value> = bodies
        .iter()
        .map(|(n, body)| json!({"command": n, "body": decode(body).unwrap_or_else(|e| panic!("command {n}: {e}"))}))
        .collect();
    insta::assert_json_snapshot!(decoded);
}

#[test]
fn every_recorded_reply_decodes() {
    for (n, body) in bodies("response") {
        decode(&body).unwrap_or_else(|e| panic!("command {n}: {e}"));
    }
}

/// Encodes a field with a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2, u8::try_from(content.len()).expect("short")];
    out.extend_from_slice(content);
    out
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
}

#[test]
fn embedded_messages_stand_in_their_parent() {
    // PodSpec.volumes[0] { name: "v", volumeSource { emptyDir {} } }, then env from a secret key.
    let volume = [field(1, b"v"), field(2, &field(2, &[]))].concat();
    let selector = [field(1, &field(1, b"secret")), field(2, b"key")].concat();
    let env = [field(1, b"E"), field(3, &field(4, &selector))].concat();
    let container = [field(1, b"c"), field(7, &env)].concat();
    let spec = [field(1, &volume), field(2, &container)].concat();
    let pod = decode(&envelope("v1", "Pod", &field(2, &spec))).expect("decodes");
    assert_eq!(
        pod["spec"]["volumes"],
        json!([{"name": "v", "emptyDir": {}}])
    );
    assert_eq!(
        pod["spec"]["containers"][0]["env"],
        json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "key"}}}])
    );
}

#[test]
fn zero_behind_a_pointer_stays_and_a_plain_zero_goes() {
    // Deployment.spec { replicas: 0, minReadySeconds: 0, paused: false }
    let spec = [8, 0, 40, 0, 56, 0];
    let deployment = decode(&envelope("apps/v1", "Deployment", &field(2, &spec))).expect("decodes");
    assert_eq!(deployment["spec"], json!({"replicas": 0}));
}

#[test]
fn delete_options_come_under_any_group_version() {
    let body = envelope("apps/v1", "DeleteOptions", &field(4, b"Foreground"));
    let options = decode(&body).expect("decodes");
    assert_eq!(options["propagationPolicy"], "Foreground");
}

#[test]
fn faults_are_named() {
    assert_eq!(decode(b"{}"), Err(DecodeError::NoPrefix));
    assert_eq!(
        decode(&envelope("nope/v1", "Thing", &[]))
            .expect_err("unknown")
            .to_string(),
        "no kind \"Thing\" is registered for version \"nope/v1\""
    );
    assert_eq!(
        decode(&envelope("v1", "ConfigMap", &[10, 200])),
        Err(DecodeError::Truncated)
    );
    let wrong = decode(&envelope("v1", "ConfigMap", &[8, 1])).expect_err("metadata is a message");
    assert_eq!(
        wrong.to_string(),
        "protobuf: field api.core.v1.ConfigMap.metadata has wire type 0"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(raw in prop::collection::vec(any::<u8>(), 0..120)) {
        for kind in ["Pod", "ConfigMap", "Event", "Node"] {
            let _ = decode(&envelope("v1", kind, &raw));
        }
        let _ = decode(&envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &raw));
    }

    #[test]
    fn cut_bodies_are_errors_or_shorter_objects(cut in 0_usize..400) {
        for (_, body) in bodies_once() {
            let _ = decode(&body[..cut.min(body.len())]);
        }
    }
}

fn bodies_once() -> &'static [(u64, Vec<u8>)] {
    static BODIES: std::sync::OnceLock<Vec<(u64, Vec<u8>)>> = std::sync::OnceLock::new();
    BODIES.get_or_init(|| bodies("request"))
}

/// Every field of every message that a built-in kind can hold has a JSON name or stands in its parent.
#[test]
fn no_field_of_a_served_kind_is_lost() {
    let mut lost = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let kinds = builtins().iter().filter_map(|r| r.definition);
    let bodies = [
        "authentication.v1.TokenRequest",
        "autoscaling.v1.Scale",
        "policy.v1.Eviction",
    ]
    .map(|k| format!("io.k8s.api.{k}"));
    for definition in kinds.map(str::to_owned).chain(bodies) {
        match tags::find_definition(&definition) {
            Some(message) => walk(message, tags::names(message), &mut seen, &mut lost),
            None => lost.push(definition),
        }
    }
    assert!(seen.len() > 300, "{} messages", seen.len());
    insta::assert_json_snapshot!(lost);
}

fn walk(
    message: &'static tags::Message,
    names: Option<&'static tags::Names>,
    seen: &mut std::collections::BTreeSet<(&'static str, usize)>,
    lost: &mut Vec<String>,
) {
    let parent = names.map_or(0, |n| std::ptr::from_ref(n) as usize);
    if !seen.insert((message.path, parent)) {
        return;
    }
    for field in &message.fields {
        let tags::Kind::Message(path) = field.kind else {
            if names.is_some_and(|n| n.get(field.name).is_none()) {
                lost.push(format!("{}.{}", message.path, field.name));
            }
            continue;
        };
        let inner = tags::find(path).expect("a message of the table");
        match names.map(|n| n.get(field.name)) {
            Some(None) => match message::inlined(field, names) {
                Some(inner) => walk(inner, names, seen, lost),
                None => lost.push(format!("{}.{}", message.path, field.name)),
            },
            _ => walk(inner, tags::names(inner), seen, lost),
        }
    }
}
