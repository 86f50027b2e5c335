"""deploy/systemd: the unit is right and tight, its configurations serve, stopping drains."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from local_server import server_binary
from machine import Booted, booted, machine
from programs import DEPLOY, ROOT, run
from server import PLAN, compute, drain_seconds, make_certificate, wait_until
from traffic import Traffic

import lossd

FOLDER = DEPLOY / "systemd"
UNIT = FOLDER / "lossd@.service"


def setting(name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A system with the unit in it, as far as systemd-analyze looks."""
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    shutil.copy(UNIT, units)
    for name in ("sysinit.target", "basic.target", "shutdown.target", "network-online.target"):
        (units / name).write_text("[Unit]\nDescription=Stub\n")
    binary = tmp_path / "usr" / "local" / "bin" / "lossd"
    binary.parent.mkdir(parents=True)
    shutil.copy(sys.executable, binary)
    return tmp_path


def verify(root: pathlib.Path) -> str:
    """All that systemd has to say of the unit: of unknown keys it only warns."""
    return run("systemd-analyze", "verify", f"--root={root}", "--man=no", "lossd@network.service")


def test_the_unit_verifies(root: pathlib.Path) -> None:
    assert verify(root) == ""
    unit = root / "etc" / "systemd" / "system" / UNIT.name
    unit.write_text(unit.read_text().replace("RestrictRealtime", "RestrictRealTime"))
    assert "RestrictRealTime" in verify(root)


def test_the_unit_is_hardened(root: pathlib.Path) -> None:
    exposure = ("security", "--offline=true", f"--root={root}", "--no-pager")
    said = run("systemd-analyze", *exposure, "--threshold=20", "lossd@network.service")
    assert "Overall exposure level" in said


def test_the_user_can_be_made() -> None:
    said = run("systemd-sysusers", "--dry-run", FOLDER / "lossd.sysusers")
    assert "lossd" in said


def test_the_configuration_for_the_network_is_complete(tmp_path: pathlib.Path) -> None:
    config = FOLDER / "network.yaml"
    said = subprocess.run(
        [server_binary(), "--config", config, "--check-config"], capture_output=True, text=True
    )
    # All is right but the secrets, which are not here.
    assert "/etc/lossd/" in said.stderr
    tokens = tmp_path / "tokens"
    tokens.write_text("alice:0123456789abcdef0123456789abcdef\n")
    make_certificate(tmp_path / "tls.pem", tmp_path / "tls.key")
    here = tmp_path / "network.yaml"
    here.write_text(config.read_text().replace("/etc/lossd/", f"{tmp_path}/"))
    checked = subprocess.run(
        [server_binary(), "--config", here, "--check-config"], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout) == (0, "ok\n")


class Manager:
    """Starts a program as systemd does one of Type=notify, and hears what it says."""

    def __init__(self, folder: pathlib.Path, *command: str | pathlib.Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(30)
        variables = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
        self.process = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)

    def hears(self) -> str:
        """The next thing that it says."""
        return self._socket.recv(1000).decode()

    def close(self) -> None:
        """Ends it, if need be."""
        self.process.kill()
        self.process.wait()
        self._socket.close()


@pytest.fixture
def local(tmp_path: pathlib.Path) -> Iterator[tuple[Manager, str]]:
    """A server of local.yaml, whose socket is in a folder of its own."""
    text = (FOLDER / "local.yaml").read_text()
    text = text.replace("/run/lossd/local", str(tmp_path)).replace(":9465", ":0")
    config = tmp_path / "local.yaml"
    config.write_text(text)
    with contextlib.closing(Manager(tmp_path, server_binary(), "--config", config)) as manager:
        yield manager, f"unix:{tmp_path}/lossd.sock"


def test_it_says_when_it_is_ready_and_drains_within_the_stop_timeout(
    local: tuple[Manager, str],
) -> None:
    manager, address = local
    assert manager.hears() == "READY=1"
    volume = np.zeros((1, 3, 64, 64, 64), np.float32)
    with lossd.Client(address, retry_seconds=0) as client:
        pending = [client.submit(PLAN, volume, volume, timeout=60) for _ in range(8)]
        pending[0].result()
        manager.process.send_signal(signal.SIGTERM)
        assert manager.hears() == "STOPPING=1"
        assert manager.process.wait(float(setting("TimeoutStopSec"))) == 0
        # Those admitted were answered, those that came too late were turned away.
        answered = 0
        for call in pending:
            with contextlib.suppress(lossd.UnavailableError):
                answered += call.result().total == 0
    assert answered > 1


def test_a_living_server_feeds_the_watchdog_in_time(local: tuple[Manager, str]) -> None:
    manager, _ = local
    assert manager.hears() == "READY=1"
    assert float(setting("WatchdogSec")) >= 2 * 10
    assert manager.hears() == "WATCHDOG=1"


@pytest.mark.parametrize("config", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_stopping_takes_longer_than_draining_may(config: pathlib.Path) -> None:
    assert float(setting("TimeoutStopSec")) > drain_seconds(yaml.safe_load(config.read_text()))


def documented() -> list[str]:
    """The commands that set it up, as docs/deploy.md has them."""
    section = (ROOT / "docs" / "deploy.md").read_text().split("## One machine: systemd")[1]
    return section.split("```sh\n")[1].split("```")[0].splitlines()


@pytest.fixture(scope="module")
def system(scratch: pathlib.Path) -> Iterator[Booted]:
    """A machine on which deploy/systemd was installed as the documentation says."""
    with machine(scratch / "systemd") as root, booted(root) as system:
        made, *install = documented()
        assert made.startswith("make tarball && tar -xzf build/dist/lossd-*.tar.gz -C /opt && ")
        pack = root / "opt" / "lossd-test"
        build = server_binary().resolve().parents[1]
        subprocess.run([ROOT / "scripts" / "pack.sh", build, pack], check=True)
        shutil.copytree(DEPLOY, root / "src" / "deploy")
        script = "\n".join(["set -e", "cd /src", made.split(" && ")[-1], *install])
        system("bash", "-c", script)
        yield system


def local_socket() -> str:
    """Where the documentation says that lossd@local is."""
    (address,) = (line for line in documented() if "LOSSD_ADDRESS" in line)
    return address.split("=unix:")[1]


def local_address(system: Booted) -> str:
    """The same, seen from outside."""
    return f"unix:{system.root}{local_socket()}"


def main_process(system: Booted, unit: str) -> int:
    """The server of a unit, 0 while there is none."""
    return int(system.property(unit, "MainPID"))


@pytest.mark.clusters
def test_booted_it_serves_as_its_own_user(system: Booted) -> None:
    compute(local_address(system))(3)
    process = main_process(system, "lossd@local")
    assert system("stat", "--format=%U", f"/proc/{process}") == "lossd"
    assert "lossd" in system("stat", "--format=%G %A", local_socket())
    assert system("systemctl", "is-enabled", "lossd@local") == "enabled"


@pytest.mark.clusters
def test_booted_it_comes_back_when_it_is_killed(system: Booted) -> None:
    with Traffic(compute(local_address(system)), threads=2) as traffic:
        wait_until(lambda: traffic.calls > 20 or bool(traffic.errors))
        killed = main_process(system, "lossd@local")
        system("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "lossd@local")
        wait_until(lambda: main_process(system, "lossd@local") not in (0, killed))
        before = traffic.calls
        wait_until(lambda: traffic.calls > before + 20 or bool(traffic.errors))
    assert not traffic.errors
    assert system.property("lossd@local", "NRestarts") == "1"


@pytest.mark.clusters
def test_booted_it_comes_back_when_it_hangs(system: Booted) -> None:
    # It feeds the watchdog every 10 s.
    dropin = "[Service]\\nWatchdogSec=12"
    folder = "/run/systemd/system/lossd@local.service.d"
    system("bash", "-c", f"mkdir -p {folder} && printf '{dropin}' >{folder}/watchdog.conf")
    system("systemctl", "daemon-reload")
    system("systemctl", "restart", "lossd@local")
    hung = main_process(system, "lossd@local")
    system("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "lossd@local")
    wait_until(lambda: main_process(system, "lossd@local") not in (0, hung), seconds=40)
    compute(local_address(system))(3)
    assert "Watchdog timeout" in system("journalctl", "--unit=lossd@local", "--no-pager")


@pytest.mark.clusters
def test_booted_it_answers_what_it_has_when_it_is_stopped(system: Booted) -> None:
    volume = np.zeros((1, 3, 64, 64, 64), np.float32)
    with lossd.Client(local_address(system), retry_seconds=0) as client:
        calls = [client.submit(PLAN, volume, volume, timeout=60) for _ in range(8)]
        calls[0].result()
        system("systemctl", "stop", "lossd@local")
        answered = 0
        for call in calls:
            with contextlib.suppress(lossd.UnavailableError):
                answered += call.result().total == 0
    assert answered > 1
    assert system.property("lossd@local", "Result") == "success"
    assert system.property("lossd@local", "ExecMainStatus") == "0"


@pytest.mark.clusters
def test_booted_it_takes_new_certificates_and_tokens_without_a_restart(system: Booted) -> None:
    secrets = system.root / "etc" / "lossd"

    def exchange(token: str) -> None:
        """Writes new secrets, of the server's user alone."""
        make_certificate(secrets / "new.pem", secrets / "tls.key")
        (secrets / "new.pem").rename(secrets / "tls.pem")
        (secrets / "tokens").write_text(f"trainer:{token}\n")
        names = "/etc/lossd/tls.pem /etc/lossd/tls.key /etc/lossd/tokens"
        system("bash", "-c", f"chown lossd {names} && chmod 600 {names}")

    def lets_in(token: str) -> bool:
        """Whether the server has the certificate that is there now, and knows a token."""
        options = ("--server=127.0.0.1:50051", "--tls-ca=/etc/lossd/tls.pem")
        variables = ("env", f"LOSSD_TOKEN={token}")
        return "threads" in system(*variables, "lossctl", *options, "info", check=False)

    old, new = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
    shutil.copy(FOLDER / "network.yaml", secrets)
    exchange(old)
    system("systemctl", "start", "lossd@network")
    assert lets_in(old)
    assert not lets_in(new)
    before = main_process(system, "lossd@network")
    exchange(new)
    wait_until(lambda: lets_in(new))
    assert not lets_in(old)
    assert main_process(system, "lossd@network") == before
