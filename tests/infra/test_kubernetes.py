"""The manifests by Kubernetes' own schema, and service by service against infra/compose.yaml."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infra.stack import compose
from infra.stack.stack import COMPOSE
from ser_ops.config.params import load_params

FILES = sorted((COMPOSE.parent / "kubernetes").glob("*.yaml"))
KUSTOMIZATION = yaml.safe_load((COMPOSE.parent / "kustomization.yaml").read_text())
SECRETS = {name: f"<{name}>" for name in compose.required(COMPOSE)}
SERVICES = compose.read(COMPOSE, SECRETS)


def documents(files: list[Path]) -> list[dict[str, Any]]:
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


ALL = documents(FILES)
PODS = {manifest["metadata"]["name"]: manifest["spec"]["template"] for manifest in ALL
        if "template" in manifest.get("spec", {})}
CONFIG = {generator["name"]: dict(line.split("=", 1) for line in generator.get("literals", []))
          for generator in KUSTOMIZATION["configMapGenerator"]}


def container(name: str) -> dict[str, Any]:
    only, = PODS[name]["spec"]["containers"]
    return dict(only)


def environment(name: str) -> dict[str, str]:
    """What a container gets, the secrets by the name of their key."""
    given: dict[str, str] = {}
    for source in container(name).get("envFrom", []):
        given |= CONFIG[source["configMapRef"]["name"]]
    for variable in container(name)["env"]:
        if "value" in variable:
            given[variable["name"]] = variable["value"]
        elif "secretKeyRef" in variable["valueFrom"]:
            assert variable["valueFrom"]["secretKeyRef"]["name"] == "ser-ops"
            given[variable["name"]] = f"<{variable['valueFrom']['secretKeyRef']['key']}>"
        else:
            reference = variable["valueFrom"]["configMapKeyRef"]
            given[variable["name"]] = CONFIG[reference["name"]][reference["key"]]
    return given


@pytest.mark.parametrize("manifest", ALL, ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}")
def test_the_schema_of_kubernetes_is_kept(manifest):
    kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_schema_is_looked_at():
    wrong = {**ALL[0], "spec": {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_every_service_of_the_compose_file_stands_here():
    assert set(PODS) == set(SERVICES)
    assert sorted(KUSTOMIZATION["resources"]) == sorted(f"kubernetes/{file.name}" for file in FILES
                                                        if "example" not in file.name)


@pytest.mark.parametrize("name", SERVICES)
def test_started_by_the_same_command_in_the_same_environment(name):
    assert tuple(container(name)["args"]) == SERVICES[name].command
    expected = SERVICES[name].environment
    if "SER_OPS_ORIGIN" in expected:
        expected = expected | {"SER_OPS_ORIGIN": CONFIG["client"]["SER_OPS_ORIGIN"]}    # a team's own
    assert environment(name) == expected


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.health])
def test_probed_by_the_same_command(name):
    health = SERVICES[name].health
    assert health
    for probe in ("startupProbe", "livenessProbe"):
        assert tuple(container(name)[probe]["exec"]["command"]) == health.command


@pytest.mark.parametrize("name", PODS)
def test_not_root_and_closed(name):
    pod, inner = PODS[name]["spec"]["securityContext"], container(name)["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] > 0 and pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                     "capabilities": {"drop": ["ALL"]}}
    assert PODS[name]["spec"]["automountServiceAccountToken"] is False
    # Without it the cluster puts POSTGRES_PORT=tcp://... and its like into every container.
    assert PODS[name]["spec"]["enableServiceLinks"] is False
    assert container(name)["resources"]["limits"]["memory"] and container(name)["resources"]["requests"]["cpu"]


def test_a_gpu_worker_has_one_gpu_and_data_has_disks():
    assert container("worker-gpu")["resources"]["limits"]["nvidia.com/gpu"] == 1
    keeping = {manifest["metadata"]["name"] for manifest in ALL if manifest.get("spec", {}).get("volumeClaimTemplates")}
    assert keeping == {"postgres", "s3", "worker-cpu", "worker-gpu"}


def test_the_http_service_has_replicas_that_come_with_the_load_and_end_in_peace():
    scaler, = [manifest["spec"] for manifest in ALL if manifest["kind"] == "HorizontalPodAutoscaler"]
    deployment, = [manifest["spec"] for manifest in ALL if manifest["kind"] == "Deployment"
                   and manifest["metadata"]["name"] == scaler["scaleTargetRef"]["name"] == "serve"]
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"] and "replicas" not in deployment
    assert PODS["serve"]["spec"]["terminationGracePeriodSeconds"] > load_params().serve.timeout
    assert container("serve")["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8000}


def test_what_listens_lets_in_only_who_is_named():
    policies = {manifest["metadata"]["name"]: manifest["spec"] for manifest in ALL
                if manifest["kind"] == "NetworkPolicy"}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for service in [manifest for manifest in ALL if manifest["kind"] == "Service" and manifest["spec"].get("ports")]:
        name, ports = service["metadata"]["name"], service["spec"]["ports"]
        rule, = policies[name]["ingress"]
        assert policies[name]["podSelector"]["matchLabels"] == {"app": name} == service["spec"]["selector"]
        assert [port["port"] for port in rule["ports"]] == [port["port"] for port in ports]
        assert rule["from"]


def test_no_secret_in_any_manifest():
    keys, = [manifest["stringData"] for manifest in ALL if manifest["kind"] == "Secret"]
    assert sorted(keys) == sorted(SECRETS) and set(keys.values()) == {""}
    assert "secret.example.yaml" not in " ".join(KUSTOMIZATION["resources"])
    for name in PODS:
        for variable in container(name)["env"]:
            secret = any(word in variable["name"] for word in ("PASSWORD", "SECRET", "_KEY", "AUTH_STRING", "TOKEN"))
            assert ("secretKeyRef" in variable.get("valueFrom", {})) == secret, variable["name"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here: what it would build is checked file by file")
def test_kubectl_builds_it():
    done = subprocess.run(["kubectl", "kustomize", str(COMPOSE.parent)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(ALL) - 1 + len(CONFIG)         # without the example, with the config maps
    for manifest in built:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "ser-ops"
