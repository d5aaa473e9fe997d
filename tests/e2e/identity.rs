//! Nobody gets with an Application what he could not get without.

use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, application};

pub(crate) const ANN: &str = "system:serviceaccount:dev:ann";

/// What Ann may do: write Applications and ConfigMaps of her namespace, and no more.
pub(crate) const RULES: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: ann}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ann}
rules:
- {apiGroups: [core.oam.dev], resources: [applications], verbs: ["*"]}
- {apiGroups: [""], resources: [configmaps], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ann}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ann}
subjects: [{kind: ServiceAccount, name: ann, namespace: dev}]
---
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: peek}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        import "vela/kube"
        get: kube.#Get & {$params: resource: {
          apiVersion: "v1", kind: "Secret", metadata: {name: "safe", namespace: parameter.of}
        }}
        output: {apiVersion: "v1", kind: "ConfigMap", data: found: get.$returns.data.key}
        parameter: of: string
---
apiVersion: core.oam.dev/v1beta1
kind: WorkflowStepDefinition
metadata: {name: take}
spec:
  schematic:
    cue:
      template: |
        import ("vela/kube", "vela/builtin")
        read: kube.#Read & {$params: value: {
          apiVersion: "v1", kind: "Secret", metadata: {name: "safe", namespace: parameter.of}
        }}
        fail: {
          if read.$returns.err != _|_ {builtin.#Fail & {$params: message: read.$returns.err}}
        }
        parameter: of: string
"#;

/// Where people write Applications in their own names.
pub(crate) struct Office(pub(crate) Place);

impl Office {
    pub(crate) fn apply_as(&self, who: &str, manifest: &str) -> caravel_tests::kubectl::Output {
        self.0.kubectl.file("manifest.yaml", manifest);
        self.0.run(&format!("apply -f manifest.yaml --as={who}"))
    }

    /// Waits until the status of an Application has some words in it.
    pub(crate) fn says(&self, name: &str, words: &str) -> Value {
        eventually(&format!("{name} says {words}"), || {
            let found = self.0.object("app", name);
            found["status"].to_string().contains(words).then_some(found)
        })
    }
}

#[test]
fn an_application_may_what_its_author_may() {
    let place = Place::with("dev", &["--authenticate-application"], &[]);
    place.apply(RULES).ok();
    place.kubectl.run("create namespace vault").ok();
    let secret = "-n vault create secret generic safe --from-literal=key=value";
    place.kubectl.run(secret).ok();
    let office = Office(place);
    let web = application("web", "webservice", "{image: nginx}");

    office.apply_as(ANN, &web).ok();
    let refused = office.says("web", "cannot get resource");
    assert_eq!(
        refused["metadata"]["annotations"]["app.oam.dev/username"],
        ANN
    );
    assert_eq!(office.0.get("deploy", "web"), None);

    // She says that she is somebody else.
    let forged = application("forged", "webservice", "{image: nginx}").replace(
        "metadata: {name: forged}",
        "metadata: {name: forged, annotations: {app.oam.dev/username: root, app.oam.dev/group: 'system:masters'}}",
    );
    office.apply_as(ANN, &forged).ok();
    let forged = office.says("forged", "cannot get resource");
    assert_eq!(
        forged["metadata"]["annotations"]["app.oam.dev/username"],
        ANN
    );
    assert_eq!(office.0.get("deploy", "forged"), None);

    // Neither templates nor steps read what she may not read.
    office
        .apply_as(ANN, &application("peek", "peek", "{of: vault}"))
        .ok();
    office.says("peek", "cannot get resource");
    assert_eq!(office.0.get("cm", "peek"), None);
    let taking = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: take}\nspec:\n  components: []\n\
                  \x20 workflow: {steps: [{name: take, type: take, properties: {of: vault}}]}\n";
    office.apply_as(ANN, taking).ok();
    office.says("take", "cannot get resource");

    let account = application("sa", "webservice", "{image: nginx}").replace(
        "metadata: {name: sa}",
        "metadata: {name: sa, annotations: {app.oam.dev/service-account-name: default}}",
    );
    let told = office.apply_as(ANN, &account).fails();
    let words = "service-account annotation is not permitted when authentication enabled";
    assert!(told.contains(words), "{told}");

    // What an administrator writes, an administrator has written.
    office.0.apply(&web.replace("nginx", "nginx:2")).ok();
    office.0.wait_until_running("web");
    office.0.object("deploy", "web");
    // And who touches it afterwards answers for it.
    office.apply_as(ANN, &web.replace("nginx", "nginx:3")).ok();
    office.says("web", "cannot get resource");
    let image = "/spec/template/spec/containers/0/image";
    let web = office.0.object("deploy", "web");
    assert_eq!(web.pointer(image), Some(&"nginx:2".into()));
}

#[test]
fn without_authentication_a_service_account_may_be_named() {
    let place = Place::shared("dev-account");
    place.run("create serviceaccount weak").ok();
    let web = application("web", "webservice", "{image: nginx}").replace(
        "metadata: {name: web}",
        "metadata: {name: web, annotations: {app.oam.dev/service-account-name: weak}}",
    );
    place.apply(&web).ok();
    eventually("the service account is refused", || {
        let status = place.object("app", "web")["status"].to_string();
        status
            .contains("system:serviceaccount:dev-account:weak")
            .then_some(())
    });
    assert_eq!(place.get("deploy", "web"), None);
    place
        .run(
            "create rolebinding weak --clusterrole=cluster-admin --serviceaccount=dev-account:weak",
        )
        .ok();
    place.apply(&web.replace("nginx", "nginx:2")).ok();
    place.wait_until_running("web");
}
