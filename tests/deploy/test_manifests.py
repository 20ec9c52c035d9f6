"""The files under deploy/ match the schemas of the programs that read them, and are consistent with each other."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from loadtest.cli import run as run_verb

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = [path for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if path.name != "locusttest.yaml"]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def document_of(path: Path, kind: str) -> dict[str, Any]:
    (found,) = (document for document in documents(path) if document["kind"] == kind)
    return found


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
@pytest.mark.parametrize("version", ["1.29", "1.33"])
def test_kubernetes_takes_the_manifest(path: Path, version: str) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, version, strict=True)


def test_kubernetes_would_refuse_a_misspelt_field() -> None:
    job = document_of(DEPLOY / "kubernetes" / "master.yaml", "Job")
    job["spec"]["backofLimit"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.33", strict=True)


def test_the_operator_takes_its_resource() -> None:
    schema = json.loads((Path(__file__).parent / "locusttest.schema.json").read_text())
    jsonschema.validate(document_of(DEPLOY / "kubernetes" / "locusttest.yaml", "LocustTest"), schema)


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="the v1 schema of Cloud Run comes with gcloud: not on PATH")
def test_cloud_run_knows_every_field(tmp_path: Path) -> None:
    gcloud = shutil.which("gcloud")
    assert gcloud is not None
    root = Path(gcloud).resolve().parents[1]
    files = []
    for name in ("worker-pool", "job"):
        (document,) = documents(DEPLOY / "cloudrun" / f"{name}.yaml")
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"kind": "Job", "spec": {"template": {"taskCont": 4}}}))
    checker = [sys.executable, str(Path(__file__).with_name("run_v1_check.py")), str(root), *map(str, [*files, wrong])]
    done = subprocess.run(checker, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # the misspelt field is found, which shows that the check finds errors
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["Job", "spec.template"]]


def test_the_master_waits_for_as_many_workers_as_there_are() -> None:
    (container,) = document_of(DEPLOY / "kubernetes" / "master.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    replicas = document_of(DEPLOY / "kubernetes" / "workers.yaml", "Deployment")["spec"]["replicas"]
    assert f"--expect-workers={replicas}" in container["args"]


def test_the_masters_arguments_are_options_of_lt_run() -> None:
    (container,) = document_of(DEPLOY / "kubernetes" / "master.yaml", "Job")["spec"]["template"]["spec"]["containers"]
    verb, *options = container["args"]
    assert verb == "run"
    known = set(inspect.signature(run_verb.run).parameters)
    assert {option[2:].partition("=")[0].replace("-", "_") for option in options} <= known


def test_master_and_workers_are_given_the_same_join_secret() -> None:
    """A master that other machines can reach accepts only workers that know the secret."""

    def env(path: str, kind: str) -> object:
        pod = document_of(DEPLOY / path, kind)["spec"]["template"]["spec"]
        pod = pod["template"]["spec"] if "template" in pod else pod
        return pod["containers"][0]["env"]

    assert env("kubernetes/master.yaml", "Job") == env("kubernetes/workers.yaml", "Deployment")
    assert env("cloudrun/job.yaml", "Job") == env("cloudrun/worker-pool.yaml", "WorkerPool")


def test_workers_find_the_master_by_its_service_and_may_reach_it() -> None:
    master = document_of(DEPLOY / "kubernetes" / "master.yaml", "Service")
    workers = document_of(DEPLOY / "kubernetes" / "workers.yaml", "Deployment")["spec"]["template"]
    policy, _ = documents(DEPLOY / "kubernetes" / "network.yaml")
    (container,) = workers["spec"]["containers"]
    assert container["args"][container["args"].index("--master-host") + 1] == master["metadata"]["name"]
    job = document_of(DEPLOY / "kubernetes" / "master.yaml", "Job")["spec"]["template"]["metadata"]["labels"]
    assert master["spec"]["selector"].items() <= job.items()
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= workers["metadata"]["labels"].items()
    assert rule["ports"][0]["port"] == master["spec"]["ports"][0]["port"]


def test_the_masters_image_is_sent_what_it_copies() -> None:
    dockerfile = (DEPLOY / "master.Dockerfile").read_text()
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()
    }
    ignore = (DEPLOY / "master.Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert all((ROOT / word).exists() for word in copied)


def test_the_guide_shows_the_sizes_that_the_benchmark_kept() -> None:
    kept = (ROOT / "benchmarks" / "results" / "sizing.md").read_text().strip()
    guide = (ROOT / "docs" / "distributed.md").read_text()
    assert kept.partition("\n\n")[2] in guide


def test_the_guide_names_only_files_that_are_there() -> None:
    guide = (ROOT / "docs" / "distributed.md").read_text()
    named = set(re.findall(r"(?:deploy|loadtest)/[\w/.-]+\.(?:yaml|py|Dockerfile)", guide))
    assert named
    assert all((ROOT / name).exists() for name in named)
