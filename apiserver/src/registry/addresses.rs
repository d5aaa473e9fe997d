//! Addresses and node ports of Services: given out once each, kept while the Service lives.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caravel_schema::field::Error;
use rand::Rng;
use serde_json::{Value, json};

use super::Call;
use crate::catalog::Kind;
use crate::status::Result;
use crate::store::{Change, ChangeKind, Range, Store, Watch};

/// The range that Services get their addresses from, as kubeadm sets it up: network and length of its prefix.
const NETWORK: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 96, 0, 0), 12);
/// Addresses at the beginning that are only given to who asks for them. The first one is that of the API server.
const STATIC: u32 = 256;
/// The range of node ports.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;
/// How often a random address or port is tried before they are looked through in order.
const TRIES: usize = 16;

fn is_service(kind: &Kind) -> bool {
    kind.is("", "services")
}

fn needs_address(spec: &Value) -> bool {
    spec["type"] != "ExternalName" && spec["clusterIP"] != "None"
}

fn needs_node_ports(spec: &Value) -> bool {
    match spec["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// Gives a changed Service what the stored one has and the client did not say; takes away what its new type has not.
pub(super) fn carry_over(kind: &Kind, object: &mut Value, old: &Value) {
    let old = &old["spec"];
    if !is_service(kind) || !old.is_object() {
        return;
    }
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else {
        return;
    };
    let same_list = spec["clusterIPs"] == old["clusterIPs"] || spec["clusterIPs"].is_null();
    let given = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    if !given.is_empty() && same_list && old["clusterIP"] != given.as_str() {
        spec["clusterIPs"] = json!([given]);
    }
    let had_address = old["type"] != "ExternalName" && old["clusterIP"].is_string();
    if spec["type"] == "ExternalName" {
        if had_address && same_list && (given.is_empty() || old["clusterIP"] == given.as_str()) {
            remove(
                spec,
                &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
            );
        }
    } else if had_address && given.is_empty() {
        spec["clusterIP"] = old["clusterIP"].clone();
        if same_list && old["clusterIPs"].is_array() {
            spec["clusterIPs"] = old["clusterIPs"].clone();
        }
    }
    match (needs_node_ports(old), needs_node_ports(spec)) {
        (true, true) => keep_node_ports(spec, old),
        (true, false) => drop_node_ports(spec, old),
        _ => {}
    }
    if old["type"] == "LoadBalancer" && spec["type"] != "LoadBalancer" {
        remove(spec, &["allocateLoadBalancerNodePorts"]);
    }
    if matches!(spec["type"].as_str(), Some("ClusterIP" | "ExternalName"))
        && old["type"] != spec["type"]
    {
        remove(spec, &["externalTrafficPolicy"]);
    }
}

fn remove(spec: &mut Value, fields: &[&str]) {
    if let Some(spec) = spec.as_object_mut() {
        for field in fields {
            spec.remove(*field);
        }
    }
}

fn ports(spec: &Value) -> &[Value] {
    spec["ports"].as_array().map_or(&[], Vec::as_slice)
}

fn ports_mut(spec: &mut Value) -> &mut [Value] {
    spec.get_mut("ports")
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}

/// The node port of a port; 0 if it has none.
fn node_port(port: &Value) -> i64 {
    port["nodePort"].as_i64().unwrap_or(0)
}

fn keep_node_ports(spec: &mut Value, old: &Value) {
    let mut used: Vec<i64> = ports(spec).iter().map(node_port).collect();
    for port in ports_mut(spec)
        .iter_mut()
        .filter(|port| node_port(port) == 0)
    {
        let before = ports(old)
            .iter()
            .find(|old| old["port"] == port["port"] && old["protocol"] == port["protocol"])
            .map_or(0, node_port);
        if before != 0 && !used.contains(&before) {
            port["nodePort"] = json!(before);
            used.push(before);
        }
    }
}

/// A client that changes the type need not know which fields go with it.
fn drop_node_ports(spec: &mut Value, old: &Value) {
    let before: Vec<i64> = ports(old).iter().map(node_port).collect();
    for port in ports_mut(spec).iter_mut() {
        if before.contains(&node_port(port)) {
            remove(port, &["nodePort"]);
        }
    }
}

/// What one Service holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Claims {
    addresses: Vec<Ipv4Addr>,
    ports: Vec<u16>,
}

impl Claims {
    fn of(service: &Value) -> Self {
        let spec = &service["spec"];
        let listed = spec["clusterIPs"].as_array().into_iter().flatten();
        Self {
            addresses: listed
                .filter_map(Value::as_str)
                .filter_map(|text| text.parse().ok())
                .collect(),
            ports: ports(spec)
                .iter()
                .filter_map(|port| u16::try_from(node_port(port)).ok())
                .filter(|port| *port != 0)
                .collect(),
        }
    }
}

/// Who holds what. Services are known by uid.
#[derive(Default)]
struct Book {
    /// Follows the stored Services.
    watch: Option<Watch>,
    stored: HashMap<String, Claims>,
    addresses: HashMap<Ipv4Addr, String>,
    ports: HashMap<u16, String>,
    /// Given out to Services that are being written.
    promised: HashMap<String, Claims>,
}

impl Book {
    fn catch_up(&mut self, store: &Store) {
        let resource = "services";
        loop {
            if let Some(Ok(changes)) = self.watch.as_mut().map(Watch::pending) {
                return changes.iter().for_each(|change| self.follow(change));
            }
            (self.stored, self.addresses, self.ports) = Default::default();
            let listed = store.list(resource, &Range::default(), |_| true);
            let Ok(listed) = listed else { return };
            for object in &listed.objects {
                self.keep(&object.value());
            }
            self.watch = store.watch(resource, listed.version).ok();
            if self.watch.is_none() {
                return;
            }
        }
    }

    fn follow(&mut self, change: &Change) {
        let service = change.object.value();
        if change.kind == ChangeKind::Deleted {
            self.forget(uid(&service));
        } else {
            self.keep(&service);
        }
    }

    fn keep(&mut self, service: &Value) {
        let (uid, claims) = (uid(service), Claims::of(service));
        if self.stored.get(uid) == Some(&claims) {
            return;
        }
        self.forget(uid);
        for address in &claims.addresses {
            self.addresses.insert(*address, uid.to_owned());
        }
        for port in &claims.ports {
            self.ports.insert(*port, uid.to_owned());
        }
        self.stored.insert(uid.to_owned(), claims);
    }

    fn forget(&mut self, uid: &str) {
        let Some(claims) = self.stored.remove(uid) else {
            return;
        };
        for address in claims.addresses {
            if self
                .addresses
                .get(&address)
                .is_some_and(|holder| holder == uid)
            {
                self.addresses.remove(&address);
            }
        }
        for port in claims.ports {
            if self.ports.get(&port).is_some_and(|holder| holder == uid) {
                self.ports.remove(&port);
            }
        }
    }

    fn has_address(&self, address: Ipv4Addr, except: &str) -> bool {
        let stored = self
            .addresses
            .get(&address)
            .is_some_and(|holder| holder != except);
        stored
            || self
                .promised(except)
                .any(|claims| claims.addresses.contains(&address))
    }

    fn has_port(&self, port: u16, except: &str) -> bool {
        let stored = self.ports.get(&port).is_some_and(|holder| holder != except);
        stored
            || self
                .promised(except)
                .any(|claims| claims.ports.contains(&port))
    }

    fn promised<'a>(&'a self, except: &'a str) -> impl Iterator<Item = &'a Claims> {
        self.promised
            .iter()
            .filter(move |(holder, _)| *holder != except)
            .map(|(_, claims)| claims)
    }

    fn free_address(&self, uid: &str) -> Option<Ipv4Addr> {
        let (first, size) = (u32::from(NETWORK.0), 1 << (32 - NETWORK.1));
        let mut random = rand::rng();
        let tries = (0..TRIES).map(|_| random.random_range(STATIC..size - 1));
        tries
            .chain(STATIC..size - 1)
            .chain(2..STATIC)
            .map(|offset| Ipv4Addr::from(first + offset))
            .find(|address| !self.has_address(*address, uid))
    }

    fn free_port(&self, uid: &str, taken: &[i64]) -> Option<u16> {
        let mut random = rand::rng();
        let tries = (0..TRIES).map(|_| random.random_range(PORTS));
        tries
            .chain(PORTS)
            .find(|port| !self.has_port(*port, uid) && !taken.contains(&i64::from(*port)))
    }
}

fn uid(service: &Value) -> &str {
    service["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The addresses and node ports of all Services.
#[derive(Default)]
pub(crate) struct Addresses(Mutex<Book>);

/// What a Service was given. It is promised to nobody else until this is dropped, which must be after the write.
#[must_use]
pub(super) struct Promise<'a> {
    addresses: &'a Addresses,
    uid: String,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.addresses.book().promised.remove(&self.uid);
    }
}

impl Addresses {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a Service that is about to be written the address and the node ports that it needs and has not.
///
/// # Errors
/// What the client asked for is not in range, or another Service has it.
pub(super) fn give<'a>(call: &'a Call, object: &mut Value) -> Result<Option<Promise<'a>>> {
    if !is_service(&call.kind) || !call.subresource.is_empty() {
        return Ok(None);
    }
    let uid = uid(object).to_owned();
    let addresses = &call.core.addresses;
    let mut book = addresses.book();
    book.catch_up(&call.core.store);
    let mut errors = Vec::new();
    if let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) {
        give_address(&book, spec, &uid, &mut errors);
        give_node_ports(&book, spec, &uid, &mut errors);
    }
    if !errors.is_empty() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(call.invalid(name, &errors));
    }
    book.promised.insert(uid.clone(), Claims::of(object));
    drop(book);
    Ok(Some(Promise { addresses, uid }))
}

fn give_address(book: &Book, spec: &mut Value, uid: &str, errors: &mut Vec<Error>) {
    if !needs_address(spec) {
        return;
    }
    let wanted = spec["clusterIP"].as_str().unwrap_or_default();
    if wanted.is_empty() {
        match book.free_address(uid) {
            Some(address) => {
                spec["clusterIP"] = json!(address);
                spec["clusterIPs"] = json!([address]);
            }
            None => errors.push(Error::internal(
                "spec.clusterIPs",
                "failed to allocate a serviceIP: range is full",
            )),
        }
        return;
    }
    // Addresses of the other family are kept as they are: there is no range for them.
    let Ok(address) = wanted.parse::<Ipv4Addr>() else {
        return;
    };
    let (network, prefix) = NETWORK;
    let inside = u32::from(address) >> (32 - prefix) == u32::from(network) >> (32 - prefix);
    let held = book
        .stored
        .get(uid)
        .is_some_and(|claims| claims.addresses.contains(&address));
    let why = if held {
        return;
    } else if !inside {
        format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {network}/{prefix}"
        )
    } else if book.has_address(address, uid) {
        "provided IP is already allocated".to_owned()
    } else {
        return;
    };
    errors.push(Error::invalid(
        "spec.clusterIPs",
        spec["clusterIPs"].clone(),
        format!("failed to allocate IP {address}: {why}"),
    ));
}

fn give_node_ports(book: &Book, spec: &mut Value, uid: &str, errors: &mut Vec<Error>) {
    let needed = needs_node_ports(spec);
    let mut taken: Vec<i64> = ports(spec)
        .iter()
        .map(node_port)
        .filter(|port| *port != 0)
        .collect();
    let mut by_port: HashMap<String, i64> = HashMap::new();
    for (index, port) in ports_mut(spec).iter_mut().enumerate() {
        let at = format!("spec.ports[{index}].nodePort");
        let number = port["port"].to_string();
        let wanted = node_port(port);
        if wanted == 0 && needed {
            // The same port over another protocol gets the same node port.
            let found = match by_port.get(&number) {
                Some(same) => Some(*same),
                None => book.free_port(uid, &taken).map(i64::from),
            };
            let Some(found) = found else {
                errors.push(Error::internal(
                    at,
                    "failed to allocate a nodePort: range is full",
                ));
                continue;
            };
            port["nodePort"] = json!(found);
            taken.push(found);
            by_port.insert(number, found);
            continue;
        }
        if wanted == 0 {
            continue;
        }
        by_port.insert(number, wanted);
        let valid = u16::try_from(wanted)
            .ok()
            .filter(|port| PORTS.contains(port));
        let held = |port: &u16| {
            book.stored
                .get(uid)
                .is_some_and(|claims| claims.ports.contains(port))
        };
        match valid {
            None => {
                let (first, last) = PORTS.into_inner();
                let why = format!(
                    "provided port is not in the valid range. The range of valid ports is {first}-{last}"
                );
                errors.push(Error::invalid(at, wanted, why));
            }
            Some(port) if !held(&port) && book.has_port(port, uid) => {
                errors.push(Error::invalid(
                    at,
                    wanted,
                    "provided port is already allocated",
                ));
            }
            Some(_) => {}
        }
    }
}
