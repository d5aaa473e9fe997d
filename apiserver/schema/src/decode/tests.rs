use super::*;
use proptest::prelude::*;
use serde_json::json;

const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";
const CONFIG_MAP: &str = "io.k8s.api.core.v1.ConfigMap";

#[test]
fn repeated_fields_are_named_and_the_last_counts() {
    let decoded =
        json(br#"{"data":{"a":"1","a":"2"},"items":[{"x":1,"x":2}],"kind":"a","kind":"b"}"#)
            .expect("JSON");
    assert_eq!(
        decoded.value,
        json!({"data": {"a": "2"}, "items": [{"x": 2}], "kind": "b"})
    );
    assert_eq!(
        decoded.duplicates,
        [
            "duplicate field \"data.a\"",
            "duplicate field \"items[0].x\"",
            "duplicate field \"kind\"",
        ]
    );
}

#[test]
fn yaml_is_read_with_the_same_care() {
    let decoded =
        yaml(b"data: {a: '1', a: '2'}\nnum: 010\nlist:\n- 1\n- true\n1: x\n").expect("YAML");
    assert_eq!(
        decoded.value,
        json!({"data": {"a": "2"}, "num": 8, "list": [1, true], "1": "x"})
    );
    assert_eq!(decoded.duplicates, ["duplicate field \"data.a\""]);
    assert!(yaml(b"a: [").is_err());
}

#[test]
fn numbers_are_read_as_go_reads_them() {
    let decoded = json(b"[1.0, 1.5, 18446744073709551615, -3, 1e3]").expect("JSON");
    assert_eq!(
        decoded.value.to_string(),
        "[1,1.5,1.8446744073709552e+19,-3,1000]"
    );
}

#[test]
fn what_is_not_json_is_refused() {
    let error = json(b"{\"a\":").expect_err("cut").to_string();
    assert!(
        error.starts_with("couldn't get version/kind; json parse error: "),
        "{error}"
    );
    assert!(json(b"{} {}").is_err());
}

#[test]
fn unknown_fields_of_builtin_kinds_are_removed_and_named() {
    let mut object = json!({"metadata": {"name": "d", "foo": 1}, "spec": {"replica": 1, "template": {"spec": {
        "nodeSelector": {"any": "x"}, "containers": [{"name": "a", "imagee": "x"}]}}}});
    assert_eq!(
        prune_unknown(&mut object, DEPLOYMENT),
        [
            "metadata.foo",
            "spec.replica",
            "spec.template.spec.containers[0].imagee",
        ]
    );
    assert_eq!(
        strict(&[unknown("spec.replica")]),
        "strict decoding error: unknown field \"spec.replica\""
    );
    let mut crd = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {
        "properties": {"a": {"default": {"free": 1}, "additionalProperties": {"type": "string", "typo": 1}, "x-kubernetes-list-type": "map"}}}}}]}});
    let removed = prune_unknown(
        &mut crd,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    );
    assert_eq!(
        removed,
        ["spec.versions[0].schema.openAPIV3Schema.properties.a.additionalProperties.typo"]
    );
}

#[test]
fn values_of_wrong_types_are_refused_in_gos_words() {
    let cases = [
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": "3"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            json!({"spec": 7}),
            "json: cannot unmarshal number into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            DEPLOYMENT,
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            CONFIG_MAP,
            json!({"data": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            CONFIG_MAP,
            json!({"data": []}),
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        ),
        (
            CONFIG_MAP,
            json!({"binaryData": {"a": "!"}}),
            "illegal base64 data at input byte 0",
        ),
        (
            CONFIG_MAP,
            json!([]),
            "json: cannot unmarshal array into Go value of type v1.ConfigMap",
        ),
        (
            CONFIG_MAP,
            json!({"metadata": {"labels": {"a": true}}}),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
    ];
    for (of, object, words) in cases {
        assert_eq!(check_types(&object, of), Err(words.to_owned()));
    }
    let quantity = json!({"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]}}}});
    assert_eq!(
        check_types(&quantity, DEPLOYMENT),
        Err(crate::quantity::MALFORMED.to_owned())
    );
    assert_eq!(
        cannot_be_handled("Deployment", "v1", "why"),
        "Deployment in version \"v1\" cannot be handled as a Deployment: why"
    );
}

#[test]
fn good_objects_pass() {
    let mut object = json!({"metadata": {"creationTimestamp": null, "labels": {"a": "b"}}, "spec": {"replicas": 3, "strategy": {
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}, "template": {"spec": {"containers": [
        {"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "ports": [{"containerPort": 80}]}]}}}});
    assert_eq!(check_types(&object, DEPLOYMENT), Ok(()));
    assert!(prune_unknown(&mut object, DEPLOYMENT).is_empty());
}

#[test]
fn a_round_trip_through_gos_types_drops_nulls_and_empty_collections() {
    let mut object = json!({"metadata": {"labels": {}, "annotations": null, "finalizers": []}, "spec": {"strategy": {}, "template": {
        "spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}}});
    normalise(&mut object, DEPLOYMENT);
    assert_eq!(
        object,
        json!({"metadata": {}, "spec": {"strategy": {}, "template": {
        "spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}}})
    );
}

#[test]
fn quantities_and_times_get_their_canonical_form() {
    let mut object = json!({"metadata": {"creationTimestamp": "2026-11-21T11:14:57.5+01:00"}, "spec": {"template": {"spec": {"containers": [
        {"resources": {"limits": {"cpu": 1, "memory": "0.5Gi"}, "requests": {"cpu": "100m"}}}]}}}});
    normalise(&mut object, DEPLOYMENT);
    assert_eq!(
        object,
        json!({"metadata": {"creationTimestamp": "2026-11-21T10:14:57Z"}, "spec": {"template": {"spec": {"containers": [
        {"resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m"}}}]}}}})
    );
    let mut lease = json!({"spec": {"renewTime": "2026-11-21T10:14:57Z"}});
    normalise(&mut lease, "io.k8s.api.coordination.v1.Lease");
    assert_eq!(lease["spec"]["renewTime"], "2026-11-21T10:14:57.000000Z");
}

proptest! {
    #[test]
    fn json_without_repetition_is_read_as_serde_json_reads_it(text in r#"\{("a":(1|"x"|\[\]|\{"b":null\}))?\}"#) {
        let decoded = json(text.as_bytes()).expect("JSON");
        prop_assert_eq!(decoded.value, serde_json::from_str::<serde_json::Value>(&text).expect("JSON"));
        prop_assert!(decoded.duplicates.is_empty());
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = json(&bytes);
        let _ = yaml(&bytes);
    }
}
