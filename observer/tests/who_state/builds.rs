//! Steps of the build of an image: what builds, and from which image.

use observer::{finding::Container, who::cgroup::places};

use crate::{Host, runc};

/// The places as buildah 1.28 and Docker 20.10 make them.
#[test]
fn a_step_of_a_build_names_what_builds() {
    let host = Host::new();
    for (id, bundle, builder) in [
        (
            "buildah-buildah1853210384",
            "/var/tmp/buildah1853210384",
            Some("buildah"),
        ),
        (
            "n4ilk0xmv2pqmfqpnczwnbjt9",
            "/var/lib/docker/buildkit/executor/n4ilk0xmv2pqmfqpnczwnbjt9",
            Some("buildkit"),
        ),
        ("buildah-like", "/bundles/executor/x", None),
    ] {
        let cgroup = format!("/{id}");
        host.write(&format!("run/runc/{id}/state.json"), &runc(&cgroup, bundle));
        let state = host.state();
        let (container, _) = state.of_path(&cgroup, &places(&cgroup, None), None);
        assert_eq!(container.unwrap().build.as_deref(), builder, "{id}");
    }
}

/// Docker 20.10 without `BuildKit`: a container of each step, of the image so far.
#[test]
fn a_step_of_dockers_own_builder_has_the_image_that_the_build_began_with() {
    let host = Host::new();
    let (base, so_far) = ("ba".repeat(32), "5f".repeat(32));
    host.write(
        "var/lib/docker/image/vfs/repositories.json",
        &format!(r#"{{"Repositories":{{"debian":{{"debian:12":"sha256:{base}"}}}}}}"#),
    );
    host.write(
        &format!("var/lib/docker/image/vfs/imagedb/metadata/sha256/{so_far}/parent"),
        &format!("sha256:{base}"),
    );
    let step = |id: &str, image: &str, log: &str| {
        let folder = format!("var/lib/docker/containers/{}", id.repeat(32));
        let config = format!(r#"{{"Name":"/bold_kay","Config":{{"Image":"{image}"}}}}"#);
        host.write(&format!("{folder}/config.v2.json"), &config);
        let log = format!(r#"{{"LogConfig":{{"Type":"{log}"}}}}"#);
        host.write(&format!("{folder}/hostconfig.json"), &log);
        let path = format!("/docker/{}", id.repeat(32));
        host.of(&path, None).unwrap()
    };
    let of = |container: Container| (container.build, container.image);
    let (by, tag) = (Some("docker".to_owned()), Some("debian:12".to_owned()));
    for (id, image) in [("c1", &base), ("c2", &so_far)] {
        let image = format!("sha256:{image}");
        assert_eq!(of(step(id, &image, "none")), (by.clone(), tag.clone()));
    }
    // A container that somebody runs by the image's id is no step; nor is one that
    // keeps no log.
    let by_id = format!("sha256:{base}");
    assert_eq!(of(step("c3", &by_id, "json-file")), (None, tag.clone()));
    let without = format!("sha256:{so_far}");
    let image = Some(without.clone());
    assert_eq!(of(step("c4", &without, "json-file")), (None, image));
    assert_eq!(of(step("c5", "debian:12", "none")), (None, tag));
}

/// As buildah 1.28 leaves it while a step runs.
#[test]
fn a_step_of_buildahs_has_its_working_containers_name_and_image() {
    let host = Host::new();
    let (image, working) = ("1a".repeat(32), "9d".repeat(32));
    let store = "var/lib/containers/storage";
    host.write(
        &format!("{store}/overlay-containers/containers.json"),
        &format!(
            r#"[{{"id":"{working}","names":["debian-working-container"],"image":"{image}"}}]"#
        ),
    );
    host.write(
        &format!("{store}/overlay-images/images.json"),
        &format!(r#"[{{"id":"{image}","names":["docker.io/library/debian:12"]}}]"#),
    );
    let id = "buildah-buildah42";
    let hostname = &working[..12];
    host.write(
        "var/tmp/b/config.json",
        &format!(r#"{{"hostname":"{hostname}"}}"#),
    );
    let state = runc(&format!("/{id}"), "/var/tmp/b");
    host.write(&format!("run/runc/{id}/state.json"), &state);
    let cgroup = format!("/{id}");
    let (container, _) = host.state().of_path(&cgroup, &places(&cgroup, None), None);
    let container = container.unwrap();
    assert_eq!(container.build.as_deref(), Some("buildah"));
    assert_eq!(container.name.as_deref(), Some("debian-working-container"));
    let image = container.image.as_deref();
    assert_eq!(image, Some("docker.io/library/debian:12"));
}

#[test]
fn a_step_of_buildahs_is_known_by_its_cgroup_when_all_else_is_gone() {
    let host = Host::new();
    for path in [
        "/buildah-buildah42",
        "/machine.slice/crun-buildah-buildah42.scope",
    ] {
        let container = host.of(path, None).unwrap();
        assert_eq!(container.build.as_deref(), Some("buildah"), "{path}");
        assert_eq!(container.id, "buildah-buildah42", "{path}");
    }
    assert_eq!(host.of("/buildah-buildah", None), None);
}
