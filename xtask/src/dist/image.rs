//! The image, as an OCI archive that `podman load`, `docker load` and `skopeo` take: one
//! layer with the static program, nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Release, archive};
use crate::bpf::sha256;
use crate::vm::Arch;
use crate::{cache, cmd};

/// Where the image is published.
const NAME: &str = "ghcr.io/capwatch/capwatch";

/// A blob of the image.
struct Blob {
    digest: String,
    size: u64,
}

/// Writes the archive; `work` is for the layout.
pub fn write(
    release: &Release,
    arch: Arch,
    program: &Path,
    work: &Path,
    file: &Path,
) -> Result<()> {
    let Release {
        version,
        commit,
        epoch,
    } = release;
    let layout = work.join("layout");
    cache::remove(work)?;
    fs::create_dir_all(layout.join("blobs/sha256"))?;

    let root = work.join("root");
    fs::create_dir_all(root.join("licenses"))?;
    archive::copy_tree(program, &root.join("capwatch"))?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE", "LICENSE-GPL2"] {
        let to = root.join("licenses").join(licence);
        archive::copy_tree(&cmd::workspace().join(licence), &to)?;
    }
    let tar = work.join("layer.tar");
    let names = ["capwatch", "licenses"].map(Path::new);
    archive::tar_of(&root, &names, &tar, epoch)?;
    let unpacked = sha256(&tar)?;
    cmd::run(Command::new("gzip").args(["-9n", "-f"]).arg(&tar))?;
    let layer = add(&layout, &fs::read(work.join("layer.tar.gz"))?)?;

    let created = cmd::stdout(Command::new("date").args([
        "-u",
        "+%Y-%m-%dT%H:%M:%SZ",
        "-d",
        &format!("@{epoch}"),
    ]))?;
    let created = created.trim();
    let labels = json!({
        "org.opencontainers.image.title": "capwatch",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
        "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
    });
    let config = json!({
        "created": created,
        "architecture": arch.debian(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/capwatch"],
            "Cmd": ["run"],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{unpacked}")]},
        "history": [{"created": created, "created_by": "cargo xtask dist"}],
    });
    let config = add_json(&layout, &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.described("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.described("application/vnd.oci.image.layer.v1.tar+gzip")],
        "annotations": labels,
    });
    let manifest = add_json(&layout, &manifest)?;
    let mut described = manifest.described("application/vnd.oci.image.manifest.v1+json");
    let tag = format!("{NAME}:{version}");
    described["annotations"] = json!({
        "org.opencontainers.image.ref.name": version,
        "io.containerd.image.name": tag,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [described],
    });
    // What engines before OCI archives look for.
    let docker = json!([{
        "Config": config.path(),
        "RepoTags": [tag],
        "Layers": [layer.path()],
    }]);
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(layout.join("manifest.json"), docker.to_string())?;
    let names = ["blobs", "index.json", "manifest.json", "oci-layout"].map(Path::new);
    archive::tar_of(&layout, &names, file, epoch)
}

impl Blob {
    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn described(&self, kind: &str) -> Value {
        json!({
            "mediaType": kind,
            "digest": format!("sha256:{}", self.digest),
            "size": self.size,
        })
    }
}

fn add_json(layout: &Path, value: &Value) -> Result<Blob> {
    add(layout, value.to_string().as_bytes())
}

fn add(layout: &Path, content: &[u8]) -> Result<Blob> {
    let blobs = layout.join("blobs/sha256");
    let scratch = blobs.join("unnamed");
    fs::write(&scratch, content)?;
    let digest = sha256(&scratch)?;
    fs::rename(&scratch, blobs.join(&digest))?;
    Ok(Blob {
        digest,
        size: content.len() as u64,
    })
}
