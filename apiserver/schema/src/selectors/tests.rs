use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    LabelSelector::parse(selector)
        .expect("parses")
        .matches(|key| labels.get(key).copied())
}

#[test]
fn label_selectors_select() {
    let labels = [("app", "d2"), ("tier", "web"), ("weight", "5")];
    for selector in [
        "",
        "app=d2",
        "app==d2",
        "app = d2 , tier=web",
        "app!=x",
        "nosuch!=x",
        "app in (a,d2)",
        "app notin (a, b)",
        "app",
        "!nosuch",
        "weight>4",
        "weight<6",
        "nosuch notin (a)",
        "app,!x,tier in (web)",
    ] {
        assert!(selects(selector, &labels), "{selector}");
    }
    for selector in [
        "app=x",
        "app!=d2",
        "nosuch",
        "!app",
        "app in (a,b)",
        "app notin (d2)",
        "weight>5",
        "app>1",
        "nosuch=",
        "nosuch in (a)",
    ] {
        assert!(!selects(selector, &labels), "{selector}");
    }
    assert!(selects("app=", &[("app", "")]));
    assert!(selects("app in (,a)", &[("app", "")]));
}

#[test]
fn label_selectors_are_written_as_kubernetes_writes_them() {
    for (text, written) in [
        ("app in (b, a)", "app in (a,b)"),
        ("a==b", "a=b"),
        ("!a", "!a"),
        ("x > 3", "x>3"),
        ("a!=b,c", "a!=b,c"),
    ] {
        assert_eq!(
            LabelSelector::parse(text).expect("parses").to_string(),
            written
        );
    }
}

#[test]
fn malformed_label_selectors_say_what_is_expected() {
    let cases = [
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("a,", "found '', expected: identifier after ','"),
        (
            ",a",
            "found ',', expected: !, identifier, or 'end of string'",
        ),
        (
            "a in x",
            "unable to parse requirement: found 'x', expected: '('",
        ),
        (
            "a in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            "a in (x",
            "unable to parse requirement: found '', expected: ',' or ')'",
        ),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(
            LabelSelector::parse(text).expect_err(text).to_string(),
            message
        );
    }
    let key = LabelSelector::parse("-a=b")
        .expect_err("a bad key")
        .to_string();
    assert!(
        key.starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of "
        ),
        "{key}"
    );
}

#[test]
fn field_selectors_select() {
    let field = |name: &str| {
        if name == "metadata.name" {
            "cm1".to_owned()
        } else {
            String::new()
        }
    };
    for (text, expected) in [
        ("metadata.name=cm1", true),
        ("metadata.name==cm1", true),
        ("metadata.name!=cm1", false),
        ("", true),
        ("spec.x=", true),
    ] {
        assert_eq!(
            FieldSelector::parse(text).expect("parses").matches(field),
            expected,
            "{text}"
        );
    }
    let escaped = FieldSelector::parse(r"a=b\,c\=d").expect("parses");
    assert_eq!(
        escaped.requirements,
        [FieldRequirement {
            field: "a".into(),
            equal: true,
            value: "b,c=d".into()
        }]
    );
}

#[test]
fn malformed_and_unknown_fields_are_refused() {
    assert_eq!(
        FieldSelector::parse("x")
            .expect_err("no operator")
            .to_string(),
        "invalid selector: 'x'; can't understand 'x'"
    );
    assert!(FieldSelector::parse(r"a=\x").is_err());
    // As recorded (command 44).
    let selector = FieldSelector::parse("metadata.nosuch=cm1").expect("parses");
    assert_eq!(
        selector
            .check(&["metadata.name", "metadata.namespace"])
            .expect_err("unknown")
            .to_string(),
        "\"metadata.nosuch\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in "[a-c=!<>(),\\\\ in]{0,24}|\\PC{0,12}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn what_is_written_parses_to_the_same(text in "(a|b|c)(=x|!=y|| in \\(x,y\\)| notin \\(z\\))(,(d|!e|f=1))?") {
        let parsed = LabelSelector::parse(&text).expect("well-formed");
        prop_assert_eq!(LabelSelector::parse(&parsed.to_string()).expect("well-formed"), parsed);
    }
}
