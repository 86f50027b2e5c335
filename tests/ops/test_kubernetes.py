"""deploy/kubernetes and deploy/helm: rendered, strictly valid, the same, and run as they say."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import yaml
from containers import Engine
from local_server import LocalServer, server_binary
from programs import DEPLOY, environment, program, run
from server import (
    PLAN,
    SMALL_BUDGET,
    drain_seconds,
    free_port,
    load,
    make_certificate,
    measured_server,
)
from status_port import metrics

import lossd

KUSTOMIZE = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "lossd"
# Oldest and newest that preStop.sleep permits and that schemas are there for.
VERSIONS = ("1.30", "1.37")

Resources = dict[str, dict[str, Any]]


def by_kind(text: str) -> Resources:
    """What was rendered, of which there is one of each kind."""
    resources = [resource for resource in yaml.safe_load_all(text) if resource]
    kinds = {resource["kind"]: resource for resource in resources}
    assert len(kinds) == len(resources)
    return kinds


def overlay(name: str) -> Resources:
    return by_kind(run("kubectl", "kustomize", KUSTOMIZE / "overlays" / name))


def chart(*values: str) -> Resources:
    sets = [argument for value in values for argument in ("--set", value)]
    return by_kind(run("helm", "template", "lossd", CHART, *sets))


PRODUCTION = ("tlsSecret=lossd-tls", "tokensSecret=lossd-tokens", "serviceMonitor=true")
RENDERED: dict[str, Callable[[], Resources]] = {
    "cpu": lambda: overlay("cpu"),
    "gpu": lambda: overlay("gpu"),
    "production": lambda: overlay("production"),
    "chart": chart,
    "chart-production": lambda: chart(*PRODUCTION),
    "chart-fixed": lambda: chart("autoscaling.enabled=false", "networkPolicy.enabled=false"),
}


@pytest.fixture(params=RENDERED)
def resources(request: pytest.FixtureRequest) -> Resources:
    return RENDERED[request.param]()


def complaints(folder: pathlib.Path, resources: Resources, version: str) -> list[str]:
    """What a strict validation says beyond that all is well."""
    path = folder / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(resources.values()))
    command = [program("kubernetes-validate"), "--strict", "-k", version, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    lines = (done.stdout + done.stderr).splitlines()
    assert lines
    return [line for line in lines if " passed for resource " not in line]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_rendered_is_valid(
    resources: Resources, version: str, tmp_path: pathlib.Path
) -> None:
    # The operator's kind has no schema among Kubernetes' own: see below.
    known = {kind: it for kind, it in resources.items() if kind != "ServiceMonitor"}
    assert complaints(tmp_path, known, version) == []


def test_validation_finds_a_typing_error(tmp_path: pathlib.Path) -> None:
    resources = overlay("cpu")
    resources["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriod"] = 75
    assert complaints(tmp_path, resources, VERSIONS[-1])


def pod(resources: Resources) -> dict[str, Any]:
    spec: dict[str, Any] = resources["Deployment"]["spec"]["template"]["spec"]
    return spec


def container(resources: Resources) -> dict[str, Any]:
    (only,) = pod(resources)["containers"]
    assert isinstance(only, dict)
    return only


def test_names_and_selectors_meet(resources: Resources) -> None:
    labels = resources["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        resources["Service"]["spec"]["selector"],
        resources["Deployment"]["spec"]["selector"]["matchLabels"],
        resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]
    if "NetworkPolicy" in resources:
        selectors.append(resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert selector, "it selects everything"
        assert selector.items() <= labels.items()
    if "HorizontalPodAutoscaler" in resources:
        target = resources["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert target["name"] == resources["Deployment"]["metadata"]["name"]
    (config,) = (v for v in pod(resources)["volumes"] if v["name"] == "config")
    assert config["configMap"]["name"] == resources["ConfigMap"]["metadata"]["name"]
    ports = {port["name"] for port in container(resources)["ports"]}
    assert {port["targetPort"] for port in resources["Service"]["spec"]["ports"]} == ports
    if "ServiceMonitor" in resources:
        monitor = resources["ServiceMonitor"]["spec"]
        assert monitor["selector"]["matchLabels"].items() <= (
            resources["Service"]["metadata"]["labels"].items()
        )
        named = {port["name"] for port in resources["Service"]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= named


def test_draining_fits_into_the_grace_period(resources: Resources) -> None:
    config = yaml.safe_load(resources["ConfigMap"]["data"]["lossd.yaml"])
    pause = container(resources)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod(resources)["terminationGracePeriodSeconds"]
    assert grace > pause + drain_seconds(config)


def test_containers_have_no_rights(resources: Resources) -> None:
    assert pod(resources)["securityContext"]["runAsNonRoot"] is True
    assert pod(resources)["automountServiceAccountToken"] is False
    context = container(resources)["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}


def files_of(resources: Resources, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes what a pod would find, and gives the folder of each mount."""
    mounted = {}
    for mount in container(resources)["volumeMounts"]:
        path = folder / mount["name"]
        path.mkdir()
        mounted[mount["mountPath"]] = path
    (mounted["/etc/lossd"] / "lossd.yaml").write_text(resources["ConfigMap"]["data"]["lossd.yaml"])
    if tokens := mounted.get("/etc/lossd-tokens"):
        (tokens / "tokens").write_text("trainer:0123456789abcdef0123456789abcdef\n")
    if tls := mounted.get("/etc/lossd-tls"):
        make_certificate(tls / "tls.crt", tls / "tls.key")
    return mounted


@contextlib.contextmanager
def running(resources: Resources, folder: pathlib.Path) -> Iterator[tuple[LocalServer, Any]]:
    """The container's command, with its files, on ports that are free here."""
    mounted = files_of(resources, folder)
    arguments = []
    for argument in container(resources)["args"]:
        for path in sorted(mounted, key=len, reverse=True):
            argument = re.sub(rf"{path}(?=/)", str(mounted[path]), argument)
        arguments.append(argument)
    with LocalServer(
        server_binary(), *arguments, "--http_listen=127.0.0.1:0", listen="127.0.0.1:0"
    ) as server:
        yield server, mounted


def answered(probe: dict[str, Any], address: str, http_port: int) -> bool:
    """Whether a probe of a server gets what it wants."""
    if "grpc" in probe:
        with grpc.insecure_channel(address) as channel:
            check: Callable[..., bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
            return check(b"", timeout=10) == b"\x08\x01"
    assert probe["httpGet"]["port"] == "metrics"
    host = address.split(":")[0]
    url = f"http://{host}:{http_port}{probe['httpGet']['path']}"
    return bool(urllib.request.urlopen(url, timeout=10).status == 200)


@pytest.mark.parametrize("name", ["cpu", "production", "chart", "chart-production"])
def test_the_container_serves_and_its_probes_are_answered(
    name: str, tmp_path: pathlib.Path
) -> None:
    rendered = RENDERED[name]()
    with running(rendered, tmp_path) as (server, mounted):
        said = re.search(r'"http_port":(\d+)', server.log.read_text())
        assert said is not None
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container(rendered)[kind]
            if "grpc" in probe:
                assert {"containerPort": probe["grpc"]["port"], "name": "grpc"} in (
                    container(rendered)["ports"]
                )
            assert answered(probe, server.address, int(said[1]))
        options: dict[str, Any] = {}
        if tls := mounted.get("/etc/lossd-tls"):
            options["tls"] = lossd.Tls(root_certificates=tls / "tls.crt")
            options["token"] = "0123456789abcdef0123456789abcdef"
        with lossd.Client(server.address, **options) as client:
            assert client.info()


@pytest.mark.clusters
@pytest.mark.parametrize("name", ["cpu", "chart"])
def test_the_pod_runs_and_stops_within_its_grace_period(
    name: str, engine: Engine, tmp_path: pathlib.Path
) -> None:
    """What podman makes of a Deployment: all but its probes, which are asked for here."""
    rendered = RENDERED[name]()
    for port in container(rendered)["ports"]:
        port["hostPort"] = free_port()
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump_all(rendered[kind] for kind in ("ConfigMap", "Deployment")))
    with engine.pod(path, rendered["Deployment"]["metadata"]["name"]) as running_pod:
        address = f"{running_pod.host}:50051"
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert answered(container(rendered)[kind], address, 9464)
        limits = container(rendered)["resources"]["limits"]
        memory = running_pod.inspect("{{.HostConfig.Memory}}")
        assert int(memory) == int(limits["memory"].removesuffix("Gi")) << 30
        assert "Seccomp:\t2\n" in running_pod.execute("cat", "/proc/1/status")
        volume = np.zeros((1, 3, 64, 64, 64), np.float32)
        with lossd.Client(address, retry_seconds=0) as client:
            calls = [client.submit(PLAN, volume, volume, timeout=60) for _ in range(8)]
            calls[0].result()
            assert running_pod.stop(pod(rendered)["terminationGracePeriodSeconds"]) == 0
            assert [call.result().total for call in calls] == [0] * len(calls)
        assert '"event":"stopped"' in running_pod.log()


def test_the_chart_is_what_kustomize_renders() -> None:
    """Labels aside, and the ways in which each tells pods of a new configuration."""

    def plain(resources: Resources) -> Resources:
        plainer = copy.deepcopy(resources)
        name = plainer["ConfigMap"]["metadata"]["name"]
        text = yaml.safe_dump(plainer).replace(name, "lossd")
        plainer = yaml.safe_load(re.sub(r"\n *app.kubernetes.io/(?!name).*", "", text))
        plainer["ConfigMap"]["data"] = yaml.safe_load(plainer["ConfigMap"]["data"]["lossd.yaml"])
        annotations = plainer["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        annotations.pop("checksum/config", None)
        container(plainer).pop("imagePullPolicy", None)
        return dict(plainer)

    assert plain(chart()) == plain(overlay("cpu"))
    assert plain(chart(*PRODUCTION)) == plain(overlay("production"))


@pytest.mark.parametrize(
    "value",
    ["nonesuch=1", "config.listen=127.0.0.1:1", "resources.limits.memory=null", "replicas=-1"],
)
def test_the_chart_refuses_wrong_values(value: str) -> None:
    command = [program("helm"), "template", "lossd", str(CHART), "--set", value]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "schema" in done.stderr


def test_the_chart_is_linted() -> None:
    run("helm", "lint", "--strict", CHART)


def test_the_autoscaler_asks_for_what_the_adapter_makes(tmp_path: pathlib.Path) -> None:
    (metric,) = overlay("cpu")["HorizontalPodAutoscaler"]["spec"]["metrics"]
    adapter = yaml.safe_load((KUSTOMIZE / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    series = rule["seriesQuery"].split("{")[0]
    with measured_server(SMALL_BUDGET) as server:
        load(server)
        assert f"\n{series}{{" in metrics(server)
    # What the adapter fills in.
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.Series>>", series)
    query = query.replace("<<.LabelMatchers>>", 'namespace="losses"')
    rules = {"groups": [{"name": "adapter", "rules": [{"record": "x", "expr": query}]}]}
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    run("promtool", "check", "rules", path)
