//! What templates may say in CUE (REN-003, REN-007, REN-042 to REN-044).

use serde_json::{Value, json};

use super::{component, thing};

#[test]
fn a_parameter_may_be_one_of_several_shapes() {
    let template = r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	if parameter.from.secret != _|_ {got: "secret " + parameter.from.secret}
	if parameter.from.value != _|_ {got: "value " + parameter.from.value}
}}
parameter: from: close({secret: string}) | close({value: string, strict: *true | bool})
"#;
    let spec = |from: Value| component(template, json!({"from": from})).spec()["got"].clone();
    assert_eq!(spec(json!({"secret": "s"})), "secret s");
    assert_eq!(spec(json!({"value": "v"})), "value v");
    component(template, json!({"from": {"secret": "s", "value": "v"}})).fails("parameter.from");
}

#[test]
fn hidden_fields_definitions_and_lets_are_not_shown() {
    let spec = thing(
        r#"
import "strings"

let upper = strings.ToUpper(context.name)
_hidden: {greeting: "hi " + upper}
#Port: {number: int, name: *"port-\(number)" | string}
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	let twice = upper + upper
	text: _hidden.greeting + twice
	port: #Port & {number: 80}
	_inner: 3
	sum: _inner + 1
}}
parameter: {}
"#,
    )
    .spec();
    assert_eq!(
        spec,
        json!({"text": "hi WEBWEBWEB", "port": {"number": 80, "name": "port-80"}, "sum": 4})
    );
}

#[test]
fn comprehensions_make_fields_and_items() {
    let spec = component(
        r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	for k, v in parameter.map if v > 1 {"key-\(k)": v}
	(parameter.name): true
	list: [for i, v in parameter.list if v != "" {"\(i):\(v)"}]
	nested: [for a in [1, 2] for b in [10, 20] {a * b}]
	if len(parameter.list) > 1 for v in parameter.list {"has-\(v)": true}
}}
parameter: {map: [string]: int, name: string, list: [...string]}
"#,
        json!({"map": {"a": 1, "b": 2}, "name": "dyn", "list": ["x", "y"]}),
    )
    .spec();
    assert_eq!(
        spec,
        json!({
            "key-b": 2, "dyn": true, "list": ["0:x", "1:y"], "nested": [10, 20, 20, 40],
            "has-x": true, "has-y": true,
        })
    );
}

#[test]
fn the_standard_library_is_there() {
    let spec = thing(
        r#"
import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/yaml"
	"list"
	"math"
	"net"
	"path"
	"regexp"
	"strconv"
	"strings"
	"struct"
	"text/template"
	"time"
	"uuid"
)

_checked: net.IPv4 & "10.0.0.1"
_few:     struct.MaxFields(2) & {a: 1}
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	sha:      hex.Encode(sha256.Sum256("a"))
	encoded:  base64.Encode(null, "hello")
	decoded:  "\(base64.Decode(null, "aGVsbG8="))"
	asJson:   json.Marshal({b: 1, a: [true, null]})
	parsed:   json.Unmarshal("{\"x\": 1}").x
	asYaml:   yaml.Marshal({a: 1})
	fromYaml: yaml.Unmarshal("a: [1, 2]").a
	joined:   list.Concat([[1], [2, 3]])
	range:    list.Range(0, 6, 2)
	has:      list.Contains([1, 2], 2)
	floor:    math.Floor(2.7)
	ip:       _checked
	base:     path.Base("/a/b.txt", "unix")
	found:    regexp.Find("[0-9]+", "abc123")
	number:   strconv.FormatInt(255, 16)
	flag:     strconv.FormatBool(true)
	cut:      strings.TrimPrefix("v1.2", "v")
	parts:    strings.Split("a,b", ",")
	text:     template.Execute("{{.n}} of {{.m}}", {n: 1, m: 2})
	duration: time.ParseDuration("1m")
	id:       uuid.SHA1(uuid.ns.DNS, 'example.com')
	few:      _few.a
}}
parameter: {}
"#,
    )
    .spec();
    let want = [
        (
            "sha",
            json!("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ),
        ("encoded", json!("aGVsbG8=")),
        ("decoded", json!("hello")),
        ("asJson", json!(r#"{"b":1,"a":[true,null]}"#)),
        ("parsed", json!(1)),
        ("asYaml", json!("a: 1\n")),
        ("fromYaml", json!([1, 2])),
        ("joined", json!([1, 2, 3])),
        ("range", json!([0, 2, 4])),
        ("has", json!(true)),
        ("floor", json!(2)),
        ("ip", json!("10.0.0.1")),
        ("base", json!("b.txt")),
        ("found", json!("123")),
        ("number", json!("ff")),
        ("flag", json!("true")),
        ("cut", json!("1.2")),
        ("parts", json!(["a", "b"])),
        ("text", json!("1 of 2")),
        ("duration", json!(60_000_000_000_i64)),
        ("id", json!("cfbff0d1-9375-5685-968c-48ce8b15ae17")),
        ("few", json!(1)),
    ];
    for (field, value) in want {
        assert_eq!(spec[field], value, "{field}");
    }
}

#[test]
fn authors_may_refuse_with_words_of_their_own() {
    let template = r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: n: parameter.n}
errs: [
	if parameter.n > 3 {"n must not be more than 3"},
	if parameter.n > 5 {"really not"},
]
parameter: n: int
"#;
    assert_eq!(component(template, json!({"n": 3})).spec(), json!({"n": 3}));
    component(template, json!({"n": 6})).fails(
        "validation failed for workload web:\n\nUser Errors:\n  n must not be more than 3\n  really not",
    );
    thing(r#"output: {apiVersion: "x/v1", kind: "Thing"}, parameter: {}"#)
        .with(
            r#"errs: ["no \(parameter.what)"], parameter: what: string"#,
            json!({"what": "way"}),
        )
        .fails("User Errors:\n  no way");
}

#[test]
fn constraints_are_checked() {
    let template = r#"
import "strings"

output: {apiVersion: "x/v1", kind: "Thing", spec: parameter}
parameter: {
	port:  >=1 & <=65535 & int
	name:  =~"^[a-z]+$"
	code?: strings.MinRunes(3)
	size:  *"small" | "large"
	labels?: [=~"^app"]: string
	exact!: bool
}
"#;
    let good = json!({"port": 80, "name": "abc", "exact": true, "labels": {"app.x": "y"}});
    assert_eq!(component(template, good.clone()).spec()["size"], "small");
    let with = |key: &str, value: Value| {
        let mut properties = good.clone();
        properties[key] = value;
        component(template, properties)
    };
    with("port", json!(70000)).fails("parameter.port: invalid value 70000 (out of bound <=65535)");
    with("name", json!("A1")).fails("parameter.name");
    with("code", json!("ab")).fails("parameter.code");
    with("size", json!("huge")).fails("parameter.size");
    let mut lacking = good.clone();
    lacking.as_object_mut().unwrap().remove("exact");
    component(template, lacking).fails("parameter.exact");
}

#[test]
fn an_absent_parameter_is_named() {
    component(
        r#"output: {apiVersion: "x/v1", kind: "Thing", spec: image: parameter.image}, parameter: image: string"#,
        json!({}),
    )
    .fails("image");
}

#[test]
fn numbers_keep_their_value() {
    let spec = component(
        r#"output: {apiVersion: "x/v1", kind: "Thing", spec: parameter}, parameter: {...}"#,
        json!({"one": 1.0, "thousand": 1e3, "half": 0.5, "max": i64::MAX, "min": i64::MIN, "neg": -7}),
    )
    .spec();
    assert_eq!(spec["one"].as_f64(), Some(1.0));
    assert_eq!(spec["thousand"].as_f64(), Some(1000.0));
    assert_eq!(spec["half"].as_f64(), Some(0.5));
    assert_eq!(spec["max"], i64::MAX);
    assert_eq!(spec["min"], i64::MIN);
    assert_eq!(spec["neg"], -7);
}

#[test]
fn texts_keep_every_character() {
    let odd =
        "tab\there, \"quotes\", back\\slash, \\(not interpolated), ünïcode 🚢, line\nbreak, #{}";
    let spec = component(
        "output: {apiVersion: \"x/v1\", kind: \"Thing\", spec: {given: parameter.text, own: \"\"\"\n\tone\n\t  two \\(parameter.n)\n\t\"\"\", raw: #\"a\\(b)\"#}}\nparameter: {text: string, n: int}",
        json!({"text": odd, "n": 2}),
    )
    .spec();
    assert_eq!(spec["given"], odd);
    assert_eq!(spec["own"], "one\n  two 2");
    assert_eq!(spec["raw"], r"a\(b)");
}

#[test]
fn names_of_fields_may_be_anything() {
    let spec = component(
        r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	"a.b/c-d": 1
	"0": 2
	"": 3
	"if": 4
	for k, v in parameter {"\(k)": v}
}}
parameter: [string]: _
"#,
        json!({"x y": 5, "$ref": 6, "_under": 7, "#hash": 8}),
    )
    .spec();
    assert_eq!(
        spec,
        json!({"a.b/c-d": 1, "0": 2, "": 3, "if": 4, "x y": 5, "$ref": 6, "_under": 7, "#hash": 8})
    );
}

#[test]
fn older_cue_is_understood() {
    let spec = component(
        r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	sum:  parameter.a + parameter.b
	more: [0] + [1]
	same: 2 * ["x"]
	error: "a field of this name"
}}
parameter: {a: [...int], b: [...int]}
"#,
        json!({"a": [1], "b": [2, 3]}),
    )
    .spec();
    assert_eq!(
        spec,
        json!({"sum": [1, 2, 3], "more": [0, 1], "same": ["x", "x"], "error": "a field of this name"})
    );
}

/// One name is a list here and a number or a text there.
#[test]
fn arithmetic_of_numbers_and_texts_is_left_alone() {
    let spec = component(
        r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	milli: parameter.cpu * 1000
	greet: parameter.args + parameter.env
	info: {error: "boom", message: error}
}}
_metrics: cpu: [{name: "cpu"}]
_other: {args: ["--x"], env: [{name: "A"}]}
parameter: {cpu: int, args: string, env: string}
"#,
        json!({"cpu": 2, "args": "a", "env": "b"}),
    )
    .spec();
    assert_eq!(
        spec,
        json!({"milli": 2000, "greet": "ab", "info": {"error": "boom", "message": "boom"}})
    );
}

#[test]
fn optional_parameters_with_defaults_inside() {
    let template = r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	if parameter.probe != _|_ {probe: parameter.probe}
	retries: *parameter.retries | 3
	flags: [if parameter.debug {"-v"}, "run"]
}}
parameter: {
	probe?: {path: string, period: *10 | int}
	retries?: int
	debug: *false | bool
}
"#;
    assert_eq!(
        thing(template).spec(),
        json!({"retries": 3, "flags": ["run"]})
    );
    let given = json!({"probe": {"path": "/"}, "retries": 5, "debug": true});
    assert_eq!(
        component(template, given).spec(),
        json!({"probe": {"path": "/", "period": 10}, "retries": 5, "flags": ["-v", "run"]})
    );
}

#[test]
fn null_is_a_value() {
    let template = r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	given: parameter.x
	if parameter.x == null {was: "null"}
}}
parameter: x: *null | string
"#;
    assert_eq!(
        thing(template).spec(),
        json!({"given": null, "was": "null"})
    );
    assert_eq!(
        component(template, json!({"x": "y"})).spec(),
        json!({"given": "y"})
    );
}

#[test]
fn objects_without_parameters_take_none() {
    let spec = thing(r#"output: {apiVersion: "x/v1", kind: "Thing", spec: n: 1}"#).spec();
    assert_eq!(spec, json!({"n": 1}));
}
