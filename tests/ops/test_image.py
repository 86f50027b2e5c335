"""docker: the Dockerfile's last stage, with the programs of this build, runs as images should."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from containers import CUDA_IMAGE, DOCKERFILE, IMAGE, Container, Engine, build_image
from programs import DEPLOY, OPS, ROOT, run
from server import PLAN, compute, wait_until
from traffic import Traffic

import lossd

FOLDER = DOCKERFILE.parent


def test_the_dockerfile_is_linted() -> None:
    run("hadolint", DOCKERFILE)


def test_the_build_installs_what_setup_does() -> None:
    """Headers and libraries of the two lists are the same: who adds one needs it in both."""
    names = r"\b(?:lib[\w+.-]+-dev|prometheus-cpp-dev|protobuf-compiler\S*)"
    setup = set(re.findall(names, (ROOT / "scripts" / "setup.sh").read_text()))
    assert set(re.findall(names, DOCKERFILE.read_text())) == setup


def test_the_build_sees_what_it_reads() -> None:
    """Folders that the build names lie in what is sent to it."""
    sent = {line[1:] for line in DOCKERFILE.with_suffix(".dockerignore").read_text().split("\n")}
    read = {"scripts", "LICENSE", "requirements.txt", "CMakePresets.json"}
    lists = (ROOT / "CMakeLists.txt").read_text()
    assert read | set(re.findall(r"add_subdirectory\((\w+)", lists)) <= sent


def test_kubernetes_runs_the_image_by_its_user() -> None:
    deployment = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text())
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    user = f"USER {context['runAsUser']}:{context['runAsGroup']}"
    assert user in DOCKERFILE.read_text().splitlines()


def healthcheck() -> list[str]:
    """The command by which an engine asks whether the server takes calls."""
    (command,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    return list(json.loads(command))


VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "valid")
"""


@pytest.mark.clusters
def test_the_image_is_small_and_says_what_is_in_it(engine: Engine) -> None:
    size = int(engine.podman("image", "inspect", "--format={{.Size}}", IMAGE))
    assert size < 700e6
    with engine.serving() as container:
        bill = container.execute("cat", "/opt/lossd/sbom.cdx.json")
        listed = container.execute("dpkg-query", "--show", "--showformat", "${Package}\n").split()
        files = container.execute("ls", "/opt/lossd/lib").split()
        terms = container.execute("ls", "/opt/lossd/licenses").split()
        needed = container.execute("ldd", "/opt/lossd/bin/lossd", "/opt/lossd/bin/lossctl")
    said = subprocess.run(
        [OPS / "venv" / "bin" / "python", "-c", VALIDATE],
        input=bill,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "valid\n", said.stdout + said.stderr
    parts = {part["name"] for part in json.loads(bill)["components"]}
    assert set(listed) <= parts
    assert {"torch", "nvidia_cuda_runtime", "libgrpc++1.51", "libprotobuf32"} <= parts
    # What is brought along has its terms with it, and is needed.
    brought = {name.removesuffix(".txt") for name in terms} - {"lossd"}
    assert parts == brought | set(listed)
    assert "not found" not in needed
    assert all(f"/lib/{name} " in needed for name in files)


@pytest.mark.clusters
def test_the_cuda_image_lacks_nothing_but_gpus(engine: Engine, scratch: pathlib.Path) -> None:
    build = ROOT / "build" / "cuda"
    if not (build / "server" / "lossd").exists():
        pytest.skip("there is no build/cuda: `make cuda` makes it")
    build_image(engine, scratch, CUDA_IMAGE, build, "--target=cuda", stage="cuda-build")
    assert int(engine.podman("image", "inspect", "--format={{.Size}}", CUDA_IMAGE)) < 4e9
    with engine.serving(image=CUDA_IMAGE, flags=("--devices=cpu",)) as container:
        needed = container.execute("ldd", "/opt/lossd/bin/lossd", "/opt/lossd/bin/lossctl")
        assert "libtorch_cuda.so" in needed
        assert "not found" not in needed
        volume = np.ones((1, 1, 32, 32, 32), np.float32)
        with lossd.Client(container.address) as client:
            assert client.compute(PLAN, volume, 0 * volume, timeout=60).total == pytest.approx(1)
        assert container.stop() == 0


@pytest.mark.clusters
def test_the_image_serves_without_any_right(engine: Engine) -> None:
    with engine.serving("--memory=1g") as container:
        volume = np.ones((1, 1, 32, 32, 32), np.float32)
        with lossd.Client(container.address) as client:
            assert client.compute(PLAN, volume, 0 * volume, timeout=60).total == pytest.approx(1)
        status = container.execute("cat", "/proc/1/status")
        assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        for folder in ("/", "/opt/lossd", "/etc"):
            with pytest.raises(AssertionError, match="Read-only file system"):
                container.execute("touch", f"{folder}/written", user="0")
        # Other than in a container with a network of its own, the port is no known one.
        assert container.execute(*healthcheck(), f"--server={container.address}") == "SERVING"
        assert container.stop() == 0
        assert "stopped" in container.log()


def flood(container: Container, seconds: float) -> tuple[int, int]:
    """Calls that need far more memory than there is: how many were answered, how many refused."""
    address = container.address
    refused = 0

    def call(value: float) -> None:
        nonlocal refused
        # Those of two sizes fit alone; the others never.
        side = (96, 256, 320)[int(value) % 3]
        try:
            compute(address, side=side, retry_seconds=0)(value)
        except lossd.ResourceExhaustedError:
            refused += 1

    with Traffic(call, threads=12) as traffic:
        deadline = time.monotonic() + seconds
        wait_until(
            lambda: bool(traffic.errors) or time.monotonic() > deadline or not container.running(),
            seconds=2 * seconds,
        )
    assert not traffic.errors
    return traffic.calls - refused, refused


@pytest.mark.clusters
def test_at_its_memory_limit_it_refuses_and_lives(engine: Engine) -> None:
    with engine.serving("--memory=1g", "--memory-swap=1g") as container:
        answered, refused = flood(container, seconds=10)
        assert answered > 10
        assert refused > 10
        assert container.running()
        compute(container.address)(2)


@pytest.mark.clusters
def test_the_memory_limit_is_one(engine: Engine) -> None:
    """The same calls end a server that is told of more memory than the container may have."""
    flags = ("--memory_budget=8589934592",)
    with engine.serving("--memory=1g", "--memory-swap=1g", flags=flags) as container:
        with contextlib.suppress(lossd.Error, AssertionError):
            flood(container, seconds=10)
        assert not container.running()
        assert container.exit_status() == 128 + signal.SIGKILL


@pytest.mark.clusters
def test_the_demo_trains_on_the_image(engine: Engine, tmp_path: pathlib.Path) -> None:
    with engine.serving("--memory=2g") as container:
        demo = (sys.executable, ROOT / "demo" / "train.py", f"--address={container.address}")
        done = subprocess.run(
            [*demo, "--steps=10", "--crop=32", f"--out={tmp_path}"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "client" / "python" / "src")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert container.address in done.stdout
        # Each step, with MALIS and without.
        assert container.log().count("done method=") >= 2 * 10
