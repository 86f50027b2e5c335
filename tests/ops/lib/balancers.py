"""Envoy, HAProxy and nginx in front of servers, for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import pathlib
import re
import subprocess
from collections.abc import Iterator, Sequence

from programs import DEPLOY, environment, program
from server import free_port, wait_until

import lossd

FOLDER = DEPLOY / "balancer"


def adapted(name: str, folder: pathlib.Path, port: int, servers: Sequence[str]) -> pathlib.Path:
    """A configuration as it is, but for the addresses, and for how many servers there are."""
    text = (FOLDER / name).read_text()
    first, second = re.findall(r"^.*lossd-[12].*\n", text, re.MULTILINE)
    assert first.replace("lossd-1", "lossd-2") == second
    lines = []
    for index, server in enumerate(servers, start=1):
        host, server_port = server.split(":")
        line = first.replace("lossd-1, port_value: 50051", f"{host}, port_value: {server_port}")
        lines.append(line.replace("lossd-1:50051", server).replace("lossd-1", f"lossd-{index}"))
    text = text.replace(first + second, "".join(lines))
    listeners = {
        "envoy.yaml": ("0.0.0.0, port_value: 50051", f"127.0.0.1, port_value: {port}"),
        "haproxy.cfg": ("bind :50051", f"bind 127.0.0.1:{port}"),
        "nginx.conf": ("listen 50051", f"listen 127.0.0.1:{port}"),
    }
    assert listeners[name][0] in text
    text = text.replace(*listeners[name]).replace("port_value: 9901", "port_value: 0")
    path = folder / name
    path.write_text(text)
    return path


def envoy(config: pathlib.Path) -> list[str]:
    return [
        program("envoy"),
        "-c",
        str(config),
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "warning",
    ]


def haproxy(config: pathlib.Path) -> list[str]:
    return [program("haproxy"), "-db", "-f", str(config)]


def nginx(config: pathlib.Path) -> list[str]:
    # Unpacked, it has none of the folders that it was built for.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {config.parent}/{kind};\n" for kind in kinds)
    config.write_text(config.read_text().replace("http {\n", "http {\n" + folders))
    settings = "daemon off; master_process off; error_log stderr; pid nginx.pid;"
    return [program("nginx"), "-p", str(config.parent), "-c", str(config), "-g", settings]


BALANCERS = {"envoy.yaml": envoy, "haproxy.cfg": haproxy, "nginx.conf": nginx}


@contextlib.contextmanager
def balancer(name: str, folder: pathlib.Path, servers: Sequence[str]) -> Iterator[str]:
    """A balancer in front of some servers; gives its address."""
    port = free_port()
    command = BALANCERS[name](adapted(name, folder, port, servers))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=folder)
    try:
        address = f"127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(lossd.Error), lossd.Client(address, retry_seconds=0) as client:
                return bool(client.info(timeout=2))
            return False

        wait_until(ready)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
