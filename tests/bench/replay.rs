//! The same writes by a bare client against a bare API server: how fast the hub could be without controllers.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use caravel_apiserver::simulator::SystemClock;
use caravel_apiserver::{ApiServer, Config, Identity, controllers};
use caravel_tests::object::as_applied;
use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::delivery::{Recorded, client};
use crate::record::{Recorder, Write};
use crate::table::Table;

/// Objects that are written at the same time.
const CLIENTS: usize = 32;

pub(crate) async fn measure(table: &mut Table, recorded: Recorded) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = ApiServer::open(Config::folder(folder.path())).await?;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}", socket.local_addr()?);
    let kubeconfig = folder.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig, &url)?;
    let shutdown = CancellationToken::new();
    let serving = {
        let (server, shutdown) = (server.clone(), shutdown.clone());
        tokio::spawn(async move { server.serve(socket, &[], shutdown).await })
    };
    let admin = server.client(Identity::admin("bench"));
    let working = tokio::spawn(controllers::run(
        admin.clone(),
        std::sync::Arc::new(SystemClock),
        controllers::Options::default(),
        shutdown.clone(),
    ));
    install_kinds(&admin).await?;

    let client = client(&kubeconfig).await?;
    // The daemon was watched too.
    let recorder = Recorder::start(&client).await?;
    let count = recorded.writes.len();
    let lanes = lanes(recorded.writes);
    let begin = Instant::now();
    let mut running = futures::stream::iter(lanes)
        .map(|writes| {
            let client = client.clone();
            async move { replay(&client, writes).await }
        })
        .buffer_unordered(CLIENTS);
    while let Some(done) = running.next().await {
        done.context("replay")?;
    }
    let took = begin.elapsed();
    drop(recorder);
    shutdown.cancel();
    serving.await??;
    working.await?;
    server.close().await;

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = count as f64 / took.as_secs_f64();
    table.row(
        "the same writes by a bare client on a bare server",
        format!("{:.1} s, {rate:.0} writes/s", took.as_secs_f64()),
    );
    let share = took.as_secs_f64() / recorded.took.as_secs_f64() * 100.0;
    table.row(
        "share of the bare client's write rate",
        format!("{share:.0} %"),
    );
    Ok(())
}

async fn install_kinds(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in caravel_core::api::crds() {
        let crd: CustomResourceDefinition = serde_json::from_value(crd)?;
        let name = crd.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &crd).await?;
        await_condition(api.clone(), &name, conditions::is_crd_established()).await?;
    }
    Ok(())
}

/// The writes of each object, in their order.
fn lanes(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let mut lanes: Vec<Vec<Write>> = Vec::new();
    let mut places = HashMap::new();
    for write in writes {
        let place = *places.entry(write.key()).or_insert_with(|| {
            lanes.push(Vec::new());
            lanes.len() - 1
        });
        lanes[place].push(write);
    }
    lanes
}

async fn replay(client: &Client, writes: Vec<Write>) -> Result<()> {
    let parameters = PostParams::default();
    let mut before: Option<Value> = None;
    let mut version = None;
    for write in writes {
        let (_, namespace, name) = write.key();
        let api: Api<DynamicObject> = if namespace.is_empty() {
            Api::all_with(client.clone(), &write.resource)
        } else {
            Api::namespaced_with(client.clone(), &namespace, &write.resource)
        };
        let clean = clean(write.object);
        let mut object: DynamicObject = serde_json::from_value(clean.clone())?;
        object.metadata.resource_version = version;
        let written = match &before {
            None => api.create(&parameters, &object).await?,
            Some(before) if only_status_differs(before, &clean) => {
                api.replace_status(&name, &parameters, &object).await?
            }
            Some(_) => api.replace(&name, &parameters, &object).await?,
        };
        version = written.metadata.resource_version;
        before = Some(clean);
    }
    Ok(())
}

/// Without what the server fills in, and without owners: those have other uids here, and the garbage collector would
/// take the objects away.
fn clean(object: Value) -> Value {
    let mut object = as_applied(object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("ownerReferences");
    }
    object
}

fn only_status_differs(before: &Value, after: &Value) -> bool {
    let without = |object: &Value| {
        let mut object = object.clone();
        object["status"] = Value::Null;
        object
    };
    before["status"] != after["status"] && without(before) == without(after)
}
