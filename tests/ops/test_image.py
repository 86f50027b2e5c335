"""docker: the Dockerfile's last stage, with the programs of this build, runs as images should."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from local_server import server_binary
from programs import DEPLOY, ROOT, program, run
from server import PLAN, drain_seconds, wait_until

import lossd

FOLDER = ROOT / "docker"
# Nothing of it is written where the machine's own images are, and no cgroups are asked of systemd.
ENGINE = ("--cgroup-manager=cgroupfs", "--runtime=runc", "--events-backend=file")


def test_the_dockerfile_is_linted() -> None:
    run("hadolint", FOLDER / "Dockerfile")


def test_the_build_installs_what_setup_does() -> None:
    """Headers and libraries of the two lists are the same: who adds one needs it in both."""
    names = r"\b(?:lib[\w+.-]+-dev|prometheus-cpp-dev|protobuf-compiler\S*)"
    setup = set(re.findall(names, (ROOT / "scripts" / "setup.sh").read_text()))
    assert set(re.findall(names, (FOLDER / "Dockerfile").read_text())) == setup


def test_compose_is_of_a_piece() -> None:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    server = compose["services"]["lossd"]
    assert float(server["stop_grace_period"].rstrip("s")) > drain_seconds({})
    assert (FOLDER / server["build"]["context"] / server["build"]["dockerfile"]).exists()
    source, target, _ = compose["services"]["prometheus"]["volumes"][0].split(":")
    (flag,) = compose["services"]["prometheus"]["command"]
    config = FOLDER / source / pathlib.Path(flag.split("=")[1]).relative_to(target)
    (scraped,) = yaml.safe_load(config.read_text())["scrape_configs"]
    port = scraped["static_configs"][0]["targets"][0].split(":")[1]
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert f"0.0.0.0:{port}" in dockerfile
    assert f" {port}" in dockerfile.split("EXPOSE")[1].splitlines()[0]


def test_kubernetes_runs_the_image_by_its_user() -> None:
    deployment = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text())
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    user = f"USER {context['runAsUser']}:{context['runAsGroup']}"
    assert user in (FOLDER / "Dockerfile").read_text().splitlines()


class Images:
    """An image store of one's own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._store = (f"--root={folder / 'store'}", f"--runroot={folder / 'run'}")
        self._engine = (*ENGINE, f"--tmpdir={folder / 'tmp'}")

    def build(self, *arguments: str | pathlib.Path) -> None:
        """Builds an image, without the network."""
        options = ("--format=docker", "--isolation=chroot", "--pull=never")
        run(
            "buildah",
            *self._store,
            "--storage-driver=overlay",
            "bud",
            *options,
            *arguments,
            seconds=300,
        )

    def podman(self, *arguments: str) -> str:
        """Runs one of podman's commands."""
        command = (*self._store, "--storage-driver=overlay", *self._engine)
        return run("podman", *command, *arguments, seconds=120).strip()


def gathered(folder: pathlib.Path) -> None:
    """What the Dockerfile's first stage makes."""
    build = server_binary().parents[1]
    subprocess.run([ROOT / "scripts" / "pack.sh", build, folder / "opt" / "lossd"], check=True)


@pytest.fixture
def images() -> Iterator[Images]:
    for name in ("buildah", "podman", "runc", "debootstrap"):
        program(name)
    if os.geteuid() != 0:
        pytest.skip("debootstrap wants root")
    # Podman wants short paths.
    with tempfile.TemporaryDirectory(prefix="lossd-") as folder:
        try:
            yield built(pathlib.Path(folder))
        finally:
            unmount_below(folder)


def unmount_below(folder: str) -> None:
    """What the engine leaves mounted."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            run("umount", mount)


def built(folder: pathlib.Path) -> Images:
    """The image lossd, of a base from the distribution's packages: there is no registry to ask."""
    system = folder / "base" / "system"
    run("debootstrap", "--variant=minbase", "bookworm", system, seconds=400)
    # What the base of a registry does not have either.
    for cache in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(system / cache)
    images = Images(folder)
    images.build("--tag=base", f"--file={recipe(folder, 'system/ /')}", folder / "base")
    gathered(folder / "programs")
    image = recipe(folder, "opt /opt")
    images.build("--tag=programs", f"--file={image}", folder / "programs")
    arguments = ("--build-arg=BASE=localhost/base", "--build-arg=PROGRAMS=localhost/programs")
    images.build("--tag=lossd", *arguments, f"--file={FOLDER / 'Dockerfile'}", FOLDER)
    return images


def recipe(folder: pathlib.Path, copied: str) -> pathlib.Path:
    """A Dockerfile that puts files into an empty image."""
    path = folder / "Dockerfile"
    path.write_text(f"FROM scratch\nCOPY {copied}\n")
    return path


@pytest.mark.clusters
def test_the_image_serves_without_any_right(images: Images) -> None:
    name = f"lossd-test-{uuid.uuid4().hex[:8]}"
    size = int(images.podman("image", "inspect", "--format={{.Size}}", "localhost/lossd"))
    assert size < 700e6
    rights = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=1g")
    limits = ("--ulimit=nofile=20000:20000", "--ulimit=nproc=4096:4096")
    try:
        arguments = ("--listen=127.0.0.1:50077", "--shared_memory=off")
        images.podman(
            "run", "--detach", f"--name={name}", "--network=host", *rights, *limits,
            "localhost/lossd", *arguments,
        )  # fmt: skip
        volume = np.ones((1, 1, 32, 32, 32), np.float32)
        with lossd.Client("127.0.0.1:50077") as client:
            assert client.compute(PLAN, volume, 0 * volume, timeout=60).total == pytest.approx(1)
        status = images.podman("exec", name, "cat", "/proc/1/status")
        assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        for folder in ("/", "/opt/lossd", "/etc"):
            with pytest.raises(AssertionError, match="Read-only file system"):
                images.podman("exec", "--user=0", name, "touch", f"{folder}/written")
        assert "threads" in images.podman(
            "exec", name, "lossctl", "--server=127.0.0.1:50077", "info"
        )
        images.podman("stop", "--time=75", name)
        wait_until(lambda: "stopped" in images.podman("logs", name))
        assert images.podman("inspect", "--format={{.State.ExitCode}}", name) == "0"
    finally:
        images.podman("rm", "--force", name)
