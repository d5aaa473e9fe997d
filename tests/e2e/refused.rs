//! Bad input: refused where the user waits for the answer, with the place; nothing is applied, and what ran
//! before keeps running.

use crate::place::{Place, application, generations};

/// A case: what is wrong, the Application, and what the answer must name.
struct Case {
    what: &'static str,
    manifest: String,
    names: &'static [&'static str],
}

fn case(what: &'static str, manifest: impl Into<String>, names: &'static [&'static str]) -> Case {
    Case {
        what,
        manifest: manifest.into(),
        names,
    }
}

fn cases() -> Vec<Case> {
    let mut cases = shapes();
    cases.extend(meanings());
    cases
}

/// What is wrong by itself.
fn shapes() -> Vec<Case> {
    vec![
        case(
            "a missing parameter",
            application("web", "webservice", "{cpu: \"1\"}"),
            &["spec.components[0].properties.image", "Required value"],
        ),
        case(
            "a parameter of another type",
            application(
                "web",
                "webservice",
                "{image: nginx:2, ports: [{port: eighty}]}",
            ),
            &["spec.components[0].properties.ports"],
        ),
        case(
            "a wrong parameter of a trait",
            application("web", "webservice", "{image: nginx:2}")
                + "    traits: [{type: scaler, properties: {replicas: many}}]\n",
            &["spec.components[0].traits[0].properties.replicas"],
        ),
        case(
            "an unknown field",
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec:\n  componentz: []\n  components: []\n",
            &["componentz"],
        ),
        case(
            "a wrong shape",
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec: {components: {name: web}}\n",
            &["components"],
        ),
        case(
            "one name for two components",
            application("web", "webservice", "{image: nginx:2}")
                + "  - {name: web, type: worker, properties: {image: busybox:1}}\n",
            &["spec.components[1].name", "web"],
        ),
        case(
            "a circle of dependencies",
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec:\n  components:\n\
             \x20 - {name: a, type: worker, properties: {image: busybox:1}, dependsOn: [b]}\n\
             \x20 - {name: b, type: worker, properties: {image: busybox:1}, dependsOn: [a]}\n",
            &["dependsOn", "a", "b"],
        ),
    ]
}

/// What is wrong with regard to definitions, and to the rest of the Application.
fn meanings() -> Vec<Case> {
    vec![
        case(
            "a trait that says no",
            application("web", "webservice", "{image: nginx:2}")
                + "    traits: [{type: env, properties: {containerName: nosuch, env: {A: b}}}]\n",
            &[
                "spec.components[0].traits[0]",
                "container nosuch not found",
                "env",
            ],
        ),
        case(
            "a closed parameter",
            application(
                "web",
                "webservice",
                "{image: nginx:2, imagePullPolicy: Allways}",
            ),
            &[
                "imagePullPolicy",
                "IfNotPresent",
                "did you mean `Always`?",
                "webservice@v1 template line",
            ],
        ),
        case(
            "a wrong parameter beside an unknown type",
            application("web", "webservce", "{}")
                + "  - {name: back, type: worker, properties: {image: 5}}\n",
            &[
                "spec.components[1].properties.image",
                "write \"5\" with quotes",
            ],
        ),
        case(
            "a wrong parameter of a step",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: call, type: request, properties: {method: GET}}]}\n",
            &["spec.workflow.steps[0].properties.url", "step call"],
        ),
        case(
            "a step that applies what is not there",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: a, type: apply-component, properties: {component: wep}}]}\n",
            &[
                "spec.workflow.steps[0].properties.component",
                "did you mean `web`?",
            ],
        ),
        case(
            "a broken condition",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: a, type: suspend, if: \"x ==\"}]}\n",
            &["spec.workflow.steps[0].if"],
        ),
        case(
            "a dependency on nothing",
            application("web", "webservice", "{image: nginx:2}") + "    dependsOn: [databse]\n",
            &["spec.components[0].dependsOn[0]", "databse"],
        ),
        case(
            "an override that breaks a parameter",
            application("web", "webservice", "{image: nginx:2}")
                + "  policies: [{name: o, type: override, properties: {components: [{name: web, properties: {cpu: 2}}]}}]\n",
            &[
                "spec.policies[0].properties.components[0].properties.cpu",
                "overrides of step deploy",
            ],
        ),
        case(
            "several at once",
            application("web", "webservice", "{image: 5, ports: [{port: eighty}]}")
                + "    traits: [{type: scaler, properties: {replicas: many}}]\n",
            &[
                "properties.image",
                "properties.ports[0].port",
                "traits[0].properties.replicas",
            ],
        ),
        case(
            "one name for two steps",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: s, type: suspend}, {name: s, type: suspend}]}\n",
            &["spec.workflow.steps[1]", "s"],
        ),
    ]
}

#[test]
fn bad_input_is_refused_at_apply_with_its_place() {
    let place = Place::shared("refused");
    let mut wrong = Vec::new();
    for Case {
        what,
        manifest,
        names,
    } in cases()
    {
        let answer = place.apply(&manifest);
        let said = format!("{}{}", answer.stdout, answer.stderr);
        if answer.exit == 0 || !names.iter().all(|name| said.contains(name)) {
            wrong.push(format!(
                "{what}: exit {}, expected {names:?}: {said}",
                answer.exit
            ));
        }
        if place.get("app", "web").is_some() {
            wrong.push(format!("{what}: it is there all the same"));
            place.run("delete app web").ok();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(place.names("deploy").is_empty());
}

#[test]
fn what_ran_before_keeps_running() {
    let place = Place::shared("refused-later");
    place
        .apply(&application("web", "webservice", "{image: nginx:1}"))
        .ok();
    let before = place.wait_until_running("web");
    let generation = generations(&place, "deploy");
    for Case { what, manifest, .. } in cases() {
        let answer = place.apply(&manifest);
        assert_ne!(answer.exit, 0, "{what}");
        let now = place.object("app", "web");
        assert_eq!(now["spec"], before["spec"], "{what}");
        assert_eq!(now["status"]["status"], "running", "{what}");
    }
    assert_eq!(generations(&place, "deploy"), generation);
}

#[test]
fn what_can_only_be_seen_later_is_told_in_the_status_and_changes_nothing() {
    let place = Place::shared("refused-template");
    // It compiles; what it makes of this parameter does not.
    let definition = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: picky}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        output: {
          apiVersion: "v1"
          kind: "ConfigMap"
          data: value: table[parameter.key]
        }
        table: known: "yes"
        parameter: key: string
"#;
    place.apply(definition).ok();
    place
        .apply(&application("pick", "picky", "{key: known}"))
        .ok();
    place.wait_until_running("pick");
    let answer = place.apply(&application("pick", "picky", "{key: nobody}"));
    let told = if answer.exit == 0 {
        caravel_tests::wait::eventually("a condition tells", || {
            let status = place.object("app", "pick")["status"].to_string();
            status.contains("nobody").then_some(status)
        })
    } else {
        answer.stderr
    };
    assert!(told.contains("picky"), "the definition is named: {told}");
    let config = place.object("cm", "pick");
    assert_eq!(
        config["data"]["value"], "yes",
        "what was delivered before stays"
    );
}

/// What is let pass, with a word about it; strictly, it is refused.
#[test]
fn what_is_probably_not_meant_is_a_warning_and_strictly_a_refusal() {
    let place = Place::shared("refused-strict");
    let manual = "apiVersion: core.oam.dev/v1beta1\nkind: TraitDefinition\nmetadata: {name: manual}\nspec:\n  \
                  appliesToWorkloads: [\"*\"]\n  conflictsWith: [scaler]\n  schematic: {cue: {template: \"patch: {}\\n\
                  parameter: {}\"}}\n";
    place.apply(manual).ok();
    let spare = "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {name: spare}\nspec:\n  \
                 workload: {definition: {apiVersion: v1, kind: ConfigMap}}\n  schematic: {cue: {template: \"output: {apiVersion: \\\"v1\\\", \
                 kind: \\\"ConfigMap\\\"}\\nparameter: {zone: string, note?: string}\"}}\n";
    place.apply(spare).ok();
    let cases = [
        (
            "an undeclared parameter",
            application("web", "webservice", "{image: nginx:2, prot: 80}"),
            "did you mean `port`?",
        ),
        (
            "a required parameter that rendering does without",
            application("web", "spare", "{note: busybox:1}"),
            "the parameter `zone` is missing",
        ),
        (
            "conflicting traits",
            application("web", "webservice", "{image: nginx:2}")
                + "    traits: [{type: scaler}, {type: manual}]\n",
            "does not go with",
        ),
        (
            "a trait for another workload",
            application("web", "task", "{image: busybox:1}") + "    traits: [{type: hpa}]\n",
            "is not meant for",
        ),
        (
            "an input that nothing feeds",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: a, type: suspend, inputs: [{from: nowhere, parameterKey: x}]}]}\n",
            "this waits for ever",
        ),
        (
            "an unknown policy",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: a, type: deploy, properties: {policies: [nowhere]}}]}\n",
            "there is no policy `nowhere`",
        ),
    ];
    for (what, manifest, expected) in cases {
        let answer = place.apply(&manifest);
        assert_eq!(answer.exit, 0, "{what}: {}", answer.stderr);
        assert!(
            answer.stderr.contains("Warning") && answer.stderr.contains(expected),
            "{what}: {}",
            answer.stderr
        );
        if !what.starts_with("an unknown") {
            caravel_tests::wait::eventually("a condition tells", || {
                let app = place.object("app", "web");
                let mut conditions = app["status"]["conditions"].as_array()?.iter();
                let warned = conditions.find(|one| one["type"] == "Warned")?;
                let said = warned["message"].as_str()?.contains(expected);
                (said && warned["status"] == "True").then_some(())
            });
        }
        let before = place.object("app", "web");
        let strict = "metadata: {name: web, annotations: {caravel.dev/strict-admission: \"true\"}}";
        // The wish alone is a change that is judged.
        let stricter = manifest.replace("metadata: {name: web}", strict);
        let said = place.apply(&stricter).fails();
        assert!(said.contains(expected), "{what}: {said}");
        assert_eq!(place.object("app", "web")["spec"], before["spec"], "{what}");
    }
}

/// Once it is mended, nothing is left to warn of.
#[test]
fn a_warning_goes_with_its_cause() {
    let place = Place::shared("refused-warned");
    let warned = || {
        let app = place.object("app", "web");
        let conditions = app["status"]["conditions"].as_array().cloned();
        conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Warned"))
    };
    let wrong = application("web", "webservice", "{image: nginx:2, prot: 80}");
    place.apply(&wrong).ok();
    caravel_tests::wait::eventually("a condition tells", || warned().then_some(()));
    place
        .apply(&application(
            "web",
            "webservice",
            "{image: nginx:2, port: 80}",
        ))
        .ok();
    caravel_tests::wait::eventually("it is gone", || (!warned()).then_some(()));
}

/// One answer for one mistake: the wrong name, and what is missing for it.
#[test]
fn a_misspelt_required_parameter_is_told_as_one_mistake() {
    let place = Place::shared("refused-misspelt");
    let said = place
        .apply(&application("web", "webservice", "{imagee: nginx:2}"))
        .fails();
    let expected = "the parameter `image` is missing (expected string)";
    let hint = "`imagee` is given, which is not declared: did you mean `image`?";
    assert!(said.contains(expected) && said.contains(hint), "{said}");
}

/// Programs get each part of an error as a field.
#[test]
fn causes_have_fields() {
    let place = Place::shared("refused-causes");
    place.kubectl.file(
        "manifest.yaml",
        &application(
            "web",
            "webservice",
            "{image: nginx:2, ports: [{port: eighty}]}",
        ),
    );
    let answer = place.run("create -f manifest.yaml -v=8");
    assert_ne!(answer.exit, 0);
    let said = answer.stderr.replace("\\\"", "\"");
    for part in [
        "\"field\":\"spec.components[0].properties.ports[0].port\"",
        "\"expected\":\"int\"",
        "\"kind\":\"invalid\"",
        "\"definition\":\"webservice\"",
        "\"subject\":\"component web\"",
        "\"line\":",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

/// With the flag the whole hub is strict.
#[test]
fn a_strict_hub_refuses_what_others_warn_of() {
    let daemon = caravel_tests::daemon::Daemon::start(&["--strict-admission"]);
    let kubectl = caravel_tests::kubectl::Kubectl::new(&daemon);
    kubectl.file("app.yaml", &application("web", "nothing-known", "{}"));
    let said = kubectl.run("apply -f app.yaml").fails();
    assert!(
        said.contains("there is no component type `nothing-known`"),
        "{said}"
    );
    kubectl.file(
        "app.yaml",
        &application("web", "webservice", "{image: nginx:2}"),
    );
    kubectl.run("apply -f app.yaml").ok();
}

/// Row OPS-203: where the hub asks for it, who may not read a definition may not use it.
#[test]
fn a_definition_is_used_by_those_who_may_read_it() {
    let daemon = caravel_tests::daemon::Daemon::start(&["--check-definition-permissions"]);
    let kubectl = caravel_tests::kubectl::Kubectl::new(&daemon);
    let app = application("web", "webservice", "{image: nginx:2}");
    kubectl.file("app.yaml", &(app + "    traits: [{type: scaler}]\n"));
    kubectl
        .run("create role apps --verb=* --resource=applications.core.oam.dev")
        .ok();
    kubectl
        .run("create rolebinding apps --role=apps --user=dev")
        .ok();
    let read =
        "create role reader -n vela-system --verb=get --resource=componentdefinitions.core.oam.dev";
    kubectl.run(read).ok();
    kubectl
        .run("create rolebinding reader -n vela-system --role=reader --user=dev")
        .ok();
    let said = kubectl.run("apply -f app.yaml --as dev").fails();
    assert!(
        said.contains("dev may not use the definition `scaler`")
            && said.contains("spec.components[0].traits[0].type")
            && !said.contains("`webservice`"),
        "{said}"
    );
    kubectl
        .run("create role traits -n vela-system --verb=get --resource=traitdefinitions.core.oam.dev --resource-name=scaler")
        .ok();
    kubectl
        .run("create rolebinding traits -n vela-system --role=traits --user=dev")
        .ok();
    kubectl.run("apply -f app.yaml --as dev").ok();
}

/// Row REN-032: set once, a parameter stays; an annotation lets it change.
#[test]
fn an_immutable_parameter_does_not_change() {
    let place = Place::shared("refused-immutable");
    let definition = "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {name: vault}\nspec:\n  \
                      workload: {definition: {apiVersion: v1, kind: ConfigMap}}\n  schematic:\n    cue:\n      template: |\n        \
                      output: {apiVersion: \"v1\", kind: \"ConfigMap\", data: zone: parameter.zone}\n        \
                      parameter: {\n          // +immutable\n          zone: string\n        }\n";
    place.apply(definition).ok();
    place.apply(&application("mine", "vault", "{zone: a}")).ok();
    place.wait_until_running("mine");
    let said = place
        .apply(&application("mine", "vault", "{zone: b}"))
        .fails();
    assert!(
        said.contains("properties.zone") && said.contains("immutable"),
        "{said}"
    );
    assert_eq!(place.object("cm", "mine")["data"]["zone"], "a");
    let forced = application("mine", "vault", "{zone: b}").replace(
        "metadata: {name: mine}",
        "metadata: {name: mine, annotations: {app.oam.dev/force-param-mutations: \"true\"}}",
    );
    place.apply(&forced).ok();
    caravel_tests::wait::eventually("the change arrives", || {
        (place.object("cm", "mine")["data"]["zone"] == "b").then_some(())
    });
}
