//! `caravel def` against a hub: what is registered comes back, is edited, compared, deleted, and follows what is saved.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use caravel_tests::daemon::program;
use caravel_tests::kubectl::{Output, finish};
use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, application};

const SHOUT: &str = r#""shout": {
	type: "component"
	annotations: {}
	labels: {}
	description: "Says something loudly"
	attributes: workload: definition: {
		apiVersion: "v1"
		kind:       "ConfigMap"
	}
}
template: {
	output: {
		apiVersion: "v1"
		kind:       "ConfigMap"
		data: text: "\(parameter.text)!"
	}
	parameter: {
		// +usage=What is said
		text: string
	}
}
"#;

/// A place with the definition and an Application that uses it.
fn place(namespace: &str) -> Place {
    let place = Place::shared(namespace);
    place.kubectl.file("shout.cue", SHOUT);
    place.caravel("def apply shout.cue").ok();
    place
        .apply(&application("loud", "shout", "{text: hello}"))
        .ok();
    place.wait_until_running("loud");
    place
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `caravel def edit shout` with an editor that is a line of shell.
fn edit(place: &Place, script: &str) -> Output {
    place
        .kubectl
        .file("editor.sh", &format!("{script} \"$1\"\n"));
    let editor = place.kubectl.folder().join("editor.sh");
    finish(
        Command::new(program())
            .args(["def", "edit", "shout", "-n", &place.namespace])
            .env("KUBECONFIG", place.daemon.kubeconfig())
            .env("KUBE_EDITOR", format!("sh {}", editor.display()))
            .env("TMPDIR", place.kubectl.folder())
            .current_dir(place.kubectl.folder()),
    )
}

#[test]
fn a_definition_comes_back_as_it_was_registered() {
    let place = place("def-get");
    let revisions = |place: &Place| {
        let told = json(&place.caravel("def get shout --revisions -o json").ok());
        let names: Vec<String> = told
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| Some(one["metadata"]["name"].as_str()?.to_owned()))
            .collect();
        names
    };
    eventually("the first revision", || {
        (revisions(&place) == ["shout-v1"]).then_some(())
    });

    // What is printed can be registered again, and changes nothing.
    let text = place.caravel("def get shout").ok();
    assert!(text.contains("// +usage=What is said"), "{text}");
    place.kubectl.file("again.cue", &text);
    place.caravel("def vet again.cue --strict").ok();
    let before = place.object("componentdefinition", "shout")["metadata"]["generation"].clone();
    place.caravel("def apply again.cue").ok();
    let after = place.object("componentdefinition", "shout")["metadata"]["generation"].clone();
    assert_eq!(before, after);

    place
        .kubectl
        .file("shout.cue", &SHOUT.replace(")!\"", ")?\""));
    place.caravel("def apply shout.cue").ok();
    eventually("the second revision", || {
        (revisions(&place) == ["shout-v1", "shout-v2"]).then_some(())
    });
    assert!(place.caravel("def get shout@v1").ok().contains(")!\""));
    assert!(
        place
            .caravel("def get shout --revision 2")
            .ok()
            .contains(")?\"")
    );
    let unknown = place.caravel("def get shout@v9").fails();
    assert!(unknown.contains("shout-v1, shout-v2"), "{unknown}");

    let object = json(&place.caravel("def get shout -o json").ok());
    assert_eq!(object["kind"], "ComponentDefinition");
    let shown = place.caravel("def show shout").ok();
    assert!(
        shown.contains("text") && shown.contains("What is said"),
        "{shown}"
    );
    let listed = json(&place.caravel("def list -o json").ok());
    assert_eq!(listed[0]["revision"], "shout-v2");
    let nobody = place.caravel("def get nobody").fails();
    assert!(
        nobody.contains("there is no definition nobody in def-get"),
        "{nobody}"
    );
    let wrong = json(&place.caravel("def get nobody -o json").stdout);
    assert_eq!(wrong["errors"][0]["level"], "error");
}

/// Whoever made the definition before: what the author does not write any more is gone, what is not the author's stays.
#[test]
fn a_definition_that_is_registered_takes_the_place_of_what_was_there() {
    let place = Place::shared("def-replace");
    let old = r#"
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata:
  name: tag
  labels: {team: blue}
  annotations: {definition.oam.dev/alias: marker, caravel.dev/cue-evaluator: v2}
spec:
  podDisruptive: true
  stage: PostDispatch
  appliesToWorkloads: [deployments.apps]
  conflictsWith: [labels]
  status: {healthPolicy: "isHealth: context.output.metadata.annotations.tag != _|_"}
  schematic: {cue: {template: "patch: metadata: annotations: tag: \"1\"\nparameter: {}"}}
"#;
    place.apply(old).ok();
    place.kubectl.file(
        "tag.cue",
        r#""tag": {
	type: "trait"
	annotations: {}
	labels: {}
	description: "Marks an object"
	attributes: {}
}
template: {
	patch: metadata: annotations: tag: "2"
	parameter: {}
}
"#,
    );
    place.caravel("def apply tag.cue").ok();
    let now = place.object("traitdefinition", "tag");
    let spec = now["spec"].as_object().expect("a specification");
    assert_eq!(spec.keys().collect::<Vec<_>>(), ["schematic"], "{spec:?}");
    let template = spec["schematic"]["cue"]["template"].to_string();
    assert!(template.contains('2'), "{template}");
    let annotations = &now["metadata"]["annotations"];
    assert_eq!(
        annotations["definition.oam.dev/description"],
        "Marks an object"
    );
    for gone in ["definition.oam.dev/alias", "caravel.dev/cue-evaluator"] {
        assert!(annotations.get(gone).is_none(), "{gone} is left");
    }
    assert_eq!(now["metadata"]["labels"]["team"], "blue");
}

/// Samples come with the program: nobody needs its source to have them.
#[test]
fn a_sample_is_installed_by_its_name() {
    let place = Place::shared("def-sample");
    assert!(place.get("traitdefinition", "virtualgroup").is_none());
    let told = place.caravel("def apply --sample virtualgroup").ok();
    assert!(
        told.contains("virtualgroup applied in def-sample"),
        "{told}"
    );
    let trait_ = "    traits: [{type: virtualgroup, properties: {group: blue}}]\n";
    let app = application("grouped", "webservice", "{image: nginx}") + trait_;
    place.apply(&app).ok();
    place.wait_until_running("grouped");
    let pods = &place.object("deployment", "grouped")["spec"]["template"]["metadata"];
    assert_eq!(pods["labels"]["app.namespace.virtual.group"], "blue");
}

#[test]
fn a_definition_is_edited_and_a_refused_text_is_kept() {
    let place = place("def-edit");
    let told = edit(&place, "sed -i 's/loudly/softly/; s/)!/)./'").ok();
    assert!(told.contains("shout edited"), "{told}");
    let object = place.object("componentdefinition", "shout");
    assert_eq!(
        object["metadata"]["annotations"]["definition.oam.dev/description"],
        "Says something softly"
    );
    let template = object["spec"]["schematic"]["cue"]["template"].to_string();
    assert!(template.contains(")."), "{template}");

    let told = edit(&place, "true").ok();
    assert!(told.contains("unchanged"), "{told}");

    let said = edit(&place, "sed -i 's/parameter\\.text/parametr.text/'").fails();
    assert!(said.contains("did you mean `parameter`?"), "{said}");
    let kept = said
        .split_whitespace()
        .map(|word| word.trim_matches('`'))
        .find(|word| {
            std::path::Path::new(word)
                .extension()
                .is_some_and(|end| end == "cue")
        })
        .unwrap_or_else(|| panic!("no file is named: {said}"));
    let kept = std::fs::read_to_string(kept).expect("the text is kept");
    assert!(kept.contains("parametr.text"), "{kept}");
    let unchanged = place.object("componentdefinition", "shout");
    assert_eq!(
        unchanged["metadata"]["generation"],
        object["metadata"]["generation"]
    );

    let said = edit(&place, "sed -i 's/^shout:/other:/'").fails();
    assert!(said.contains("metadata.name cannot be changed"), "{said}");

    for (script, wanted) in [
        ("false", "exit status: 1: nothing was changed"),
        (": >", "is empty: nothing was changed"),
        ("rm", "nothing was changed"),
    ] {
        let said = edit(&place, script).fails();
        assert!(said.contains(wanted), "{script}: {said}");
    }
    let files = std::fs::read_dir(place.kubectl.folder()).expect("a folder");
    let kept = files.flatten().filter(|file| {
        let name = file.file_name();
        name.to_string_lossy().starts_with("caravel-shout-")
    });
    assert_eq!(kept.count(), 2, "the two that were refused");
}

#[test]
fn a_definition_in_use_is_deleted_only_by_force() {
    let place = place("def-del");
    let said = place.caravel("def del shout").fails();
    assert!(
        said.contains("def-del/loud") && said.contains("--force"),
        "{said}"
    );
    assert!(place.get("componentdefinition", "shout").is_some());
    let told = place.caravel("def del shout --force").ok();
    assert!(told.contains("still used by def-del/loud"), "{told}");
    assert!(place.get("componentdefinition", "shout").is_none());
    assert_eq!(place.object("cm", "loud")["data"]["text"], "hello!");
}

#[test]
fn a_file_is_compared_with_the_hub() {
    let place = place("def-diff");
    let same = place.caravel("def diff shout.cue");
    assert_eq!(same.exit, 0, "{}{}", same.stdout, same.stderr);
    let changed = SHOUT.replace(")!\"", ")?\"").replace(
        "text: string",
        "text: string\n\t\t// +usage=How often\n\t\ttimes: *1 | int",
    );
    place.kubectl.file("shout.cue", &changed);
    let output = place.caravel("def diff shout.cue -o json");
    assert_eq!(output.exit, 1, "{}", output.stderr);
    let told = json(&output.stdout);
    let change = &told["parameters"][0];
    assert_eq!(
        (&change["path"], &change["change"], &change["breaking"]),
        (&"times".into(), &"added".into(), &false.into())
    );
    let impact = &told["applications"][0];
    assert_eq!(
        (&impact["application"], &impact["effect"]),
        (&"loud".into(), &"differs".into())
    );
    let diff = impact["diff"].as_str().unwrap_or_default();
    assert!(diff.contains("-  text: hello!\n+  text: hello?"), "{diff}");

    // A parameter that must be given and is read nowhere is warned of, as when the Application is applied.
    let declared = SHOUT.replace("text: string", "text: string\n\t\tto: string");
    place.kubectl.file("shout.cue", &declared);
    let told = place.caravel("def diff shout.cue").stdout;
    assert!(
        told.contains("def-diff/loud: renders the same")
            && told.contains("warning: spec.components[0].properties.to"),
        "{told}"
    );

    // One that is read breaks the Application.
    place.kubectl.file(
        "shout.cue",
        &declared.replace(")!\"", ") to \\(parameter.to)\""),
    );
    let told = place.caravel("def diff shout.cue");
    assert_eq!(told.exit, 1);
    assert!(told.stdout.contains("BREAKING"), "{}", told.stdout);
    assert!(
        told.stdout
            .contains("def-diff/loud: does not render any more: spec.components[0].properties.to"),
        "{}",
        told.stdout
    );

    place.caravel("def apply shout.cue").ok();
    eventually("the second revision", || {
        place.get("definitionrevision", "shout-v2").map(drop)
    });
    let told = place.caravel("def diff shout@v1 shout@v2");
    assert_eq!(told.exit, 1, "{}", told.stderr);
    assert!(told.stdout.contains("+  to"), "{}", told.stdout);
    let trouble = place.caravel("def diff shout@v1 shout@v7");
    assert_eq!(trouble.exit, 2, "{}", trouble.stdout);
}

/// A definition that is used, and what `def diff` says of another text of it.
fn differs(place: &Place, before: &str, after: &str) -> String {
    place.kubectl.file("used.yaml", after);
    place.apply(before).ok();
    place.caravel("def diff used.yaml").stdout
}

/// A trait that waits for the live workload, and policies that change the Application, are rendered as a delivery does.
#[test]
fn the_plan_knows_late_traits_and_policies_of_applications() {
    let place = Place::own("def-plan");
    let late = |text: &str| {
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: TraitDefinition\nmetadata: {{name: late, namespace: def-plan}}\nspec:\n  stage: PostDispatch\n\
             \x20 schematic:\n    cue:\n      template: |\n        parameter: {{}}\n        outputs: note: {{apiVersion: \"v1\", \
             kind: \"ConfigMap\", data: {text}: \"\\(context.output.status.readyReplicas)\"}}\n"
        )
    };
    let everywhere = |value: &str| {
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: PolicyDefinition\nmetadata: {{name: every, namespace: def-plan}}\nspec:\n  scope: Application\n\
             \x20 global: true\n  schematic:\n    cue:\n      template: |\n        parameter: {{}}\n        output: components: [for c in context.appComponents \
             {{c & {{properties: cmd: [\"{value}\"]}}}}]\n"
        )
    };
    place.apply(&late("ready")).ok();
    place
        .apply(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec:\n  components:\n  - {name: web, type: webservice, \
             properties: {image: nginx}, traits: [{type: late, properties: {}}]}\n",
        )
        .ok();
    let told = differs(&place, &late("ready"), &late("count"));
    assert!(
        told.contains(
            "def-plan/web: pending: late of web is rendered when the workload is healthy"
        ),
        "{told}"
    );
    let told = differs(&place, &everywhere("a"), &everywhere("b"));
    assert!(
        told.contains("def-plan/web: renders differently (+1 -1 lines)"),
        "{told}"
    );
    // The late trait is not what changes there.
    assert!(!told.contains("pending"), "{told}");
}

/// `caravel def dev` in the background, and what it has said so far.
struct Dev {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Dev {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(program())
            .args(["def", "dev", "watched", "-n", &place.namespace])
            .env("KUBECONFIG", place.daemon.kubeconfig())
            .current_dir(place.kubectl.folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let said = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().expect("a pipe");
        let err = child.stderr.take().expect("a pipe");
        follow(BufReader::new(out), &said);
        follow(BufReader::new(err), &said);
        Self { child, said }
    }

    /// Waits until it says something.
    fn says(&self, text: &str) -> String {
        let look = || {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.contains(text).then(|| said.clone())
        };
        eventually(&format!("it says {text:?}"), look)
    }
}

fn follow(reader: impl std::io::BufRead + Send + 'static, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_saved_is_registered_and_shown_as_a_plan() {
    let place = place("def-dev");
    let folder = place.kubectl.folder().join("watched");
    std::fs::create_dir(&folder).expect("a folder");
    let save = |text: &str| {
        // As editors do: the file is there at once, or not at all.
        let new = folder.join(".new");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(&new, folder.join("shout.cue")).expect("a file");
    };
    let dev = Dev::start(&place);
    dev.says("watching watched");
    save(SHOUT);
    dev.says("component shout: as in the hub");

    save(&SHOUT.replace(")!\"", "), \\(parameter.text)!\""));
    dev.says("def-dev/loud: renders differently");
    dev.says("+  text: hello, hello!");
    let template = |place: &Place| {
        let object = place.object("componentdefinition", "shout");
        object["spec"]["schematic"]["cue"]["template"].to_string()
    };
    let registered = template(&place);
    assert!(registered.contains("), "), "{registered}");

    // What is broken is shown, and the hub keeps what it has.
    save(&SHOUT.replace("parameter.text", "nowhere.text"));
    // It says this line by line: each is waited for.
    dev.says("refused; the hub keeps what it has");
    dev.says("reference \"nowhere\" not found");
    dev.says("watched/shout.cue:15:");
    assert_eq!(template(&place), registered);

    save(&SHOUT.replace(")!\"", ")?\""));
    dev.says("+  text: hello?");
    assert!(template(&place).contains(")?"));
}

/// What the hub says of an Application is shown where it stands in the file; what it only warns of, too; and a field that
/// no kind has is refused, as with kubectl.
#[test]
fn what_the_hub_says_is_shown_at_its_place() {
    let place = Place::shared("told");
    place.kubectl.file(
        "bad.yaml",
        &application("web", "webservice", "{image: nginx, port: eighty}"),
    );
    let refused = place.caravel("up -f bad.yaml --no-wait");
    assert_ne!(refused.exit, 0, "{refused:?}");
    assert!(
        refused.stderr.contains("[bad.yaml:")
            && refused.stderr.contains("expected")
            && refused.stderr.contains("eighty"),
        "{refused:?}"
    );
    place.kubectl.file(
        "warned.yaml",
        &application("web", "webservice", "{image: nginx, extra: 1}"),
    );
    let warned = place.caravel("up -f warned.yaml --no-wait");
    assert!(
        warned
            .stderr
            .contains("Warning: spec.components[0].properties.extra"),
        "{warned:?}"
    );
    place.kubectl.file(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndato: {}\n",
    );
    let strict = place.caravel("up -f map.yaml --no-wait");
    assert!(
        strict.exit != 0 && strict.stderr.contains("unknown field \"dato\""),
        "{strict:?}"
    );

    // The hub knows the kinds: what it says of a template stands in the file of the definition.
    let odd = SHOUT.replace("data: text:", "date: text:");
    place.kubectl.file("odd.cue", &odd);
    let warned = place.caravel("def apply odd.cue");
    assert!(
        warned.stderr.contains("[odd.cue:") && warned.stderr.contains("`date`"),
        "{warned:?}"
    );
}
