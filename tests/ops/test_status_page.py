"""The status page in a real browser: what it shows, and that it fits on screens of any width."""

from __future__ import annotations

import pathlib
import re
import subprocess
import urllib.request
from collections.abc import Iterator

import matplotlib.image
import numpy as np
import pytest
from local_server import LocalServer, server_binary
from programs import OPS, environment, program
from server import PLAN
from status_port import http_address

import lossd

WIDTHS = (1280, 400)
LONG = "a-run-with-a-name-that-is-as-long-as-names-of-runs-are-in-practice-0123456789"
FONTS = """\
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{ops}/root/usr/share/fonts</dir><cachedir>{cache}</cachedir>
<match target="pattern">
<edit name="family" mode="append_last"><string>DejaVu Sans</string></edit>
</match>
</fontconfig>
"""


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The address of the page of a server that has had slow calls, and calls that failed."""
    flags = ("--http_listen=127.0.0.1:0", "--slow_call=0", f"--memory_budget={64 << 20}")
    volume = np.zeros((1, 1, 32, 32, 32), np.float32)
    large = np.zeros((1, 1, 192, 192, 192), np.float32)
    with (
        LocalServer(server_binary(), *flags) as server,
        lossd.Client(server.address, client="alice") as client,
    ):
        for number in range(4):
            client.compute(PLAN, volume, volume, request_id=f"slow-{number}")
        client.compute(PLAN, volume, volume, request_id=LONG)
        with pytest.raises(lossd.InvalidArgumentError):
            client.compute([{"function": "Nonesuch<b>"}], volume, request_id="wrong")
        with pytest.raises(lossd.ResourceExhaustedError):
            client.compute(PLAN, large, large, request_id="large")
        yield f"http://{http_address(server)}/"


class Browser:
    """A headless Chromium, started anew for each page."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._program = program("chromium-headless-shell")
        self._folder = folder
        fonts = folder / "fonts.conf"
        fonts.write_text(FONTS.format(ops=OPS, cache=folder / "fonts"))
        self._environment = environment(FONTCONFIG_FILE=str(fonts))

    def run(self, address: str, width: int, *flags: str) -> str:
        """Loads a page; gives what was asked for, and fails where the page has an error."""
        command = [self._program, "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={self._folder / 'profile'}", "--enable-logging=stderr"]
        done = subprocess.run(
            [*command, f"--window-size={width},3600", *flags, address],
            capture_output=True,
            text=True,
            timeout=60,
            env=self._environment,
        )
        assert done.returncode == 0, done.stderr
        assert ":CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    def picture(self, address: str, width: int, path: pathlib.Path) -> np.ndarray:
        """A picture of it, [height, width, 3], values from 0 to 1."""
        self.run(address, width, f"--screenshot={path}")
        pixels: np.ndarray = matplotlib.image.imread(path)[:, :, :3]
        return pixels


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser"))


def test_the_browser_tells_of_errors(browser: Browser, tmp_path: pathlib.Path) -> None:
    (tmp_path / "wrong.html").write_text("<script>nonesuch()</script>")
    with pytest.raises(AssertionError, match="nonesuch is not defined"):
        browser.run((tmp_path / "wrong.html").as_uri(), 400, "--dump-dom")


def test_it_shows_what_happened(browser: Browser, page: str) -> None:
    dom = browser.run(page, 1280, "--dump-dom")
    text = re.sub(r"<[^>]+>", " ", dom.split("</style>")[1])
    slow, failed = text.split("Recent slow calls")[1].split("Recent failed calls")
    assert "serving" in text
    for number in range(4):
        assert f"slow-{number}" in slow
    assert LONG in slow
    assert "alice" in slow
    assert "wrong" in failed
    assert "Nonesuch&lt;b&gt;" in failed
    assert "RESOURCE_EXHAUSTED" in failed
    assert dom.count("<svg") > 5


@pytest.mark.parametrize("width", WIDTHS)
def test_it_can_be_seen(browser: Browser, page: str, tmp_path: pathlib.Path, width: int) -> None:
    pixels = browser.picture(page, width, tmp_path / "page.png")
    assert pixels.shape[1] == width
    ink = pixels.min(axis=2) < 0.6
    assert 0.01 < ink.mean() < 0.5
    red, green, blue = np.moveaxis(pixels, 2, 0)
    assert ((green > red + 0.2) & (green > blue + 0.1)).sum() > 100  # It is serving.
    assert ((blue > red + 0.2) & (blue > green + 0.1)).sum() > 100  # Bars of histograms.


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(
    browser: Browser, page: str, tmp_path: pathlib.Path, width: int
) -> None:
    with urllib.request.urlopen(page, timeout=10) as answer:
        html = answer.read().decode()
    measure = (
        "<script>const d = document.documentElement;"
        "d.dataset.widths = `${d.scrollWidth} of ${innerWidth}`;</script></body>"
    )
    (tmp_path / "page.html").write_text(html.replace("</body>", measure))
    dom = browser.run((tmp_path / "page.html").as_uri(), width, "--dump-dom")
    found = re.search(r'data-widths="(\d+) of (\d+)"', dom)
    assert found is not None
    assert int(found[2]) == width
    assert int(found[1]) <= width
