"""deploy/slurm on a real cluster of three nodes: servers die, a node is lost, training goes on."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator

import pytest
from local_server import LocalServer, server_binary
from programs import DEPLOY, ROOT, program
from server import wait_until
from slurm import Slurm, slurm

import lossd

FOLDER = DEPLOY / "slurm"
FIRST_PORT = 50151

# Stands for a training: calls all the time, each of which it counts, until it is told to end.
TRAINING = """
import pathlib, sys
import lossd, numpy as np

folder = pathlib.Path(sys.argv[1])
volume = np.zeros((1, 1, 16, 16, 16), np.float32)
with lossd.Client() as client:
    steps = 0
    while not (folder / "enough").exists():
        client.compute([{"function": "WeightedMSELoss"}], volume, volume)
        steps += 1
        (folder / "draft").write_text(str(steps))
        (folder / "draft").rename(folder / "steps")
"""


@pytest.fixture
def cluster(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    programs = pathlib.Path(program("srun")).parent
    python = ROOT / ".venv" / "bin"
    for name, value in {
        "LOSSD_BINARY": str(server_binary()),
        "LOSSD_SERVERS": str(tmp_path / "servers"),
        "LOSSD_SLURM": str(FOLDER),
        "LOSSD_PORT": str(FIRST_PORT),
        "LOSSD_FLAGS": "--allow_plaintext --threads 1",
        "PATH": f"{python}:{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "client" / "python" / "src"),
    }.items():
        monkeypatch.setenv(name, value)
    with slurm(tmp_path) as cluster:
        yield cluster


def serving(port: int) -> bool:
    """Whether a server answers there."""
    client = lossd.Client(f"127.0.0.1:{port}", retry_seconds=0)
    with contextlib.suppress(lossd.Error), client:
        return bool(client.info(timeout=2))
    return False


def processes_of(port: int) -> list[int]:
    """The server at a port, its script, and the script's step of Slurm."""
    found = subprocess.run(
        ["pgrep", "-f", "--", f"--listen 0.0.0.0:{port}"], capture_output=True, text=True
    )
    chain = [int(found.stdout.split()[0])]
    for _ in range(2):
        status = pathlib.Path(f"/proc/{chain[-1]}/status").read_text()
        (parent,) = (line for line in status.splitlines() if line.startswith("PPid:"))
        chain.append(int(parent.split()[1]))
    return chain


@pytest.fixture
def training(tmp_path: pathlib.Path) -> Training:
    return Training(tmp_path)


class Training:
    """A training, seen by the files that it leaves in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        script = folder / "training.py"
        script.write_text(TRAINING)
        self.command = ("python", script, folder)

    def steps(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return int((self._folder / "steps").read_text())
        return 0

    def go_on(self) -> None:
        """Waits for some more steps."""
        enough = self.steps() + 50
        wait_until(lambda: self.steps() >= enough, seconds=60)

    def end(self) -> None:
        """As if it had done all its steps."""
        (self._folder / "enough").touch()


def survive_a_kill(training: Training, port: int) -> None:
    """A server is killed: it comes back where it was, and training goes on."""
    killed = processes_of(port)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: serving(port) and processes_of(port)[0] != killed, seconds=30)
    training.go_on()


def node_of(cluster: Slurm, servers: str, task: int) -> str:
    return cluster("squeue", "-h", "-j", f"{servers}_{task}", "-o", "%N")


@pytest.mark.clusters
def test_servers_come_back_and_training_goes_on(
    cluster: Slurm, training: Training, tmp_path: pathlib.Path
) -> None:
    small = ["--cpus-per-task=2", "--mem=0"]
    servers = cluster("sbatch", "--parsable", *small, FOLDER / "server.sbatch")
    trainer = cluster(
        "sbatch", "--parsable", "--mem=0", "--nodelist=n3", f"--dependency=after:{servers}",
        FOLDER / "trainer.sbatch", *training.command,
    )  # fmt: skip
    ports = range(FIRST_PORT, FIRST_PORT + 3)
    wait_until(lambda: all(map(serving, ports)), seconds=60)
    training.go_on()
    survive_a_kill(training, ports[0])

    # A server is queued again: it drains, and starts anew.
    cluster("scontrol", "requeue", f"{servers}_2")
    wait_until(lambda: not serving(ports[2]), seconds=30)
    training.go_on()
    wait_until(lambda: serving(ports[2]), seconds=60)

    # A node is lost: its servers start on other ones.
    lost = node_of(cluster, servers, 1)
    tasks = [task for task in range(3) if node_of(cluster, servers, task) == lost]
    assert len(tasks) < 3
    cluster.lose(lost, *(it for task in tasks for it in reversed(processes_of(ports[task]))))
    training.go_on()
    assert not serving(ports[1])
    wait_until(lambda: all(map(serving, ports)), seconds=120)
    assert all(node_of(cluster, servers, task) != lost for task in tasks)
    training.go_on()

    # Training ends as if nothing had happened.
    training.end()
    wait_until(lambda: cluster("squeue", "-h", "-j", trainer) == "", seconds=30)
    assert "JobState=COMPLETED" in cluster("scontrol", "show", "job", trainer)

    # Servers drain when their time is nearly over, and when they are cancelled.
    cluster("scancel", "--batch", "--signal=USR1", f"{servers}_2")
    wait_until(lambda: cluster("squeue", "-h", "-j", f"{servers}_2") == "", seconds=60)
    cluster("scancel", servers)
    wait_until(lambda: not any(map(serving, ports)), seconds=60)
    wait_until(lambda: cluster("squeue", "-h") == "", seconds=60)
    logs = [path.read_text() for path in tmp_path.glob(f"lossd-{servers}_*.log")]
    assert len(logs) == 3
    assert all(" stopped" in log for log in logs)


@pytest.mark.clusters
def test_servers_and_training_are_one_job(
    cluster: Slurm, training: Training, tmp_path: pathlib.Path
) -> None:
    # Of each part.
    small = ["--cpus-per-task=1", "--mem-per-cpu=0"]
    job = cluster(
        "sbatch", "--parsable", "--ntasks=2", *small, ":", "--ntasks=1", *small,
        FOLDER / "together.sbatch", *training.command,
    )  # fmt: skip
    ports = range(FIRST_PORT, FIRST_PORT + 2)
    wait_until(lambda: all(map(serving, ports)), seconds=60)
    training.go_on()
    survive_a_kill(training, ports[0])

    # All of it is queued again: servers and training start anew.
    cluster("scontrol", "requeue", job)
    wait_until(lambda: not any(map(serving, ports)), seconds=60)
    wait_until(lambda: all(map(serving, ports)), seconds=60)
    training.go_on()

    # The servers drain when the training ends, whose status is the job's.
    training.end()
    wait_until(lambda: cluster("squeue", "-h", "-j", job) == "", seconds=60)
    ended = cluster("scontrol", "show", "job", job)
    assert ended.count("JobState=COMPLETED") == 2
    assert ended.count("Restarts=1") == 2
    for task in range(2):
        log = (tmp_path / f"lossd-{job}_{task}.log").read_text()
        assert log.count(" stopped") == 2


def test_the_servers_to_use_are_those_that_answer(tmp_path: pathlib.Path) -> None:
    find = [str(ROOT / ".venv" / "bin" / "python"), str(FOLDER / "find_servers"), str(tmp_path)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "client" / "python" / "src")}
    (tmp_path / "1").write_text("127.0.0.1:1\n")
    nobody = subprocess.run([*find, "--timeout=1"], capture_output=True, text=True, env=variables)
    assert nobody.returncode == 1
    assert "no server answers" in nobody.stderr
    with LocalServer(server_binary()) as server:
        (tmp_path / "0").write_text(f"{server.address}\n")
        (tmp_path / ".2").write_text("half")
        options = ["--timeout=20", "--settle=1"]
        found = subprocess.run([*find, *options], capture_output=True, text=True, env=variables)
    assert (found.returncode, found.stdout) == (0, f"{server.address}\n")


@pytest.mark.parametrize("name", ["server.sbatch", "trainer.sbatch", "together.sbatch"])
def test_scripts_parse(name: str) -> None:
    done = subprocess.run(["bash", "-n", FOLDER / name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
