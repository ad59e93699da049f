"""The commands of the documents: which can run here are run, the others say why not.

documents.py ROOT list   prints each command with its place
documents.py ROOT run    runs them below the present folder; a result a line
"""

import pathlib
import re
import subprocess
import sys

PROGRAMS = """apparmor_parser apt auditctl ausearch capwatch cargo cat curl docker dpkg echo for helm htpasswd
install journalctl kubectl mdbook podman rpm sed semodule setpriv skopeo ssh sudo sysctl systemctl tar
"sudo" CAPWATCH_SOURCE RUSTC_BOOTSTRAP ADDRESS ./install.sh prometheus promtool aa-status getcap node""".split()

# What can't run here: a pattern for the whole command, and why.
NOT_HERE = [
    (r"ssh -NL .*", "a tunnel to another host"),
    (r"ssh NODE 'systemctl .*", "needs systemd: tests/vm/package.sh"),
    (r"promtool check config /etc/.*", "needs the file of a host: tests/peers/newcomer.sh checks one"),
    (r"kubectl .*|helm .*", "needs a cluster; tests/peers/chart.sh renders the chart"),
    (r"apt install .*|rpm .*|sudo capwatch-.*install\.sh|tar -xf .*", "installs a package: tests/vm/package.sh does"),
    (r"(podman|docker) .*", "needs an engine and an image: tests/peers/real.sh, tests/vm/engines.sh"),
    (r".*-- (podman|docker) .*", "needs an engine and an image: tests/vm/incident.sh, tests/vm/beside.sh"),
    (r".*-- systemd-run .*|systemctl .*|journalctl .*", "needs systemd: tests/vm/beside.sh, tests/vm/package.sh"),
    (r"cargo run .*", "the agent, run by tests/peers/newcomer.sh from a clean clone"),
    (r"cargo (build|test|xtask) .*|mdbook build|RUSTC_BOOTSTRAP=1 .*", "builds or tests the source, as this test does"),
    (r"echo 'capability .*|apparmor_parser .*", "changes a profile of the host's"),
    (r"ausearch .*|cat capwatch-setpcap\.te|semodule .*", "needs SELinux: tests/vm/selinux.sh"),
    (r"auditctl .*", "changes the host's audit rules: tests/vm/auditd.sh"),
    (r"install .*|sed .*|capwatch (man|completions) .*\| install .*|for c in .*|capwatch man .c .*", "writes to the host: tests/peers/newcomer.sh"),
    (r"capwatch (--config rules\.toml )?run( --.*)?", "an agent runs during this test already"),
    (r"setpriv --bounding-set.*", "needs /usr/bin/caddy with file capabilities: tests/vm/rules.sh"),
    (r"capwatch config check /etc/.*", "needs the package: tests/vm/package.sh"),
    (r"docker run .*|cat .*", "an example of another program"),
]

# What ends otherwise than with 0, and is right.
CODES = {
    r"(sudo |ssh -t NODE '?.*sudo )?capwatch doctor.*": {0, 1, 2},
    # grep -c of nothing.
    r"ssh NODE .*grep -c overflow.*": {0, 1},
    r"capwatch probe .*--check.*": {0, 3},
}


def blocks(text):
    """Lines of code with their numbers: in a fence of no other language, or indented."""
    fenced, language, blank, inside = False, "", True, False
    for number, line in enumerate(text.split("\n"), 1):
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            fenced, language = not fenced, fence.group(1)
            continue
        if fenced:
            if language in ("", "sh", "bash", "console"):
                yield number, line.strip()
            continue
        indented = line.startswith("    ")
        inside = indented and (inside or blank)
        if inside:
            yield number, line.strip()
        blank = not line.strip() or line.startswith("#")


def commands(root):
    pages = [root / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "dashboards/README.md")]
    pages += sorted((root / "docs").glob("*.md"))
    for page in pages:
        place = page.relative_to(root)
        whole, first = "", 0
        for number, line in blocks(page.read_text()):
            line = re.sub(r"^(#|\$) (?=[a-z])", "", line)
            whole, first = (f"{whole} {line}", first) if whole else (line, number)
            if whole.endswith("\\"):
                whole = whole[:-1].rstrip()
                continue
            command, whole = re.sub(r"\s+# .*", "", whole), ""
            if command.split(" ")[0].split("=")[0] in PROGRAMS:
                yield f"{place}:{first}", command


def why_not(command):
    return next((why for pattern, why in NOT_HERE if re.fullmatch(pattern, command)), None)


def here(command):
    """On this host, as root, what the command does on another one or by sudo."""
    over = re.fullmatch(r"""ssh (?:-t )?NODE (['"]?)(.*)\1""", command)
    command = over.group(2) if over else command
    return re.sub(r"\bsudo ", "", command).replace("curl -s ", "curl -fsS ")


def run(place, command):
    allowed = next((codes for pattern, codes in CODES.items() if re.fullmatch(pattern, command)), {0})
    try:
        ended = subprocess.run(["bash", "-c", here(command)], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        return f"not ok documents: {command} ({place}): it did not end"
    if ended.returncode in allowed:
        return f"ok documents: {command} ({place})"
    said = (ended.stderr or ended.stdout).strip().replace("\n", " | ")
    return f"not ok documents: {command} ({place}): status {ended.returncode}: {said[-300:]}"


def main():
    root, task = pathlib.Path(sys.argv[1]), sys.argv[2]
    found = list(dict.fromkeys((command, place) for place, command in commands(root)))
    if task == "list":
        for command, place in found:
            print(f"{place}: {command}: {why_not(command) or 'RUN'}")
        return 0
    results, done, left = [], set(), {}
    for command, place in found:
        why = why_not(command)
        if why:
            left.setdefault(why, []).append(command)
        elif command not in done:
            done.add(command)
            results.append(run(place, command))
            print(results[-1], flush=True)
    for why, those in left.items():
        print(f"note {len(those)} commands are not run: {why}")
    for pattern, why in NOT_HERE:
        if not any(re.fullmatch(pattern, command) for command, _ in found):
            results.append(f"not ok documents: no command is {pattern}: take it off the list")
            print(results[-1])
    return any(result.startswith("not ok") for result in results)


sys.exit(main())
