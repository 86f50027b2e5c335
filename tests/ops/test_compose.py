"""docker/compose.yaml: started, its trainer trains, and its Prometheus sees it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import stat
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from containers import DOCKERFILE, Engine
from programs import OPS, ROOT, program, run
from prometheus import Prometheus
from server import drain_seconds, free_port, wait_until

import lossd

COMPOSE = DOCKERFILE.with_name("compose.yaml")
TRAINER = DOCKERFILE.with_name("trainer.Dockerfile")
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]


def test_the_trainers_dockerfile_is_linted() -> None:
    run("hadolint", TRAINER)


def test_the_server_has_time_to_drain() -> None:
    assert float(SERVICES["lossd"]["stop_grace_period"].rstrip("s")) > drain_seconds({})


def test_versions_are_this_one() -> None:
    for name in ("lossd", "trainer"):
        assert SERVICES[name]["image"].split(":")[1] == lossd.__version__


def build_the_other_images(engine: Engine, folder: pathlib.Path) -> None:
    """The trainer, with packages from PyPI; and for a registry's Prometheus the distribution's."""
    engine.of_files("localhost/machine", OPS / "machine")
    config = folder.with_suffix(".pip.conf")
    config.write_text("[global]\ncert = /certificates\n")
    certificates = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
    engine.build(
        SERVICES["trainer"]["image"],
        "--build-arg=BASE=localhost/machine",
        # Where this machine has authorities of its own for PyPI.
        f"--volume={config}:/etc/pip.conf:ro",
        f"--volume={pathlib.Path(certificates).resolve()}:/certificates:ro",
        f"--file={TRAINER}",
        f"--ignorefile={TRAINER}.dockerignore",
        ROOT,
    )
    (folder / "bin").mkdir(parents=True)
    shutil.copy(program("prometheus"), folder / "bin")
    engine.of_files(
        SERVICES["prometheus"]["image"],
        folder,
        'ENTRYPOINT ["/bin/prometheus", "--storage.tsdb.path=/prometheus"]',
        below="localhost/base",
    )


class Compose:
    """The project, of a name and ports of its own."""

    def __init__(self, engine: Engine, folder: pathlib.Path) -> None:
        self.prometheus_port = free_port()
        self._environment = {
            **engine.environment,
            "LOSSD_PORT": str(free_port()),
            "PROMETHEUS_PORT": str(self.prometheus_port),
        }
        podman = folder / "podman"
        podman.write_text(f'#!/bin/sh\nexec {" ".join(engine.podman_command())} "$@"\n')
        podman.chmod(podman.stat().st_mode | stat.S_IXUSR)
        options = (f"--podman-path={podman}", "--project-name=lossd-test", f"--file={COMPOSE}")
        self._command = (program("podman-compose"), *options)
        self._folder = folder

    def __call__(self, *arguments: str) -> None:
        """Runs one of compose's commands."""
        done = subprocess.run(
            [*self._command, *arguments],
            capture_output=True,
            text=True,
            timeout=200,
            env=self._environment,
            cwd=self._folder,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


@pytest.fixture
def compose(engine: Engine, scratch: pathlib.Path) -> Iterator[Compose]:
    build_the_other_images(engine, scratch / "prometheus")
    compose = Compose(engine, scratch)
    try:
        compose("up", "--detach", "--no-build")
        yield compose
    finally:
        compose("down", "--volumes")


@pytest.mark.clusters
def test_the_trainer_trains_and_prometheus_sees_it(compose: Compose, engine: Engine) -> None:
    trainer = "lossd-test_trainer_1"
    assert engine.podman("wait", trainer) == "0", engine.log(trainer)
    assert "step 30  loss" in engine.log(trainer)
    asked = Prometheus(f"127.0.0.1:{compose.prometheus_port}")

    def calls_seen() -> list[float]:
        """What Prometheus has of the trainer's calls."""
        with contextlib.suppress(OSError):
            return asked.values('sum(lossd_requests_total{code="OK",method=~"Compute.*"})')
        return []

    # It looks every 15 s.
    wait_until(lambda: calls_seen() == [30.0], seconds=40)
    assert asked.values('up{job="lossd"}') == [1.0]
    assert asked.ask("rules")["groups"]
