//! The server over TLS: who gets in, as whom, and how connections end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::net::SocketAddr;

use caravel_apiserver::{ApiServer, Config, Identity, Target};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use kube::api::{Api, ListParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    server: ApiServer,
    address: SocketAddr,
    stop: CancellationToken,
    serving: Option<JoinHandle<Result<(), caravel_apiserver::Error>>>,
}

async fn start() -> Running {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move { server.serve(socket, &[], stop).await })
    };
    Running {
        server,
        address,
        stop,
        serving: Some(serving),
    }
}

impl Running {
    /// A client whose credentials are those that `change` leaves in the administrator's kubeconfig.
    async fn client(&self, change: impl FnOnce(&mut Value)) -> kube::Client {
        let text = self
            .server
            .kubeconfig(&format!("https://{}", self.address))
            .unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        change(&mut config["users"][0]["user"]);
        let config: Kubeconfig = serde_json::from_value(config).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options)
            .await
            .unwrap();
        kube::Client::try_from(config).unwrap()
    }

    async fn with_token(&self, token: &str) -> kube::Client {
        let user = json!({"token": token});
        self.client(|own| *own = user).await
    }

    fn admin(&self) -> kube::Client {
        self.server.client(Identity::admin("test"))
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String) {
    match result.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.message),
        other => panic!("{other}"),
    }
}

async fn who(client: kube::Client) -> kube::Result<Value> {
    let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("content-type", "application/json")
        .body(question.to_string().into_bytes())
        .unwrap();
    let answer: Value = client.request(request).await?;
    Ok(answer["status"]["userInfo"].clone())
}

#[tokio::test]
async fn certificates_and_tokens_prove_who_asks_and_nobody_is_anonymous() {
    let running = start().await;
    let admin = who(running.client(|_| ()).await).await.unwrap();
    assert_eq!(
        admin,
        json!({"username": "caravel-admin", "groups": ["system:masters", "system:authenticated"]})
    );
    let token = running.server.bootstrap_token().to_owned();
    assert_eq!(
        who(running.with_token(&token).await).await.unwrap()["username"],
        "caravel-admin"
    );
    assert_eq!(
        code(who(running.with_token("guess").await).await),
        (401, "Unauthorized".to_owned())
    );
    let nobody = running.client(|user| *user = json!({})).await;
    assert_eq!(code(who(nobody.clone()).await).0, 401);
    let configs: Api<ConfigMap> = Api::default_namespaced(nobody);
    assert_eq!(code(configs.list(&ListParams::default()).await).0, 401);
}

fn account_token(name: &str) -> http::Request<Vec<u8>> {
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600},
    });
    http::Request::post(format!(
        "/api/v1/namespaces/default/serviceaccounts/{name}/token"
    ))
    .header("content-type", "application/json")
    .body(body.to_string().into_bytes())
    .unwrap()
}

#[tokio::test]
async fn a_service_account_has_the_rights_that_it_was_given_until_it_is_deleted() {
    let running = start().await;
    let admin = running.admin();
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    let account = serde_json::from_value(json!({"metadata": {"name": "robot"}})).unwrap();
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let issued: Value = admin.request(account_token("robot")).await.unwrap();
    let token = issued["status"]["token"].as_str().unwrap();
    let client = running.with_token(token).await;
    let user = who(client.clone()).await.unwrap();
    assert_eq!(user["username"], "system:serviceaccount:default:robot");

    let configs: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let (status, message) = code(configs.list(&ListParams::default()).await);
    assert_eq!(status, 403);
    assert_eq!(
        message,
        r#"configmaps is forbidden: User "system:serviceaccount:default:robot" cannot list resource "configmaps" in API group "" in the namespace "default""#
    );

    let roles: Api<Role> = Api::default_namespaced(admin.clone());
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    let role = json!({"metadata": {"name": "reader"}, "rules": rules});
    roles
        .create(
            &PostParams::default(),
            &serde_json::from_value(role).unwrap(),
        )
        .await
        .unwrap();
    let bindings: Api<RoleBinding> = Api::default_namespaced(admin.clone());
    let binding = json!({
        "metadata": {"name": "robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    bindings
        .create(
            &PostParams::default(),
            &serde_json::from_value(binding).unwrap(),
        )
        .await
        .unwrap();
    configs.list(&ListParams::default()).await.unwrap();
    let elsewhere: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    assert_eq!(code(elsewhere.list(&ListParams::default()).await).0, 403);

    let robot = running.server.authenticate_token(token).unwrap();
    let mut target = Target {
        verb: "list",
        resource: "configmaps".into(),
        namespace: "default".into(),
        ..Target::default()
    };
    assert!(running.server.authorize(&robot, &target));
    target.verb = "delete";
    assert!(!running.server.authorize(&robot, &target));

    accounts
        .delete("robot", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(code(configs.list(&ListParams::default()).await).0, 401);
}

#[tokio::test]
async fn acting_as_somebody_else_needs_the_right_to() {
    let running = start().await;
    let as_eve = running.client(|user| user["as"] = json!("eve")).await;
    assert_eq!(
        who(as_eve.clone()).await.unwrap()["groups"],
        json!(["system:authenticated"])
    );
    let configs: Api<ConfigMap> = Api::default_namespaced(as_eve);
    assert_eq!(code(configs.list(&ListParams::default()).await).0, 403);

    let eve = running.server.client(Identity::new("eve", [] as [&str; 0]));
    let request = http::Request::get("/api/v1/namespaces/default/configmaps")
        .header("impersonate-user", "root")
        .header("impersonate-group", "system:masters")
        .body(Vec::new())
        .unwrap();
    let (status, message) = code(eve.request::<Value>(request).await);
    assert_eq!(status, 403);
    assert_eq!(
        message,
        r#"users "root" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
}

#[tokio::test]
async fn nobody_gives_away_rights_that_he_does_not_have() {
    let running = start().await;
    let roles: Api<ClusterRole> = Api::all(running.admin());
    let rules = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create", "get", "update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]);
    let role = json!({"metadata": {"name": "delegate"}, "rules": rules});
    roles
        .create(
            &PostParams::default(),
            &serde_json::from_value(role).unwrap(),
        )
        .await
        .unwrap();
    let bind = |name: &str, role: &str| -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dan"}],
        })
    };
    let create = |binding: Value| {
        http::Request::post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings")
            .header("content-type", "application/json")
            .body(binding.to_string().into_bytes())
            .unwrap()
    };
    running
        .admin()
        .request::<Value>(create(bind("dan", "delegate")))
        .await
        .unwrap();

    let dan = running.server.client(Identity::new("dan", [] as [&str; 0]));
    dan.request::<Value>(create(bind("again", "delegate")))
        .await
        .unwrap();
    let (status, message) = code(
        dan.request::<Value>(create(bind("up", "cluster-admin")))
            .await,
    );
    assert_eq!(status, 403);
    assert!(
        message.starts_with(r#"clusterrolebindings.rbac.authorization.k8s.io "up" is forbidden: user "dan" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:"#),
        "{message}"
    );
    assert!(
        message.contains(r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#),
        "{message}"
    );
    let roles: Api<ClusterRole> = Api::all(dan);
    let more = json!({"metadata": {"name": "more"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    let refused = roles
        .create(
            &PostParams::default(),
            &serde_json::from_value(more).unwrap(),
        )
        .await;
    assert_eq!(code(refused).0, 403);
    // Labels decide what is aggregated, and anybody may label.
    let all =
        json!({"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{}]}});
    let refused = roles
        .create(
            &PostParams::default(),
            &serde_json::from_value(all).unwrap(),
        )
        .await;
    let (status, message) = code(refused);
    assert_eq!(status, 403);
    assert!(
        message.ends_with("must have cluster-admin privileges to use the aggregationRule"),
        "{message}"
    );
}

#[tokio::test]
async fn who_may_patch_but_not_create_does_not_create_by_applying() {
    let running = start().await;
    let roles: Api<ClusterRole> = Api::all(running.admin());
    let role = json!({
        "metadata": {"name": "patcher"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}],
    });
    roles
        .create(
            &PostParams::default(),
            &serde_json::from_value(role).unwrap(),
        )
        .await
        .unwrap();
    let binding = json!({
        "metadata": {"name": "pat"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "patcher"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "pat"}],
    });
    let bindings: Api<RoleBinding> = Api::default_namespaced(running.admin());
    bindings
        .create(
            &PostParams::default(),
            &serde_json::from_value(binding).unwrap(),
        )
        .await
        .unwrap();
    let pat = running.server.client(Identity::new("pat", [] as [&str; 0]));
    let configs: Api<ConfigMap> = Api::default_namespaced(pat);
    let wanted = kube::api::Patch::Apply(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}),
    );
    let refused = configs
        .patch("new", &kube::api::PatchParams::apply("pat"), &wanted)
        .await;
    let (status, message) = code(refused);
    assert_eq!(status, 403);
    assert!(
        message.contains(r#"User "pat" cannot create resource "configmaps""#),
        "{message}"
    );
}

#[tokio::test]
async fn questions_about_access_are_answered_truthfully() {
    let running = start().await;
    let ask = |user: &str, verb: &str| {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": ["system:authenticated"],
                     "nonResourceAttributes": {"path": "/healthz", "verb": verb}},
        });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap();
        let admin = running.admin();
        async move { admin.request::<Value>(request).await.unwrap()["status"].clone() }
    };
    assert_eq!(
        ask("eve", "get").await,
        json!({
            "allowed": true,
            "reason": r#"RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated""#,
        })
    );
    assert_eq!(ask("eve", "delete").await, json!({"allowed": false}));
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "guess"}});
    let request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .unwrap();
    let answer: Value = running.admin().request(request).await.unwrap();
    assert_ne!(answer["status"]["authenticated"], true);
}

#[tokio::test]
async fn watches_end_and_the_port_is_free_when_the_server_stops() {
    let mut running = start().await;
    let configs: Api<ConfigMap> = Api::default_namespaced(running.client(|_| ()).await);
    let mut events = configs
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    running.stop.cancel();
    while let Ok(Some(_)) = events.try_next().await {}
    running.serving.take().unwrap().await.unwrap().unwrap();
    TcpListener::bind(running.address).await.unwrap();
    // The server itself lives on for what is inside of the process.
    Api::<ConfigMap>::default_namespaced(running.admin())
        .list(&ListParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_that_is_bound_to_an_object_ends_with_it() {
    let running = start().await;
    let admin = running.admin();
    let post = |path: &str, body: Value| {
        http::Request::post(format!("/api/v1/namespaces/default/{path}"))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap()
    };
    let account = json!({"metadata": {"name": "robot"}});
    admin
        .request::<Value>(post("serviceaccounts", account))
        .await
        .unwrap();
    let secret = json!({"metadata": {"name": "hook"}});
    admin
        .request::<Value>(post("secrets", secret))
        .await
        .unwrap();
    let ask = |kind: &str, name: &str, uid: &str| {
        let bound = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid});
        post(
            "serviceaccounts/robot/token",
            json!({"spec": {"boundObjectRef": bound}}),
        )
    };
    for (question, status) in [
        (ask("Secret", "none", ""), 404),
        (ask("Secret", "hook", "another"), 409),
        (ask("Node", "hook", ""), 400),
    ] {
        assert_eq!(code(admin.request::<Value>(question).await).0, status);
    }
    let issued: Value = admin.request(ask("Secret", "hook", "")).await.unwrap();
    let token = issued["status"]["token"].as_str().unwrap();
    assert!(running.server.authenticate_token(token).is_some());
    let gone = http::Request::delete("/api/v1/namespaces/default/secrets/hook").body(Vec::new());
    admin.request::<Value>(gone.unwrap()).await.unwrap();
    assert!(running.server.authenticate_token(token).is_none());
}
