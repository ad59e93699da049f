#!/usr/bin/env python3
"""Runs a workflow of docs/ci.md step by step, as its runner would.

    workflow.py DOCUMENT github|gitlab|jenkins

The job's folder is the current one. Variables that the workflow sets are left as
they are in the environment, where they are there. Ends with the job's exit code.
"""

import os
import re
import subprocess
import sys

import yaml


def block(document, language, title):
    """The fenced block below a heading."""
    section = document.split(f"\n### {title}\n")[1]
    return section.split(f"```{language}\n")[1].split("\n```")[0] + "\n"


def run(shell, script):
    """A step's exit code."""
    return subprocess.run([*shell, script], check=False).returncode


def set_unset(variables):
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def github(document):
    """Steps by `bash -e`; after a failure those alone that always run."""
    workflow = yaml.safe_load(block(document, "yaml", "GitHub"))
    set_unset(workflow["env"])
    (job,) = workflow["jobs"].values()
    code = 0
    for step in job["steps"]:
        if code != 0 and step.get("if") != "always()":
            continue
        if "run" in step:
            code = run(["bash", "-e", "-c"], step["run"]) or code
        elif "upload-artifact" in step["uses"]:
            upload(step["with"]["path"].splitlines())
    return code


def gitlab(document):
    """One shell for the script, another one for what comes after."""
    (job,) = yaml.safe_load(block(document, "yaml", "GitLab")).values()
    set_unset(job["variables"])
    shell = ["bash", "-eo", "pipefail", "-c"]
    code = run(shell, "\n".join(job["script"]))
    run(shell, "\n".join(job["after_script"]))
    assert job["artifacts"]["when"] == "always"
    upload([*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]])
    return code


def jenkins(document):
    """Each `sh` by `sh -xe`; what is posted always runs."""
    pipeline = block(document, "groovy", "Jenkins")
    set_unset(dict(re.findall(r"(\w+) = '([^']*)'", pipeline)))
    stages, post = pipeline.split("post {")
    code = 0
    for part, always in ((stages, False), (post, True)):
        for script in re.findall(r"sh '''(.*?)'''", part, re.DOTALL):
            if code == 0 or always:
                # Groovy's string has its backslashes twice.
                code = run(["sh", "-xec"], script.replace("\\\\", "\\")) or code
    files = re.search(r"archiveArtifacts artifacts: '([^']*)'", post).group(1)
    upload(files.split(", "))
    return code


def upload(paths):
    for path in paths:
        path = path.replace("${{ runner.temp }}", os.environ["RUNNER_TEMP"])
        assert os.path.getsize(path) > 0, path
        print(f"uploaded {os.path.basename(path)}")


def main():
    path, runner = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        document = file.read()
    return {"github": github, "gitlab": gitlab, "jenkins": jenkins}[runner](document)


if __name__ == "__main__":
    sys.exit(main())
