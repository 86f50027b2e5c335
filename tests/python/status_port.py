"""What a server with `--http_listen` serves for operators."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

from local_server import LocalServer


def http_address(server: LocalServer) -> str:
    """The host:port where it does."""
    found = re.search(r"http_port=(\d+)", server.log.read_text())
    assert found is not None
    return f"127.0.0.1:{found[1]}"


def get(server: LocalServer, path: str) -> tuple[int, str]:
    """The status and the text of an answer."""
    try:
        with urllib.request.urlopen(f"http://{http_address(server)}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(server: LocalServer) -> str:
    """What /metrics says."""
    return get(server, "/metrics")[1]


def value(text: str, name: str) -> float:
    """The value of a metric, with its labels if it has any, in what /metrics says."""
    (line,) = (line for line in text.splitlines() if line.startswith(name + " "))
    return float(line.rsplit(" ", 1)[1])
