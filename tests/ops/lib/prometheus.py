"""A Prometheus of one's own, for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import yaml
from programs import DEPLOY, environment, program
from server import wait_until


class Prometheus:
    """Asks a Prometheus at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expression: str) -> list[float]:
        """What an expression gives now, a value a series."""
        result = self.ask("query", query=expression)["result"]
        return [float(series["value"][1]) for series in result]


@contextlib.contextmanager
def prometheus(folder: pathlib.Path, *targets: str) -> Iterator[Prometheus]:
    """Runs deploy/prometheus with these servers, and looks at them each second."""
    source = DEPLOY / "prometheus"
    config = yaml.safe_load((source / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(source / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": list(targets)}]
    written = folder / "prometheus.yaml"
    written.write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program("prometheus"),
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
    try:
        asked = Prometheus(address)

        def scraped() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                return asked.values('count_over_time(up{job="lossd"}[1m]) >= 4') != []
            return False

        wait_until(scraped)
        yield asked
    finally:
        process.terminate()
        process.wait(30)
