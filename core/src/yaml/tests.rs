use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What `sigs.k8s.io/yaml` makes of plain scalars (conformance TRAPS 1 and 3).
#[test]
fn scalars_mean_what_they_mean_to_kubernetes() {
    for (text, expected) in [
        ("y", json!(true)),
        ("Yes", json!(true)),
        ("on", json!(true)),
        ("n", json!(false)),
        ("OFF", json!(false)),
        ("true", json!(true)),
        ("~", json!(null)),
        ("null", json!(null)),
        ("", json!(null)),
        ("010", json!(8)),
        ("0o17", json!(15)),
        ("0x10", json!(16)),
        ("0b101", json!(5)),
        ("-0x10", json!(-16)),
        ("1_000", json!(1000)),
        ("+7", json!(7)),
        ("-0", json!(0)),
        ("1.0", json!(1)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615.0)),
        (
            "123456789012345678901234567890",
            json!(1.234_567_890_123_456_8e29),
        ),
        ("1.2.3", json!("1.2.3")),
        ("v1", json!("v1")),
        ("1Gi", json!("1Gi")),
        ("1:30", json!("1:30")),
        ("2026-11-21", json!("2026-11-21")),
        ("2026-11-21T10:00:00Z", json!("2026-11-21T10:00:00Z")),
        ("'010'", json!("010")),
        ("\"yes\"", json!("yes")),
        ("!!str 010", json!("010")),
        ("100m", json!("100m")),
        ("0.1.0", json!("0.1.0")),
        ("a: b", json!({"a": "b"})),
        ("yes: 1", json!({"true": 1})),
        ("1: x", json!({"1": "x"})),
        ("0x10: x", json!({"16": "x"})),
        ("null", json!(null)),
    ] {
        let read = parse_one(&format!("v: [{text}]"))
            .or_else(|_| parse_one(&format!("v: {text}")))
            .map(|value| value["v"].clone());
        let read = match read {
            Ok(Value::Array(mut items)) if items.len() == 1 => items.remove(0),
            Ok(Value::Array(items)) if items.is_empty() => Value::Null,
            Ok(other) => other,
            Err(error) => panic!("{text}: {error}"),
        };
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn a_stream_has_documents_and_empty_ones_do_not_count() {
    let documents = parse("---\n# only a comment\n---\na: 1\n---\n\n---\nb: 2\n...\n").unwrap();
    assert_eq!(documents, [json!({"a": 1}), json!({"b": 2})]);
    assert_eq!(parse("").unwrap(), Vec::<Value>::new());
    assert_eq!(parse_one("").unwrap(), Value::Null);
    assert_eq!(
        parse_one("a: 1\n---\nb: 2\n").unwrap_err().to_string(),
        "expected one YAML document, found 2"
    );
}

#[test]
fn anchors_and_merge_keys() {
    let text = "base: &b {x: 1, z: 2}\nderived:\n  <<: *b\n  z: 3\n";
    assert_eq!(
        parse_one(text).unwrap(),
        json!({"base": {"x": 1, "z": 2}, "derived": {"x": 1, "z": 3}})
    );
}

#[test]
fn a_quoted_text_may_go_on_without_indentation() {
    let text = concat!(
        "metadata:\n",
        "  annotations:\n",
        "    text: \"one\n",
        "    two\n",
        "three\n",
        "\n",
        "four\"\n",
        "    other: 'a\n",
        "  b'\n",
        "  name: x\n",
    );
    let found = parse_one(text).unwrap();
    assert_eq!(
        found["metadata"]["annotations"]["text"],
        "one two three\nfour"
    );
    assert_eq!(found["metadata"]["annotations"]["other"], "a b");
    assert_eq!(found["metadata"]["name"], "x");
    assert_eq!(position(text, 0, "metadata.name"), Some((10, 9)));
    // A text that does not end is an error still.
    assert!(parse("a: \"b\nc: d\n").is_err());
}

#[test]
fn errors_say_where() {
    let error = parse("a: 1\nb:\n  - x\n c: 2\n").unwrap_err();
    assert_eq!(error.position.map(|at| at.0), Some(4), "{error}");
    let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!(error.position, Some((3, 1)), "{error}");
    assert_eq!(error.message, "the key `a` stands here twice");
    let error = parse("a:\n  b: .inf\n").unwrap_err();
    assert_eq!(error.position.map(|at| at.0), Some(2), "{error}");
    for error in [
        "a: [1",
        "a: *x",
        "{a: {b: 1}: c}",
        "? [1]\n: 2",
        "~: 1",
        "a: !!binary x",
    ] {
        let error = parse(error).unwrap_err();
        assert!(!error.message.is_empty());
    }
}

#[test]
fn errors_are_in_words_for_authors() {
    let texts = [
        "a:\n\tb: 1\n",
        "a: \"x\n",
        "a:\n  b: 1\n c: 2\n",
        "a: [1, 2\nb: c\n",
        "a: *x\n",
        "a: 1\na: 2\n",
        "a: b: c\n",
        "a: @x\n",
        "a: %x\n",
        "a: \"\\q\"\n",
        "a: !!int x\n",
        "a: b\n- c\n",
        "a: b\nc\nd: e\n",
        "a: .nan\n",
        "? [a]\n: b\n",
        "{\"a\": [1,}\n",
        "a: {b: c}}\n",
        "a: [1,\n",
        "<<: 5\n",
    ];
    let told = texts.map(|text| {
        let error = parse(text).unwrap_err();
        format!("{text:?}\n  {error}; {}\n", error.hint)
    });
    let told = told.concat();
    insta::assert_snapshot!(told, @r##"
    "a:\n\tb: 1\n"
      line 2, column 2: this line is indented with a tab; indent with blanks: YAML takes no tabs there
    "a: \"x\n"
      line 1, column 4: a text in quotes has no end; close the quote
    "a:\n  b: 1\n c: 2\n"
      line 3, column 2: this line belongs to nothing above it; indent it like the other keys of its map, or items of its list
    "a: [1, 2\nb: c\n"
      line 2, column 2: there can be no `:` here; close the bracket or the quote before it
    "a: *x\n"
      line 1, column 4: there is no anchor of this name before; mark what is meant with `&name`; a text that begins with `*` stands in quotes
    "a: 1\na: 2\n"
      line 2, column 1: the key `a` stands here twice; remove one of the two
    "a: b: c\n"
      line 1, column 5: there is a second `: ` in this line; put the value in quotes, or begin a new line for the inner key
    "a: @x\n"
      line 1, column 4: `@` cannot begin a text; put the text in quotes
    "a: %x\n"
      line 1, column 4: `%` cannot begin a text; put the text in quotes
    "a: \"\\q\"\n"
      line 1, column 4: a text in double quotes has an escape that there is not; write `\\` for a backslash, or put the text in single quotes
    "a: !!int x\n"
      line 1, column 10: the value is no number, as its tag says; remove the tag, or write a number
    "a: b\n- c\n"
      line 2, column 3: this line belongs to nothing above it; indent it like the other keys of its map, or items of its list
    "a: b\nc\nd: e\n"
      line 2, column 1: there is no `:` after this key; write `key: value`, with a blank after the colon
    "a: .nan\n"
      line 1, column 4: infinity and not-a-number have no place in JSON; put it in quotes if it is a text
    "? [a]\n: b\n"
      a key must be text; found a list or a map; 
    "{\"a\": [1,}\n"
      line 1, column 7: a bracket is closed by one of another kind; close `[` with `]` and `{` with `}`; after the last item there is no need of a comma
    "a: {b: c}}\n"
      line 1, column 10: this bracket closes nothing; remove it, or open it before
    "a: [1,\n"
      line 1, column 4: a bracket has no end; close `[` with `]` and `{` with `}`
    "<<: 5\n"
      line 1, column 5: `<<` takes maps only; name an anchor of a map: `<<: *name`
    "##);
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..12 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        lines.push(format!("a{level}: &a{level} [{refs}]"));
    }
    assert!(parse(&lines.join("\n")).is_err());
}

#[test]
fn deep_nesting_is_refused() {
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&format!("{}{}", "- ".repeat(10_000), "a")).is_err());
    assert!(parse(&format!("{}1{}", "[".repeat(60), "]".repeat(60))).is_ok());
}

#[test]
fn a_large_text_is_refused() {
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    assert_eq!(
        parse_with("a: 1234567890", limits).unwrap_err().to_string(),
        "the text has 13 bytes, at most 10 are read"
    );
}

#[test]
fn fields_are_found_in_the_text() {
    let text = "# first\n---\nkind: A\n---\nspec:\n  components:\n  - name: a\n    type: x\n  - name: b\n    \
                properties:\n      \"a.b\": 1\n";
    for (path, expected) in [
        ("spec.components[0].type", (8, 11)),
        ("spec.components[1].name", (9, 11)),
        ("spec.components[1].properties[\"a.b\"]", (11, 14)),
        // What is missing is shown where it should stand.
        ("spec.components[1].type", (9, 5)),
        ("spec.components[7].type", (7, 5)),
        ("", (5, 1)),
    ] {
        assert_eq!(position(text, 1, path), Some(expected), "{path}");
    }
    let flow = "é: {a: nginx, b: [1, 2], c: \"x y\"} # c\nd: plain text # c\n";
    for (path, name, value) in [
        ("é.a", (1, 5, Some(1)), (1, 8, Some(5))),
        ("é.b", (1, 15, Some(1)), (1, 18, None)),
        ("é.b[1]", (1, 22, Some(1)), (1, 22, Some(1))),
        ("é.c", (1, 26, Some(1)), (1, 29, Some(5))),
        ("d", (2, 1, Some(1)), (2, 4, Some(10))),
        ("é", (1, 1, Some(1)), (1, 4, None)),
    ] {
        let plain = |spot: Option<Spot>| spot.map(|at| (at.line, at.column, at.letters));
        assert_eq!(plain(key_spot(flow, 0, path)), Some(name), "{path}");
        assert_eq!(plain(value_spot(flow, 0, path)), Some(value), "{path}");
    }
    assert_eq!(position(text, 0, "kind"), Some((3, 7)));
    assert_eq!(position(text, 2, "kind"), None);
    assert_eq!(position("a: [", 0, "a"), None);
    assert_eq!(position(&"[".repeat(100_000), 0, "a"), None);
    assert_eq!(
        position(&format!("{}1", "- ".repeat(31)), 0, "[0][0]"),
        Some((1, 5))
    );
}

#[test]
fn writes_as_kubectl_does() {
    let value = json!({
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a", "labels": {}, "finalizers": []},
        "list": [{"name": "x", "ports": [80, 443]}, "y", [1, [2]], {}],
        "data": {
            "yes": "on", "n": "010", "empty": "", "float": "1e3", "null": "null", "time": "1:30",
            "date": "2026-11-21", "version": "1.2.3", "quantity": "500m", "star": "*", "colon": "a: b",
            "url": "http://x:80/", "comment": "a #b", "dash": "- a", "minus": "-", "neg": "-x",
            "lines": "a\nb\n", "more": "a\n\nb", "kept": "a\n\n\n", "indented": "  a\nb\n", "tab": "a\tb",
            "quote": "it's", "quoted": "\"a\"", "space": " a", "unicode": "Grüße", "hash": "#a", "tilde": "~",
            "under": "1_000", "hex": "0x1F", "percent": "100%", "at": "@a", "json": "{\"a\":1}\n",
        },
        "number": 1.5, "none": null, "big": 1.234_567_890_123_456_8e29,
    });
    let text = to_string(&value);
    insta::assert_snapshot!(text);
    assert_eq!(parse_one(&text).unwrap(), value);
}

#[test]
fn a_stream_is_written_with_separators() {
    assert_eq!(stream(&[json!({"a": 1}), json!([])]), "a: 1\n---\n[]\n");
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~\n\t]{0,12}",
        "\\PC{0,8}",
        "[-+.0-9_:eExob]{1,8}",
        "(?i)(yes|no|on|off|true|false|null|~|y|n|<<|=)",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_value()) {
        let text = to_string(&value);
        prop_assert_eq!(parse_one(&text).unwrap(), value, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = parse(&text);
    }
}

/// The rest of a comparison with `sigs.k8s.io/yaml` 1.4: odd forms that mean the same, and those that do
/// not, because the reader decides before it is asked.
#[test]
fn odd_scalars_and_known_differences() {
    let read = |text: &str| {
        let value = parse_one(&format!("v: {text}")).map(|value| value["v"].clone());
        value.unwrap_or_else(|error| json!(error.to_string()))
    };
    for (text, expected) in [
        ("089", json!(89)),
        ("0o8", json!("0o8")),
        ("+.5", json!(0.5)),
        ("0x_1F", json!(31)),
        ("-0b11", json!(-3)),
        ("0777", json!(511)),
        ("_1", json!("_1")),
        (".1e1", json!(1)),
        ("1.", json!(1)),
        ("NaN", json!("NaN")),
        ("inf", json!("inf")),
        ("TRUE", json!(true)),
        ("NULL", json!(null)),
        ("0b2", json!("0b2")),
        ("!!int '3'", json!(3)),
        ("12e03", json!(12000)),
        ("1:20:30", json!("1:20:30")),
        (
            "2001-12-14t21:59:43.10-05:00",
            json!("2001-12-14t21:59:43.10-05:00"),
        ),
        ("=", json!("=")),
        ("!foo x", json!("x")),
        ("!!binary aGk=", json!("hi")),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    for (text, ours, theirs) in [
        ("yEs", json!(true), json!("yEs")),
        ("nULL", json!(null), json!("nULL")),
        ("1__0", json!("1__0"), json!(10)),
        ("1_000.5", json!("1_000.5"), json!(1000.5)),
    ] {
        assert_eq!(read(text), ours, "{text} is {theirs} to sigs.k8s.io/yaml");
    }
    // A text there; here it says what is wrong.
    assert!(read("1e400").as_str().unwrap().contains("infinity"));
}
