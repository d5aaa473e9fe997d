use serde_json::{Value, json};
use wiremock::matchers::{body_string, header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn calls() -> Calls {
    let service = tower_service();
    let world = World {
        clusters: Clusters::new(service),
        http: http::client_builder().build().expect("a client"),
        charts: Charts::new("/nowhere/caravel-charts"),
    };
    Calls::new(world, "demo".to_owned(), "uid/web-v1".to_owned())
}

/// A hub that nobody asks.
fn tower_service() -> ::kube::Client {
    let config = ::kube::Config::new("http://127.0.0.1:9".parse().expect("an address"));
    ::kube::Client::try_from(config).expect("a client")
}

fn call(provider: &str, action: &str, params: Value) -> Call {
    Call {
        key: "component|answer".to_owned(),
        path: "answer".to_owned(),
        provider: provider.to_owned(),
        action: action.to_owned(),
        params,
        endpoint: None,
    }
}

#[tokio::test]
async fn what_only_reads_is_asked_again_and_what_changes_something_is_sent_once() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/state"))
        .and(header("x-tenant", "a"))
        .and(header(
            "user-agent",
            concat!("caravel/", env!("CARGO_PKG_VERSION")),
        ))
        .respond_with(ResponseTemplate::new(200).set_body_string("seen"))
        .expect(2)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(body_string("make"))
        .and(header_exists("idempotency-key"))
        .respond_with(ResponseTemplate::new(201).insert_header("x-id", "7"))
        .expect(2)
        .mount(&server)
        .await;
    let calls = calls();
    let get = call(
        "http",
        "do",
        json!({"method": "GET", "url": format!("{}/state", server.uri()),
               "request": {"header": {"x-tenant": ["a"]}}}),
    );
    let post = call(
        "http",
        "do",
        json!({"method": "POST", "url": server.uri(), "request": {"body": "make"}}),
    );
    for _ in 0..2 {
        let answer = calls.carry_out("web@local/demo", &get).await;
        assert_eq!(
            answer.map(|answer| answer["body"].clone()),
            Ok(json!("seen"))
        );
        let answer = calls
            .carry_out("web@local/demo", &post)
            .await
            .expect("an answer");
        assert_eq!(answer["statusCode"], 201);
        assert_eq!(answer["header"]["X-Id"], json!(["7"]));
    }
    // Another place is another request.
    let answer = calls.carry_out("web@berlin/demo", &post).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn processing_gives_the_object_in_the_body() {
    let server = MockServer::start().await;
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"token": "t"}"#))
        .mount(&server)
        .await;
    Mock::given(path("/text"))
        .respond_with(ResponseTemplate::new(500).set_body_string("oops"))
        .mount(&server)
        .await;
    let ask = |place: &str| {
        call(
            "processing",
            "http",
            json!({"method": "GET", "url": format!("{}{place}", server.uri()),
                   "request": {"header": {"accept": "application/json"}}}),
        )
    };
    let calls = calls();
    let token = calls.carry_out("web", &ask("/token")).await;
    assert_eq!(token, Ok(json!({"token": "t"})));
    let refused = calls
        .carry_out("web", &ask("/text"))
        .await
        .expect_err("no JSON");
    assert!(refused.contains("status 500"), "{refused}");
}

#[tokio::test]
async fn what_is_not_known_is_refused_with_what_is() {
    let refused = calls()
        .carry_out("web", &call("helm", "uninstall", json!({})))
        .await
        .expect_err("helm");
    assert!(refused.contains("kube.{get,list,apply,patch}"), "{refused}");
    for (params, expected) in [
        (json!({"url": "ftp://example.com"}), "only http and https"),
        (json!({}), "url is missing"),
        (
            json!({"url": "http://127.0.0.1:9", "tls_config": {"client_crt": "x"}}),
            "client_crt and client_key",
        ),
    ] {
        let refused = calls().carry_out("web", &call("http", "do", params)).await;
        let refused = refused.expect_err(expected);
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn a_registry_and_a_repository_are_tried_with_their_logins() {
    let server = MockServer::start().await;
    let challenge = format!(r#"Bearer realm="{}/token",service="r""#, server.uri());
    Mock::given(path("/v2/"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", &*challenge))
        .mount(&server)
        .await;
    Mock::given(path("/token"))
        .and(header("authorization", "Basic dTpw"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    Mock::given(path("/charts/index.yaml"))
        .respond_with(ResponseTemplate::new(200).set_body_string("apiVersion: v1\nentries: {}\n"))
        .mount(&server)
        .await;
    let registry = server.address().to_string();
    let calls = calls();
    let login = |password: &str| {
        let auth = json!({"username": "u", "password": password});
        call(
            "config",
            "image-registry",
            json!({"registry": registry, "useHTTP": true, "auth": auth}),
        )
    };
    let taken = calls.carry_out("c", &login("p")).await.expect("an answer");
    assert_eq!(taken, json!({"result": true, "message": ""}));
    let refused = calls.carry_out("c", &login("q")).await.expect("an answer");
    assert_eq!(refused["result"], false);
    let repository = |place: &str| {
        let url = format!("{}{place}", server.uri());
        call("config", "helm-repository", json!({"url": url}))
    };
    let found = calls.carry_out("c", &repository("/charts")).await;
    assert_eq!(found, Ok(json!({"result": true, "message": ""})));
    let missing = calls
        .carry_out("c", &repository("/none"))
        .await
        .expect("an answer");
    assert_eq!(missing["result"], false);
}

#[tokio::test]
async fn trailers_go_out_and_come_back() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut seen = String::new();
        while !seen.ends_with("\r\n\r\n") || !seen.contains("x-sum: 7") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).await.expect("a part");
            assert!(read > 0, "ended after {seen}");
            seen.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
                      2\r\nhi\r\n0\r\nx-end: yes\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.expect("sent");
        seen
    });
    let params = json!({"method": "POST", "url": url,
        "request": {"body": "make", "trailer": {"X-Sum": "7"}}});
    let answer = calls().carry_out("web", &call("http", "do", params)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer["body"], "hi");
    assert_eq!(answer["trailer"], json!({"X-End": ["yes"]}));
    let seen = server.await.expect("the request").to_lowercase();
    assert!(seen.contains("\r\ntrailer: x-sum\r\n"), "{seen}");
    assert!(seen.contains("make\r\n0\r\nx-sum: 7\r\n"), "{seen}");
}
