//! What `deploy/` says twice, it says alike.

const UNIT: &str = include_str!("../../deploy/systemd/capwatch.service");
const VALUES: &str = include_str!("../../deploy/helm/capwatch/values.yaml");
const README: &str = include_str!("../../README.md");

#[test]
fn the_chart_has_the_alerts_of_the_dashboards() {
    assert_eq!(
        include_str!("../../deploy/helm/capwatch/files/capwatch.alerts.yml"),
        include_str!("../../dashboards/prometheus/capwatch.alerts.yml"),
        "copy dashboards/prometheus/capwatch.alerts.yml to deploy/helm/capwatch/files/"
    );
}

#[test]
fn unit_and_chart_have_the_capabilities_that_the_readme_explains() {
    let line = |name: &str| {
        let line = UNIT.lines().find_map(|line| line.strip_prefix(name));
        let words = line.unwrap().split(' ');
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let ambient = line("AmbientCapabilities=");
    assert_eq!(ambient, line("CapabilityBoundingSet="));
    for capability in &ambient {
        let bare = capability.strip_prefix("CAP_").unwrap();
        assert!(
            VALUES.contains(&format!("\n  - {bare} ")),
            "{bare} is not in values.yaml"
        );
        assert!(
            README.contains(capability),
            "README does not explain {capability}"
        );
    }
    assert!(!ambient.iter().any(|name| name == "CAP_SYS_ADMIN"));
}
