"""Renders the chart with each optional object on and off, and judges what comes out.

    chart.py ROOT WORK

Prints `ok NAME` and `not ok NAME: why`.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

VERSIONS = ["1.30", "1.33", "1.37"]
# Has no field for AppArmor, but an annotation.
OLD = "1.29"
# Each turned on by these values, and the kind that comes of it.
OPTIONAL = {
    "podMonitor": (
        {"podMonitor": {"enabled": True, "labels": {"release": "p"}, "endpoint": {"scheme": "https"}}},
        "PodMonitor",
    ),
    "prometheusRule": ({"prometheusRule": {"enabled": True}}, "PrometheusRule"),
    "networkPolicy": (
        {"networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]}},
        "NetworkPolicy",
    ),
    "scc": ({"openshift": {"scc": True}}, "SecurityContextConstraints"),
    "rules": ({"rules": '[[supervisor]]\nname = "x"\nexe = ["x"]\n'}, "ConfigMap"),
}
# Of operators, which Kubernetes' own schemas do not have.
FOREIGN = {"PodMonitor", "PrometheusRule", "SecurityContextConstraints"}
VARIANTS = {
    "defaults": {},
    "a foreign account": {"serviceAccount": {"create": False, "name": "own"}},
    "SYS_ADMIN": {"extraCapabilities": ["SYS_ADMIN"]},
    "a node's loopback": {"listenAddress": "127.0.0.1", "extraArgs": ["--log-format=json"]},
    "labels and annotations": {
        "podLabels": {"team": "x"},
        "podAnnotations": {"a/b": "c"},
        "imagePullSecrets": [{"name": "pull"}],
    },
    "TLS and passwords": {"webConfig": {"secretName": "web"}},
    "no class, no paths": {"priorityClassName": "", "hostPaths": []},
}
WRONG = {
    "an unknown key": {"prot": 1},
    "a port that is none": {"port": 70000},
    "a capability with its prefix": {"capabilities": ["CAP_BPF"]},
    "all capabilities": {"extraCapabilities": ["ALL"]},
    "a relative path": {"hostPaths": ["run"]},
    "a word for AppArmor that is none": {"appArmor": "off"},
}
failed = False


def check(name, problems):
    global failed
    if problems:
        failed = True
        print(f"not ok chart: {name}: {' | '.join(str(one) for one in problems)[:600]}")
    else:
        print(f"ok chart: {name}")


def objects(text):
    return [one for one in yaml.safe_load_all(text) if one]


def valid(found, version):
    problems = []
    for one in found:
        if one["kind"] in FOREIGN or one["kind"] == "Kustomization":
            continue
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            problems.append(f"{one['kind']} {version}: {where}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append(f"{one['kind']} {version}: {error.message}")
    return problems


def least(found):
    """What a security review looks at."""
    problems = []
    sets = [one for one in found if one["kind"] == "DaemonSet"]
    if len(sets) != 1:
        return ["not one DaemonSet"]
    pod = sets[0]["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    wanted = {"BPF", "PERFMON", "AUDIT_READ", "SYS_PTRACE", "DAC_READ_SEARCH"}
    added = set(context["capabilities"]["add"])
    if context.get("appArmorProfile", {"type": "Unconfined"})["type"] != "Unconfined":
        problems.append("AppArmor")
    if context.get("privileged"):
        problems.append("privileged")
    if context["capabilities"]["drop"] != ["ALL"] or added - {"SYS_ADMIN"} != wanted:
        problems.append(f"capabilities {added}")
    if not context["readOnlyRootFilesystem"]:
        problems.append("its root can be written")
    if context["allowPrivilegeEscalation"] != ("SYS_ADMIN" in added):
        problems.append("escalation")
    if any(not mount.get("readOnly") for mount in pod["containers"][0]["volumeMounts"]):
        problems.append("a mount can be written")
    if pod.get("automountServiceAccountToken") is not False:
        problems.append("a token is mounted")
    return problems


def main(root, work):
    path = root / "deploy/helm/capwatch"
    chart = helm.Chart.load(str(path))
    report = helm.lint(str(path), strict=True, namespace="capwatch")
    bad = [one for one in report["messages"] if one["severity"] >= 2]
    check("helm lint", bad + (report.get("errors") or []))

    def render(values):
        chart.validate_schema(values)
        manifests = chart.render(values, name="capwatch", namespace="capwatch")
        return [
            one
            for name, text in manifests.items()
            if name.endswith(".yaml")
            for one in objects(text)
        ]

    problems = []
    rounds = 0
    for chosen in itertools.product([False, True], repeat=len(OPTIONAL)):
        values, kinds = {}, set()
        for (own, kind), on in zip(OPTIONAL.values(), chosen):
            if on:
                values |= own
                kinds.add(kind)
        found = render(values)
        has = {one["kind"] for one in found}
        if has != kinds | {"DaemonSet", "ServiceAccount"}:
            problems.append(f"{chosen}: {has}")
        problems += least(found)
        for version in VERSIONS:
            problems += valid(found, version)
        rounds += 1
    check(f"each of {rounds} choices of optional objects is valid for {', '.join(VERSIONS)}", problems)

    for name, values in VARIANTS.items():
        found = render(values)
        check(f"{name}: valid", least(found) + [p for v in VERSIONS for p in valid(found, v)])

    found = render({"appArmor": "annotation"})
    pod = [one for one in found if one["kind"] == "DaemonSet"][0]["spec"]["template"]
    noted = pod["metadata"]["annotations"]
    key = "container.apparmor.security.beta.kubernetes.io/capwatch"
    bad = valid(found, OLD) + ([] if noted.get(key) == "unconfined" else [noted])
    check(f"AppArmor by annotation: valid for {OLD} too", bad)

    for name, values in WRONG.items():
        try:
            chart.validate_schema(values)
            check(f"{name} is refused", ["it was accepted"])
        except helm.HelmValuesError:
            check(f"{name} is refused", [])

    everything = {}
    for own, _ in OPTIONAL.values():
        everything |= own
    rules = [one for one in render(everything) if one["kind"] == "PrometheusRule"][0]
    file = work / "rules.yml"
    file.write_text(yaml.safe_dump(rules["spec"]))
    said = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    check("promtool takes the PrometheusRule's rules", [] if said.returncode == 0 else [said.stderr])

    plain = root / "deploy/kustomize"
    names = yaml.safe_load((plain / "kustomization.yaml").read_text())["resources"]
    found = [one for name in names for one in objects((plain / name).read_text())]
    check("the plain manifests are valid", least(found) + [p for v in VERSIONS for p in valid(found, v)])
    default = [one for one in render({}) if one["kind"] == "DaemonSet"][0]
    own = [one for one in found if one["kind"] == "DaemonSet"][0]
    same = default["spec"]["template"]["spec"]["containers"] == own["spec"]["template"]["spec"]["containers"]
    check("the plain manifests run what the chart does by default", [] if same else ["containers differ"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
