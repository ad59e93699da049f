//! What `deploy/` says twice, it says alike.

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

use std::process::Command;

use observer::config::CATALOGUE;

const UNIT: &str = include_str!("../../deploy/systemd/capwatch.service");
const AUDIT_SOCKET: &str = include_str!("../../deploy/systemd/capwatch-audit.socket");
const VALUES: &str = include_str!("../../deploy/helm/capwatch/values.yaml");
const PACKAGED: &str = include_str!("../../deploy/capwatch.toml");
const PRIVILEGES: &str = include_str!("../../docs/privileges.md");

#[test]
fn the_chart_has_the_alerts_of_the_dashboards() {
    assert_eq!(
        include_str!("../../deploy/helm/capwatch/files/capwatch.alerts.yml"),
        include_str!("../../dashboards/prometheus/capwatch.alerts.yml"),
        "copy dashboards/prometheus/capwatch.alerts.yml to deploy/helm/capwatch/files/"
    );
}

#[test]
fn unit_and_chart_have_the_capabilities_that_the_documents_explain() {
    let line = |name: &str| {
        let line = UNIT.lines().find_map(|line| line.strip_prefix(name));
        let words = line.unwrap().split(' ');
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut ambient = line("AmbientCapabilities=");
    assert_eq!(ambient, line("CapabilityBoundingSet="));
    // In its place systemd passes a socket; a container has nobody who does.
    assert!(AUDIT_SOCKET.contains("\nListenNetlink=audit 1\n"));
    ambient.push("CAP_AUDIT_READ".to_owned());
    for capability in &ambient {
        let bare = capability.strip_prefix("CAP_").unwrap();
        assert!(
            VALUES.contains(&format!("\n  - {bare} ")),
            "{bare} is not in values.yaml"
        );
        assert!(
            PRIVILEGES.contains(capability),
            "docs/privileges.md does not explain {capability}"
        );
    }
    assert!(!ambient.iter().any(|name| name == "CAP_SYS_ADMIN"));
}

#[test]
fn the_packaged_configuration_has_every_option_of_run() {
    let printed = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(["config", "default"])
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let options = printed.strip_suffix(CATALOGUE).unwrap().trim_end();
    assert!(options.contains("\n# web.listen-address = "), "{options}");
    let begin = PACKAGED.find("# Options of `capwatch run`").unwrap();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/capwatch.toml");
        std::fs::write(path, format!("{}{options}\n", &PACKAGED[..begin])).unwrap();
        return;
    }
    assert_eq!(
        PACKAGED[begin..].trim_end(),
        options,
        "update it: INSTA_UPDATE=always cargo test -p observer --test deploy"
    );
}

#[test]
fn chart_and_manifests_have_the_agents_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = include_str!("../../deploy/helm/capwatch/Chart.yaml");
    assert!(chart.contains(&format!(
        "\nversion: {version}\nappVersion: \"{version}\"\n"
    )));
    let plain = include_str!("../../deploy/kustomize/daemonset.yaml");
    assert!(plain.contains(&format!("image: \"ghcr.io/capwatch/capwatch:{version}\"")));
    assert!(
        !plain
            .replace(version, "")
            .contains("app.kubernetes.io/version: \"0")
    );
}
