//! Durable writes: each client creates an Application, replaces it, patches it, applies it, and begins again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};

use crate::Result;
use crate::client::{connect, say};
use crate::objects::{PATH, application, request};
use crate::process::Server;

type Times = Vec<(&'static str, Duration)>;

pub(crate) async fn run(clients: usize, length: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path())?;
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(connect(&server.kubeconfig()).await?);
    }
    let used = server.processor()?;
    let started = Instant::now();
    let ends = started + length;
    let tasks: Vec<_> = connected
        .into_iter()
        .enumerate()
        .map(|(number, client)| tokio::spawn(write(client, number, ends)))
        .collect();
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for task in tasks {
        for (verb, time) in task.await?? {
            times.entry(verb).or_default().push(time);
            times.entry("all").or_default().push(time);
        }
    }
    let over = started.elapsed();
    println!("{clients} clients over HTTPS, every write durable before it is answered");
    let writes = times.get("all").map_or(1, Vec::len);
    for (verb, times) in times {
        println!("{}", say(verb, times, over));
    }
    let used = server.processor()?.saturating_sub(used);
    let (now, most) = server.memory()?;
    println!(
        "server: {:.0} µs of processor a write, {} MiB of memory, {} MiB at most",
        used.as_secs_f64() * 1e6 / writes as f64,
        now >> 10,
        most >> 10
    );
    Ok(())
}

async fn write(client: Client, number: usize, ends: Instant) -> Result<Times> {
    let mut times = Times::new();
    for round in 0.. {
        let name = format!("shop-{number}-{round}");
        let path = format!("{PATH}/{name}");
        let apply = format!("{path}?fieldManager=load&force=true");
        let mut object = application(&name);
        for verb in ["create", "update", "patch", "apply"] {
            if Instant::now() >= ends {
                return Ok(times);
            }
            let request = match verb {
                "create" => request("POST", PATH, &object)?,
                "update" => {
                    object["spec"]["components"][0]["properties"]["image"] =
                        json!("example/shop:v2");
                    request("PUT", &path, &object)?
                }
                "patch" => {
                    let patch = json!({"metadata": {"annotations": {"example.com/round": round.to_string()}}});
                    request("PATCH", &path, &patch)?
                }
                _ => {
                    let mut wanted = application(&name);
                    wanted["spec"]["components"][1]["properties"]["cpu"] = json!("500m");
                    let mut request = request("PATCH", &apply, &wanted)?;
                    request.headers_mut().insert(
                        http::header::CONTENT_TYPE,
                        http::HeaderValue::from_static("application/apply-patch+yaml"),
                    );
                    request
                }
            };
            let started = Instant::now();
            let answer = client.request::<Value>(request).await?;
            times.push((verb, started.elapsed()));
            object = answer;
        }
    }
    Ok(times)
}
