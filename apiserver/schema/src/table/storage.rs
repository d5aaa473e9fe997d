//! Volumes, claims and storage classes.

use super::columns::{
    AGE, Doc::Field, Doc::Text, NAME, NAME_AND_AGE, Printer, age, boolean, integer, is_deleted,
    items, name, text, wide,
};
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "PersistentVolumeClaim" => &CLAIM,
        "PersistentVolume" => &VOLUME,
        "StorageClass" => &CLASS,
        "VolumeAttachment" => &ATTACHMENT,
        "CSIStorageCapacity" => &NAME_AND_AGE,
        "CSINode" => &NODE,
        "VolumeAttributesClass" => &ATTRIBUTES,
        _ => return None,
    })
}

fn own(value: &Value) -> Value {
    value.as_str().unwrap_or_default().into()
}

fn modes(list: &Value) -> String {
    let mut short: Vec<&str> = Vec::new();
    for (mode, name) in [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ] {
        if items(list).any(|m| m == mode) {
            short.push(name);
        }
    }
    short.join(",")
}

fn phase(o: &Value) -> Value {
    if is_deleted(o) {
        "Terminating".into()
    } else {
        own(&o["status"]["phase"])
    }
}

fn class(spec: &Value, metadata: &Value) -> Value {
    let old = &metadata["annotations"]["volume.beta.kubernetes.io/storage-class"];
    own(if old.is_string() {
        old
    } else {
        &spec["storageClassName"]
    })
}

fn unset(value: &Value) -> Value {
    value
        .as_str()
        .filter(|t| !t.is_empty())
        .unwrap_or("<unset>")
        .into()
}

const CLAIM: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Status",
            Field("core.v1.PersistentVolumeClaimStatus", "phase"),
        ),
        text(
            "Volume",
            Field("core.v1.PersistentVolumeClaimSpec", "volumeName"),
        ),
        text(
            "Capacity",
            Field("core.v1.PersistentVolumeClaimStatus", "capacity"),
        ),
        text(
            "Access Modes",
            Field("core.v1.PersistentVolumeClaimStatus", "accessModes"),
        ),
        text(
            "StorageClass",
            Field("core.v1.PersistentVolumeClaimSpec", "storageClassName"),
        ),
        text(
            "VolumeAttributesClass",
            Field(
                "core.v1.PersistentVolumeClaimSpec",
                "volumeAttributesClassName",
            ),
        ),
        AGE,
        wide(
            "VolumeMode",
            Field("core.v1.PersistentVolumeClaimSpec", "volumeMode"),
        ),
    ],
    cells: |o, now| {
        let (spec, status) = (&o["spec"], &o["status"]);
        let bound = spec["volumeName"].as_str().is_some_and(|v| !v.is_empty());
        let (capacity, access) = if bound {
            (
                own(&status["capacity"]["storage"]),
                modes(&status["accessModes"]),
            )
        } else {
            ("".into(), String::new())
        };
        vec![
            name(o),
            phase(o),
            own(&spec["volumeName"]),
            capacity,
            access.into(),
            class(spec, &o["metadata"]),
            unset(&spec["volumeAttributesClassName"]),
            age(o, now),
            unset(&spec["volumeMode"]),
        ]
    },
};

const VOLUME: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Capacity",
            Field("core.v1.PersistentVolumeSpec", "capacity"),
        ),
        text(
            "Access Modes",
            Field("core.v1.PersistentVolumeSpec", "accessModes"),
        ),
        text(
            "Reclaim Policy",
            Field(
                "core.v1.PersistentVolumeSpec",
                "persistentVolumeReclaimPolicy",
            ),
        ),
        text("Status", Field("core.v1.PersistentVolumeStatus", "phase")),
        text("Claim", Field("core.v1.PersistentVolumeSpec", "claimRef")),
        text(
            "StorageClass",
            Field("core.v1.PersistentVolumeSpec", "storageClassName"),
        ),
        text(
            "VolumeAttributesClass",
            Field("core.v1.PersistentVolumeSpec", "volumeAttributesClassName"),
        ),
        text("Reason", Field("core.v1.PersistentVolumeStatus", "reason")),
        AGE,
        wide(
            "VolumeMode",
            Field("core.v1.PersistentVolumeSpec", "volumeMode"),
        ),
    ],
    cells: |o, now| {
        let spec = &o["spec"];
        let claim = &spec["claimRef"];
        let claim = if claim.is_object() {
            format!(
                "{}/{}",
                claim["namespace"].as_str().unwrap_or_default(),
                claim["name"].as_str().unwrap_or_default()
            )
        } else {
            String::new()
        };
        vec![
            name(o),
            own(&spec["capacity"]["storage"]),
            modes(&spec["accessModes"]).into(),
            own(&spec["persistentVolumeReclaimPolicy"]),
            phase(o),
            claim.into(),
            class(spec, &o["metadata"]),
            unset(&spec["volumeAttributesClassName"]),
            own(&o["status"]["reason"]),
            age(o, now),
            unset(&spec["volumeMode"]),
        ]
    },
};

const NODE: Printer = Printer {
    columns: &[
        NAME,
        integer(
            "Drivers",
            Text("Drivers indicates the number of CSI drivers registered on the node"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let drivers = items(&o["spec"]["drivers"]).count();
        vec![name(o), drivers.into(), age(o, now)]
    },
};

const ATTRIBUTES: Printer = Printer {
    columns: &[
        NAME,
        text(
            "DriverName",
            Field("storage.v1.VolumeAttributesClass", "driverName"),
        ),
        AGE,
    ],
    cells: |o, now| vec![name(o), own(&o["driverName"]), age(o, now)],
};

const CLASS: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Provisioner",
            Field("storage.v1.StorageClass", "provisioner"),
        ),
        text(
            "ReclaimPolicy",
            Field("storage.v1.StorageClass", "reclaimPolicy"),
        ),
        text(
            "VolumeBindingMode",
            Field("storage.v1.StorageClass", "volumeBindingMode"),
        ),
        text(
            "AllowVolumeExpansion",
            Field("storage.v1.StorageClass", "allowVolumeExpansion"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let is_default =
            o["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        let shown = format!(
            "{}{}",
            o["metadata"]["name"].as_str().unwrap_or_default(),
            if is_default { " (default)" } else { "" }
        );
        vec![
            shown.into(),
            own(&o["provisioner"]),
            o["reclaimPolicy"].as_str().unwrap_or("Delete").into(),
            o["volumeBindingMode"]
                .as_str()
                .unwrap_or("Immediate")
                .into(),
            (o["allowVolumeExpansion"] == true).into(),
            age(o, now),
        ]
    },
};

const ATTACHMENT: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Attacher",
            Field("storage.v1.VolumeAttachmentSpec", "attacher"),
        ),
        text(
            "PV",
            Text("The name of the PersistentVolume that is attached"),
        ),
        text("Node", Field("storage.v1.VolumeAttachmentSpec", "nodeName")),
        boolean(
            "Attached",
            Field("storage.v1.VolumeAttachmentStatus", "attached"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let spec = &o["spec"];
        vec![
            name(o),
            own(&spec["attacher"]),
            own(&spec["source"]["persistentVolumeName"]),
            own(&spec["nodeName"]),
            (o["status"]["attached"] == true).into(),
            age(o, now),
        ]
    },
};
