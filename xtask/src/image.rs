//! Builds an image for containers from one static program, without Docker.
//!
//! The image has one layer: the program, and the empty folder `/data` of the user 999. The archive holds
//! an OCI layout and the list that `docker load` reads. The same source and compiler make the same bytes.

mod check;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::step::{Failure, Step, workspace_dir};

const STEP: &str = "image";
/// Its C library can be linked into the program.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Compressed.
const LAYER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Links the C library into the program, and packs the list of addresses that its start corrects, which
/// takes a tenth of the image otherwise.
const FLAGS: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the image, runs it, and prints its path.
///
/// # Errors
///
/// When the build fails, a tool is missing, the image is too large, or it does not serve clients.
pub(crate) fn build() -> Result<(), Failure> {
    Step::cargo("static release build")
        .args(["build", "--locked", "--release", "--target", TARGET, "-p", "broker"])
        .args(["--bin", "broker"])
        // With a target, this applies to the program and not to scripts of the build.
        .env("RUSTFLAGS", FLAGS)
        .run()?;
    let dir = workspace_dir().join("target/image");
    let root = dir.join("root");
    stage(&root).map_err(|source| Failure::Unwritable { path: root.clone(), source })?;
    Step::program("symbols", "strip").arg(root.join("broker")).run()?;
    pack(&dir)?;
    let layout = dir.join("relaybox");
    let size = write_layout(&dir, &layout)
        .map_err(|source| Failure::Unwritable { path: layout.clone(), source })?;
    if size > LAYER_BYTES_MAX {
        let reason = format!("the layer has {size} bytes, at most {LAYER_BYTES_MAX} are allowed");
        return Err(Failure::Unexpected { step: STEP, reason });
    }
    let archive = dir.join(format!("relaybox_{VERSION}_amd64.tar"));
    tar("archive")
        .args(["-cf".as_ref(), archive.as_os_str(), "-C".as_ref(), layout.as_os_str()])
        .args(["blobs", "index.json", "manifest.json", "oci-layout"])
        .run()?;
    check::run(&dir.join("layer.tar.gz"))?;
    println!("==> {}, {} KiB compressed", archive.display(), size.div_ceil(1024));
    Ok(())
}

/// Writes the files of the layer.
fn stage(root: &Path) -> io::Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::create_dir_all(root.join("data"))?;
    fs::set_permissions(root.join("data"), fs::Permissions::from_mode(0o750))?;
    let program = workspace_dir().join("target").join(TARGET).join("release/broker");
    fs::copy(program, root.join("broker"))?;
    fs::set_permissions(root.join("broker"), fs::Permissions::from_mode(0o755))
}

/// Packs the layer as `layer.tar`, and compressed as `layer.tar.gz`.
fn pack(dir: &Path) -> Result<(), Failure> {
    let layer = dir.join("layer.tar");
    let add = |owner: &str, action: &str, name: &str| {
        tar("layer")
            .args([format!("--owner={owner}"), format!("--group={owner}")])
            .args([action.as_ref(), layer.as_os_str(), "-C".as_ref(), dir.join("root").as_os_str()])
            .arg(name)
            .run()
    };
    add("0", "-cf", "broker")?;
    add("999", "-rf", "data")?;
    Step::program("compression", "gzip").args(["-9nkf"]).arg(&layer).run()
}

/// Returns a step that packs files without the time and the names of this machine.
fn tar(name: &'static str) -> Step {
    Step::program(name, "tar").args(["--numeric-owner", "--mtime=@0", "--sort=name"])
}

/// Writes the layout, and returns the size of the layer.
fn write_layout(dir: &Path, layout: &Path) -> io::Result<usize> {
    if layout.exists() {
        fs::remove_dir_all(layout)?;
    }
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    let compressed = fs::read(dir.join("layer.tar.gz"))?;
    let diff = digest(&fs::read(dir.join("layer.tar"))?);
    let layer = add_blob(layout, LAYER_TYPE, &compressed)?;
    let config = add_blob(layout, CONFIG_TYPE, config(&diff).to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer],
    });
    let mut manifest = add_blob(layout, MANIFEST_TYPE, manifest.to_string().as_bytes())?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": VERSION });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    let for_docker = json!([{
        "Config": blob_path(&config),
        "Layers": [blob_path(&layer)],
        "RepoTags": [format!("relaybox:{VERSION}")],
    }]);
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(layout.join("manifest.json"), for_docker.to_string())?;
    fs::write(layout.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    Ok(compressed.len())
}

/// Returns the configuration of the image; `diff` is the digest of the uncompressed layer.
fn config(diff: &str) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": "999:999",
            "WorkingDir": "/data",
            "Volumes": { "/data": {} },
            "ExposedPorts": { "6379/tcp": {} },
            "Entrypoint": ["/broker"],
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "relaybox",
                "org.opencontainers.image.version": VERSION,
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff] },
        "history": [{ "created_by": "cargo xtask image" }],
    })
}

/// Writes a file under its digest, and returns its descriptor.
fn add_blob(layout: &Path, media_type: &str, bytes: &[u8]) -> io::Result<Value> {
    let digest = digest(bytes);
    let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
    fs::write(layout.join(blob_path(&descriptor)), bytes)?;
    Ok(descriptor)
}

/// Returns the place of a file in the layout.
fn blob_path(descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    Path::new("blobs").join(digest.replace(':', "/"))
}

fn digest(bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

#[test]
fn a_layout_has_three_blobs_under_their_digests() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("layer.tar"), "tar").unwrap();
    fs::write(dir.path().join("layer.tar.gz"), "gz").unwrap();
    let layout = dir.path().join("layout");
    assert_eq!(write_layout(dir.path(), &layout).unwrap(), 2);
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    for blob in blobs.map(Result::unwrap) {
        let name = blob.file_name().into_string().unwrap();
        assert_eq!(digest(&fs::read(blob.path()).unwrap()), format!("sha256:{name}"));
    }
    let read = |path: PathBuf| -> Value {
        serde_json::from_slice(&fs::read(layout.join(path)).unwrap()).unwrap()
    };
    let index = read("index.json".into());
    let manifest = read(blob_path(&index["manifests"][0]));
    assert_eq!(manifest["layers"][0]["digest"], digest(b"gz"));
    let config = read(blob_path(&manifest["config"]));
    assert_eq!(config["rootfs"]["diff_ids"][0], digest(b"tar"));
    assert_eq!(config["config"]["User"], "999:999");
}
