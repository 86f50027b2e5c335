"""Images and containers in a store of one's own, of buildah, podman and runc, as root."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import uuid
from collections.abc import Iterator

import pytest
from local_server import server_binary
from programs import OPS, ROOT, program, run
from server import wait_until

import lossd

DOCKERFILE = ROOT / "docker" / "Dockerfile"
DEBIAN = OPS / "debian"
IMAGE = f"localhost/lossd:{lossd.__version__}"
CUDA_IMAGE = f"{IMAGE}-cuda"
# No rights, and nothing to write to.
RIGHTS = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
# Networks are netavark's, whose names aardvark knows; no cgroups are asked of systemd; and the
# limits are such as may be set everywhere.
CONFIG = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
helper_binaries_dir = ["{helpers}", "/usr/lib/podman", "/usr/libexec/podman", "/usr/bin"]
runtime = "runc"
static_dir = "{folder}/static"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"
"""


class Engine:
    """Buildah and podman, all of whose files are in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._store = (
            f"--root={folder / 'store'}",
            f"--runroot={folder / 'run'}",
            "--storage-driver=overlay",
        )
        config = folder / "containers.conf"
        helpers = OPS / "root" / "usr" / "lib" / "podman"
        config.write_text(CONFIG.format(folder=folder, helpers=helpers))
        self.environment = {**os.environ, "CONTAINERS_CONF": str(config)}

    def build(self, tag: str, *arguments: str | pathlib.Path) -> None:
        """Builds an image, of others that are here."""
        options = ("--format=docker", "--isolation=chroot", "--pull=never", f"--tag={tag}")
        self._run("buildah", "bud", *options, *map(str, arguments))

    def of_files(self, tag: str, folder: pathlib.Path, *lines: str, below: str = "scratch") -> None:
        """Builds an image of a folder's files, which lie there as they do from its root on."""
        recipe = self._folder / "recipe"
        recipe.write_text("\n".join([f"FROM {below}", "COPY . /", *lines, ""]))
        self.build(tag, f"--file={recipe}", folder)

    def podman(self, *arguments: str) -> str:
        """Runs one of podman's commands, and gives what it says."""
        return self._run("podman", *arguments).stdout.strip()

    def log(self, name: str) -> str:
        """What a container wrote."""
        done = self._run("podman", "logs", name)
        return done.stdout + done.stderr

    def podman_command(self) -> list[str]:
        """How podman is run, for those who run it themselves."""
        return [program("podman"), *self._store]

    @contextlib.contextmanager
    def serving(
        self, *options: str, flags: tuple[str, ...] = (), image: str = IMAGE
    ) -> Iterator[Container]:
        """A server on a free port of this machine, of an image of lossd."""
        container = Container(self, f"lossd-test-{uuid.uuid4().hex[:8]}")
        listen = ("--listen=127.0.0.1:0", "--shared_memory=off", *flags)
        try:
            self.podman(
                "run", "--detach", f"--name={container.name}", "--network=host", *RIGHTS, *options,
                image, *listen,
            )  # fmt: skip
            wait_until(lambda: container.serves() or not container.running())
            yield container
        finally:
            self.podman("rm", "--force", "--time=0", container.name)

    @contextlib.contextmanager
    def pod(self, resources: pathlib.Path, name: str) -> Iterator[Container]:
        """A Deployment's pod and its only container, `name`, with the ConfigMaps beside it."""
        try:
            self.podman("kube", "play", str(resources))
            container = Container(self, f"{name}-pod-0-{name}")
            wait_until(lambda: container.serves() or not container.running())
            yield container
        finally:
            self.podman("kube", "down", str(resources))
            self.podman("network", "rm", "--force", "podman-default-kube-network")

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [program(name), *self._store, *arguments],
            capture_output=True,
            text=True,
            timeout=900,
            env=self.environment,
            # Where conmon notes that memory ran out.
            cwd=self._folder,
        )
        assert done.returncode == 0, f"{name} {arguments}: {done.stdout}{done.stderr}"
        return done


class Container:
    """A container of a server."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine

    @property
    def address(self) -> str:
        """Where it serves, of those that share this machine's network."""
        found = re.search(r" serving .* port=(\d+)", self.log())
        assert found is not None, self.log()
        return f"127.0.0.1:{found[1]}"

    @property
    def host(self) -> str:
        """Its address, of those that have a network of their own."""
        networks = json.loads(self.inspect("{{json .NetworkSettings.Networks}}"))
        (only,) = networks.values()
        return str(only["IPAddress"])

    def execute(self, *command: str, user: str = "10001") -> str:
        """Runs a command in it."""
        return self._engine.podman("exec", f"--user={user}", self.name, *command)

    def inspect(self, what: str) -> str:
        """What podman knows of it."""
        return self._engine.podman("inspect", f"--format={what}", self.name)

    def running(self) -> bool:
        """Whether it is."""
        return self.inspect("{{.State.Running}}") == "true"

    def exit_status(self) -> int:
        """That of the server, once it does not run any more."""
        return int(self.inspect("{{.State.ExitCode}}"))

    def serves(self) -> bool:
        """Whether the server has said that it does."""
        return re.search(r" serving |\"event\":\"serving\"", self.log()) is not None

    def log(self) -> str:
        """What the server wrote."""
        return self._engine.log(self.name)

    def stop(self, seconds: float = 75) -> int:
        """Asks the server to finish within this time, and gives its exit status."""
        self._engine.podman("stop", f"--time={seconds}", self.name)
        wait_until(lambda: not self.running())
        return self.exit_status()


def build_images(folder: pathlib.Path) -> Engine:
    """An engine with the image of docker/, whose base is of packages: there is no registry."""
    for name in ("buildah", "podman", "runc"):
        program(name)
    if os.geteuid() != 0:
        pytest.skip("containers of this test want root")
    if not DEBIAN.exists():
        pytest.skip(f"there is no {DEBIAN}: `make test-ops` makes it")
    engine = Engine(folder)
    engine.of_files("localhost/base", DEBIAN)
    build_image(engine, folder, IMAGE, server_binary().resolve().parents[1], stage="build")
    return engine


def build_image(
    engine: Engine,
    folder: pathlib.Path,
    tag: str,
    build: pathlib.Path,
    *options: str,
    stage: str,
) -> None:
    """An image of the Dockerfile, with a build's programs for those of the stage that compiles."""
    programs = folder / f"programs-{stage}"
    gather(programs, build)
    engine.of_files(f"localhost/{programs.name}", programs)
    engine.build(
        tag,
        *options,
        "--build-arg=BASE=localhost/base",
        f"--build-context={stage}=container-image://localhost/{programs.name}",
        f"--file={DOCKERFILE}",
        DOCKERFILE.parent,
    )


def gather(folder: pathlib.Path, build: pathlib.Path) -> None:
    """What a stage of the Dockerfile that compiles makes, of a build."""
    listed = run("dpkg-query", f"--admindir={DEBIAN / 'var/lib/dpkg'}", "--show")
    packages = folder.with_suffix(".packages")
    packages.write_text(listed)
    pack = ROOT / "scripts" / "pack.sh"
    subprocess.run([pack, build, folder / "opt" / "lossd", f"--base={packages}"], check=True)
