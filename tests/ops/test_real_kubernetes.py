"""deploy/kubernetes on a Kubernetes of one node: rollout, eviction and a killed server, under load.

scripts/real_kubernetes.sh builds that Kubernetes and runs this.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml
from containers import IMAGE, Engine
from kubernetes import Kubernetes, kubernetes
from programs import DEPLOY, run
from server import PLAN, wait_until
from traffic import Traffic

import lossd

FOLDER = DEPLOY / "kubernetes" / "overlays" / "cpu"


def rendered() -> list[dict[str, Any]]:
    """The overlay, as Kubernetes 1.20 and two cores can have it."""
    resources = [it for it in yaml.safe_load_all(run("kubectl", "kustomize", FOLDER)) if it]
    by_kind = {it["kind"]: it for it in resources}
    # Versions of the API.
    by_kind["PodDisruptionBudget"]["apiVersion"] = "policy/v1beta1"
    by_kind["HorizontalPodAutoscaler"]["apiVersion"] = "autoscaling/v2beta2"
    (container,) = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    # Probes by gRPC: over HTTP, as under TLS.
    for probe in ("startupProbe", "readinessProbe"):
        del container[probe]["grpc"]
        container[probe]["httpGet"] = {"path": "/readyz", "port": "metrics"}
    # preStop.sleep.
    pause = container["lifecycle"]["preStop"].pop("sleep")["seconds"]
    container["lifecycle"]["preStop"]["exec"] = {"command": ["sleep", str(pause)]}
    # Cores and memory.
    container["resources"] = {
        "requests": {"cpu": "100m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    return resources


@pytest.fixture
def cluster(engine: Engine, scratch: pathlib.Path) -> Iterator[Kubernetes]:
    folder = scratch / "kubernetes"
    folder.mkdir()
    image = f"docker.io/library/lossd:{lossd.__version__}"
    with kubernetes(folder, engine, {image: IMAGE}) as running:
        yield running


class Load:
    """Calls by a trainer that knows the servers by their service's name; the longest is noted."""

    def __init__(self, names: str) -> None:
        self._client = lossd.Client(f"dns://{names}/lossd.default.svc:50051")
        self.longest = 0.0

    def __call__(self, value: float) -> None:
        volume = np.full((1, 1, 48, 48, 48), value, np.float32)
        start = time.monotonic()
        result = self._client.compute(PLAN, volume, np.zeros_like(volume))
        self.longest = max(self.longest, time.monotonic() - start)
        assert abs(result.total - value**2) < 1e-3


def pods(cluster: Kubernetes) -> list[str]:
    """Those that serve."""
    items = cluster.get("/api/v1/namespaces/default/pods")["items"]
    return [
        it["metadata"]["name"]
        for it in items
        if "deletionTimestamp" not in it["metadata"] and is_ready(it)
    ]


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether its probe was answered. Of a new one nothing is said yet."""
    conditions = pod["status"].get("conditions", [])
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)


def restarts(cluster: Kubernetes) -> int:
    """How often a container was started again."""
    items = cluster.get("/api/v1/namespaces/default/pods")["items"]
    containers = [it for pod in items for it in pod["status"].get("containerStatuses", [])]
    return sum(it["restartCount"] for it in containers)


def evict(cluster: Kubernetes, pod: str, folder: pathlib.Path) -> str:
    """Asks for a pod to go, as draining a node does; what is said to that."""
    wish = {
        "apiVersion": "policy/v1beta1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": "default"},
    }
    path = folder / "eviction.json"
    path.write_text(json.dumps(wish))
    where = f"--raw=/api/v1/namespaces/default/pods/{pod}/eviction"
    done = cluster.ask("create", where, "-f", path)
    return done.stdout + done.stderr


@pytest.mark.clusters
def test_no_call_fails_while_servers_change(cluster: Kubernetes, tmp_path: pathlib.Path) -> None:
    manifests = tmp_path / "lossd.yaml"
    manifests.write_text(yaml.safe_dump_all(rendered()))

    def timed(what: str, start: float) -> None:
        print(f"{what}: {time.monotonic() - start:.1f} s")

    start = time.monotonic()
    cluster("apply", "-f", manifests)
    # The autoscaler wants two at least, without a metric that it could ask for.
    wait_until(lambda: len(pods(cluster)) == 2, seconds=120)
    timed("two servers are ready", start)

    load = Load(cluster.names)
    with Traffic(load, threads=4) as traffic:

        def go_on() -> None:
            enough = traffic.calls + 30
            wait_until(lambda: traffic.calls >= enough or bool(traffic.errors), seconds=90)
            assert not traffic.errors

        go_on()
        start = time.monotonic()
        cluster("rollout", "restart", "deployment/lossd")
        cluster("rollout", "status", "deployment/lossd", seconds=300)
        go_on()
        timed("all servers are replaced", start)

        # One may be evicted, and no other before there is one in its place.
        wait_until(lambda: len(pods(cluster)) == 2, seconds=120)
        first, second = pods(cluster)
        start = time.monotonic()
        assert '"status":"Success"' in evict(cluster, first, tmp_path)
        assert "disruption budget" in evict(cluster, second, tmp_path)
        wait_until(lambda: len(pods(cluster)) == 2, seconds=120)
        go_on()
        timed("an evicted server is replaced", start)

        # Not one of those that go.
        wait_until(lambda: len(cluster.processes("lossd")) == 2, seconds=120)
        start = time.monotonic()
        killed = cluster.processes("lossd")[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: restarts(cluster) == 1 and len(pods(cluster)) == 2, seconds=120)
        go_on()
        timed("a killed server is back", start)
    print(f"{traffic.calls} calls, none failed; the longest took {load.longest:.1f} s")
