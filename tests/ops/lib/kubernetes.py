"""A Kubernetes of one node on this machine, as root, for as long as a `with` block lasts.

It is what scripts/real_kubernetes.sh builds: version 1.20, with etcd, containerd and runc.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from containers import Engine
from machine import unmount_below
from programs import OPS, environment, program, run
from server import wait_until

FOLDER = OPS / "kubernetes"
TOKEN = "of-this-test-alone"
PAUSE = "localhost/pause:1"
BRIDGE = "lossd-test0"
# Of the pods, which this machine reaches by the bridge.
SUBNET = "10.88.77.0/24"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# What parts of it write to wherever they are told to write.
STRAY = tuple(
    map(
        pathlib.Path,
        (
            "/opt/containerd",
            "/run/containerd",
            "/var/lib/cni",
            "/var/lib/kubelet",
            "/var/log/containers",
            "/var/log/pods",
        ),
    )
)
# Where containers' networks are.
NETWORKS = pathlib.Path("/run/netns")
# What kubelet sets, of the whole machine.
SETTINGS = tuple(
    pathlib.Path("/proc/sys") / name
    for name in (
        "kernel/keys/root_maxbytes",
        "kernel/keys/root_maxkeys",
        "kernel/panic",
        "kernel/panic_on_oops",
        "vm/overcommit_memory",
        "vm/panic_on_oom",
    )
)

CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "{folder}/state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def network(folder: pathlib.Path) -> dict[str, Any]:
    """A bridge, as CNI wants it."""
    ranges = [[{"subnet": SUBNET}]]
    ipam = {"type": "host-local", "dataDir": str(folder / "addresses"), "ranges": ranges}
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipam": ipam}
    return {"cniVersion": "0.3.1", "name": "lossd-test", "plugins": [bridge]}


def kubelet(port: int) -> dict[str, Any]:
    """No more than a node of a test wants."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "port": port,
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "evictionHard": {"nodefs.available": "1Mi"},
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
    }


def kubeconfig(port: int) -> dict[str, Any]:
    """Who may do everything."""
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


class Kubernetes:
    """Asks the cluster.

    Attributes:
        names: The address of a name server that knows its services.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._config = folder / "kubeconfig"
        self._port, self._kubelet, *self._others = free_ports(6)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.names = ""

    def __call__(self, *arguments: str | pathlib.Path, seconds: float = 60) -> str:
        """Runs kubectl, and gives what it says."""
        done = self.ask(*arguments, seconds=seconds)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def ask(
        self, *arguments: str | pathlib.Path, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl, which may be refused what it wants."""
        command = [FOLDER / "bin/kubectl", f"--kubeconfig={self._config}", *arguments]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=seconds
        )

    def get(self, path: str) -> Any:
        """An object of the API."""
        url = f"https://127.0.0.1:{self._port}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return json.load(answer)

    def addresses(self, service: str) -> list[str]:
        """What the name of a headless service stands for: its pods that are ready."""
        endpoints = self.get(f"/api/v1/namespaces/default/endpoints/{service}")
        subsets = endpoints.get("subsets") or []
        return [it["ip"] for subset in subsets for it in subset.get("addresses") or []]

    def start(self, engine: Engine, images: Mapping[str, str]) -> None:
        """Starts all of it, with images of an engine under other names."""
        folder, (etcd, peers, manager, scheduler) = self._folder, self._others
        self._configure()
        self._run(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
        )
        self._run("containerd", f"--config={folder / 'containerd.toml'}")
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            f"--secure-port={self._port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens'}",
            "--service-account-issuer=https://localhost",
            f"--service-account-key-file={folder / 'key'}",
            f"--service-account-signing-key-file={folder / 'key'}",
            "--service-cluster-ip-range=10.88.78.0/24",
            # Pods here have no accounts.
            "--disable-admission-plugins=ServiceAccount",
        )
        self._wait(lambda: self.ask("get", "--raw=/readyz").stdout == "ok")
        config = f"--kubeconfig={self._config}"
        own = (config, "--leader-elect=false", "--port=0", "--bind-address=127.0.0.1")
        self._run("kube-controller-manager", *own, f"--secure-port={manager}")
        self._run("kube-scheduler", *own, f"--secure-port={scheduler}")
        self._load(engine, images)
        self._run(
            "kubelet",
            config,
            f"--config={folder / 'kubelet.yaml'}",
            f"--root-dir={folder / 'kubelet'}",
            f"--cert-dir={folder / 'kubelet'}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{folder / 'containerd.sock'}",
            "--hostname-override=node",
        )
        ready = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
        self._wait(lambda: self.ask("get", "nodes", "-o", ready).stdout == "True")

    def stop(self) -> None:
        """Ends all of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.ask("delete", "deployments,horizontalpodautoscalers", "--all", "--timeout=20s")
            self.ask("delete", "pods", "--all", "--grace-period=0", "--force", "--timeout=20s")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.processes(), seconds=30)
        for process in reversed(self._processes.values()):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        # Containers outlive the one who runs them.
        for left in (*self.processes(), *pids_of("containerd-shim", str(self._folder))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        wait_until(lambda: not self.processes())
        for group in CGROUPS.glob("*/kubepods"):
            for path, _, _ in os.walk(group, topdown=False):
                os.rmdir(path)

    def processes(self, name: str = "") -> list[int]:
        """Those of pods whose programs have this name, if there is one."""
        found = []
        for file in CGROUPS.glob("memory/kubepods/**/cgroup.procs"):
            with contextlib.suppress(FileNotFoundError):
                found += [int(line) for line in file.read_text().split()]
        return [process for process in found if not name or program_of(process) == name]

    def _configure(self) -> None:
        folder = self._folder
        # Podman brings them, too.
        plugins = next(
            path
            for root in (FOLDER / "root", pathlib.Path("/"))
            if (path := root / "usr/lib/cni").exists()
        )
        files = {
            "cni/10-test.conflist": json.dumps(network(folder)),
            "containerd.toml": CONTAINERD.format(folder=folder, pause=PAUSE, plugins=plugins),
            "kubeconfig": yaml.safe_dump(kubeconfig(self._port)),
            "kubelet.yaml": yaml.safe_dump(kubelet(self._kubelet)),
            "tokens": f"{TOKEN},test,test,system:masters\n",
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        run("openssl", "genrsa", "-out", folder / "key", "2048")

    def _load(self, engine: Engine, images: Mapping[str, str]) -> None:
        """Gives images to containerd."""
        for index, (name, image) in enumerate(images.items()):
            archive = self._folder / f"image-{index}.tar"
            engine.podman("tag", image, name)
            engine.podman("save", "--quiet", f"--output={archive}", name)
            where = f"--address={self._folder / 'containerd.sock'}"
            ctr = (FOLDER / "root/usr/bin/ctr", where, "--namespace=k8s.io")
            subprocess.run([*ctr, "images", "import", archive], check=True, capture_output=True)
            archive.unlink()

    def _run(self, name: str, *arguments: str) -> None:
        places = (FOLDER / "bin", FOLDER / "root/usr/bin")
        (program,) = (place / name for place in places if (place / name).exists())
        path = f"{FOLDER / 'root/usr/bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [program, *arguments], stdout=log, stderr=log, env=environment(PATH=path)
            )

    def _wait(self, what: Callable[[], bool]) -> None:
        """Waits for something that all programs so far are needed for."""

        def there() -> bool:
            for name, process in self._processes.items():
                assert process.poll() is None, (self._folder / f"{name}.log").read_text()[-3000:]
            return what()

        wait_until(there, seconds=120)


def program_of(process: int) -> str:
    """The name of a process's program."""
    with contextlib.suppress(FileNotFoundError):
        return pathlib.Path(f"/proc/{process}/comm").read_text().strip()
    return ""


def pids_of(*words: str) -> list[int]:
    """Processes in whose command lines these occur."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = file.read_text()
            if all(word in text for word in words):
                found.append(int(file.parent.name))
    return found


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [int(listening.getsockname()[1]) for listening in free]


@contextlib.contextmanager
def name_server(kubernetes: Kubernetes) -> Iterator[str]:
    """Answers for names of services, as a cluster's does; gives its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("127.0.0.1", 0))
        over = threading.Event()

        def serve() -> None:
            while True:
                question, client = asked.recvfrom(512)
                if over.is_set():
                    return
                asked.sendto(answer(question, kubernetes), client)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = asked.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            over.set()
            asked.sendto(b"", (host, port))
            thread.join()


def answer(question: bytes, kubernetes: Kubernetes) -> bytes:
    """What DNS says of the service that a name begins with."""
    name = question[13 : 13 + question[12]].decode()
    end = question.index(b"\0", 12) + 5
    is_ipv4 = question[end - 4 : end - 2] == b"\0\1"
    found = kubernetes.addresses(name) if is_ipv4 else []
    head = question[:2] + b"\x84\0\0\1" + len(found).to_bytes(2, "big") + b"\0\0\0\0"
    # Each: the name as above, its type and class, for a second, four bytes.
    about = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4"
    return head + question[12:end] + b"".join(about + socket.inet_aton(it) for it in found)


@contextlib.contextmanager
def kubernetes(
    folder: pathlib.Path, engine: Engine, images: Mapping[str, str]
) -> Iterator[Kubernetes]:
    """Starts a cluster that has images of an engine, under the names that are given."""
    if not (FOLDER / "bin" / "kubectl").exists():
        pytest.skip("there is no Kubernetes: scripts/real_kubernetes.sh builds one")
    stray = [path for path in STRAY if not path.exists()]
    networks = set(NETWORKS.glob("*"))
    before = {setting: setting.read_text() for setting in SETTINGS}
    cluster = Kubernetes(folder)
    try:
        pause(engine, folder)
        cluster.start(engine, {PAUSE: PAUSE, **images})
        with name_server(cluster) as cluster.names:
            yield cluster
    finally:
        cluster.stop()
        unmount_below(folder)
        for path in set(NETWORKS.glob("*")) - networks:
            run("umount", path)
            path.unlink()
        if BRIDGE in {name for _, name in socket.if_nameindex()}:
            bridged = pathlib.Path(f"/sys/class/net/{BRIDGE}/brif")
            wait_until(lambda: not any(bridged.iterdir()))
            run("ip", "link", "delete", BRIDGE)
        for setting, value in before.items():
            setting.write_text(value)
        for path in stray:
            unmount_below(path)
            shutil.rmtree(path, ignore_errors=True)


def pause(engine: Engine, folder: pathlib.Path) -> None:
    """Makes the image of what holds a pod's namespaces."""
    files = folder / "pause"
    files.mkdir()
    shutil.copy(program("catatonit"), files)
    engine.of_files(PAUSE, files, 'ENTRYPOINT ["/catatonit", "-P"]')
