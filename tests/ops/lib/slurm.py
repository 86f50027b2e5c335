"""A Slurm cluster of three nodes on this machine, for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator

from programs import OPS, environment, program
from server import wait_until

# Who runs this also runs the cluster, and all its jobs.
USER = pwd.getpwuid(os.geteuid()).pw_name
NODES = ("n1", "n2", "n3")
# No authentication, and quick about nodes that are lost: good for a test alone.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
PluginDir={plugins}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdTimeout=10
KillWait=30
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_min_interval=100000
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class Slurm:
    """Asks the cluster, and breaks its nodes."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._controller: subprocess.Popen[bytes] | None = None
        self.environment = environment(SLURM_CONF=str(folder / "slurm.conf"))

    def __call__(self, command: str, *arguments: str | pathlib.Path) -> str:
        """Runs one of Slurm's commands, and gives what it wrote."""
        done = subprocess.run(
            [program(command), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=30,
            env=self.environment,
            cwd=self.folder,
        )
        assert done.returncode == 0, f"{command} {arguments}: {done.stderr}"
        return done.stdout.strip()

    def start(self) -> None:
        """Starts controller and nodes, and waits until they are one."""
        (self.folder / "state").mkdir()
        plugins = next((OPS / "root").glob("usr/lib/*-linux-gnu/slurm-wlm"), None)
        ports = _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={port} "
            "CPUs=4 State=UNKNOWN"
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        config = CONFIG.format(
            host=socket.gethostname(),
            user=USER,
            port=ports[0],
            plugins=plugins or "/usr/lib/x86_64-linux-gnu/slurm-wlm",
            folder=self.folder,
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(config)
        controller = [program("slurmctld-wlm"), "-D", "-i", "-c"]
        self._controller = self._run(controller, "slurmctld.out")
        for name in NODES:
            command = [program("slurmd-wlm"), "-D", "-N", name, "-d", program("slurmstepd-wlm")]
            self._nodes[name] = self._run(command, f"slurmd-{name}.out")
        idle = ["-h", "-t", "idle", "-o", "%D"]
        wait_until(lambda: self._asked("sinfo", *idle) == str(len(NODES)), seconds=30)

    def lose(self, node: str, *also: int) -> None:
        """A node goes without a word, with what ran on it."""
        self._nodes[node].kill()
        for process in also:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(_pidfd(process), signal.SIGKILL)

    def stop(self) -> None:
        """Ends all of it."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self("scancel", f"--user={USER}")
            wait_until(lambda: self("squeue", "-h") == "", seconds=30)
        for process in (*self._nodes.values(), self._controller):
            if process is not None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                process.kill()
                process.wait()

    def _run(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, env=self.environment)

    def _asked(self, command: str, *arguments: str) -> str:
        """What a command says, nothing while there is nobody to ask."""
        assert self._controller is not None
        assert self._controller.poll() is None, (self.folder / "slurmctld.log").read_text()[-3000:]
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            return self(command, *arguments)
        return ""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [int(listening.getsockname()[1]) for listening in free]


def _pidfd(process: int) -> int:
    return os.pidfd_open(process)


@contextlib.contextmanager
def slurm(folder: pathlib.Path) -> Iterator[Slurm]:
    """Starts a cluster; as root alone."""
    cluster = Slurm(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
