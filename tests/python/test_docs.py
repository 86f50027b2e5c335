"""The documentation: what is generated is as it should be, the site builds, snippets are right."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import Any

import generate_docs
import numpy as np
import pytest
import sizing
import torch
import wire_reference
import yaml
from authority import Authority
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from local_server import ROOT, LocalServer, server_binary
from server import SMALL_BUDGET, load, measured_server
from snippets import Snippet, by_page, cpp_file, pages, snippets
from status_port import metrics
from test_pytc_install import package  # noqa: F401
from torch import nn

import lossd

LOSSCTL = server_binary().parents[1] / "client" / "cpp" / "lossctl"
RUN = {"python", "sh", "yaml", "cpp", "cmake"}


def test_what_is_generated_is_up_to_date() -> None:
    for name, text in generate_docs.generated(LOSSCTL).items():
        assert (generate_docs.DOCS / name).read_text() == text, f"docs/{name}: run `make docs`"


def test_the_contract_wants_comments() -> None:
    files = wire_reference.read_contract()
    for kind in ("message_type", "enum_type", "service"):
        broken = FileDescriptorProto()
        broken.CopyFrom(next(file for file in files if getattr(file, kind)))
        for place in broken.source_code_info.location:
            if len(place.path) == 4:
                place.ClearField("leading_comments")
        with pytest.raises(wire_reference.UncommentedError, match="has no comment"):
            wire_reference.reference([broken])


def build_site(config: pathlib.Path, out: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--config-file={config}"]
    return subprocess.run(
        [*command, f"--site-dir={out}"],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


def test_the_site_builds_strictly(tmp_path: pathlib.Path) -> None:
    done = build_site(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "src/lossd/malis/malis.h" in (tmp_path / "site/malis/index.html").read_text()
    assert (tmp_path / "site/source/src/lossd/malis/malis.h/index.html").exists()


@pytest.mark.parametrize(
    "link",
    ["missing.md", "server.md#no-such-heading", "../src/lossd/missing.h", "https://nowhere"],
)
def test_a_wrong_link_fails_the_build(tmp_path: pathlib.Path, link: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# One\n\n[here]({link})\n")
    (docs / "server.md").write_text("# Two\n")
    config = yaml.unsafe_load((ROOT / "mkdocs.yml").read_text())
    config.update(nav=["index.md", "server.md"], docs_dir=str(docs), not_in_nav="/source/")
    config.update(hooks=[str(ROOT / "scripts/docs_site.py")], markdown_extensions=["toc"])
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    done = build_site(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert link.split("/")[-1].split("#")[-1] in done.stderr


def test_no_snippet_is_of_a_language_that_nobody_checks() -> None:
    # Plans in JSON and as messages are those of docs/plans.md, which a unit test in C++ reads.
    others = {str(s) for s in snippets() if s.language not in {*RUN, ""}}
    assert all(other.startswith("docs/plans.md") for other in others), others
    assert len(snippets(*RUN)) > 30


@pytest.fixture
def in_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with the files that snippets name, where `lossd` and `lossctl` are commands."""
    (tmp_path / "config.yaml").write_text((ROOT / "demo/plan.yaml").read_text())
    (tmp_path / "my_token").write_text("a-token-of-some-length")
    folders = [str(LOSSCTL.parent), str(server_binary().parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def taken_for_granted() -> dict[str, Any]:
    """The names that Python snippets use and do not make."""
    rng = np.random.default_rng(0)
    segmentation = torch.from_numpy(rng.integers(1, 9, (1, 64, 64, 64)))
    affinities = torch.from_numpy(rng.random((1, 3, 64, 64, 64)) < 0.5)
    image = torch.rand(1, 1, 64, 64, 64)
    network = nn.Conv3d(1, 3, 1)
    return {
        "pathlib": pathlib,
        "plan": [{"function": "PerChannelBCEWithLogitsLoss"}],
        "image": image,
        "network": network,
        "outputs": network(image).detach(),
        "logits": network(image).detach().requires_grad_(),
        "labels": affinities,
        "affinities": affinities,
        "segmentation": segmentation,
        "mask": torch.ones(1, 1, 64, 64, 64),
        "micro_batches": [(image, affinities)] * 2,
    }


def run_python(snippet: Snippet, names: dict[str, Any], address: str) -> None:
    text = snippet.text.replace("localhost:50051", address).replace("losses.cluster:50051", address)
    source = "\n" * (snippet.line - 1) + text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(ROOT / snippet.page), "exec", flags=flags, dont_inherit=True)
    answer = eval(code, names)
    if asyncio.iscoroutine(answer):
        asyncio.run(answer)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("page", by_page("python"))
def test_python_snippets_run(
    server: LocalServer, in_folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    del in_folder
    monkeypatch.setenv("LOSSD_ADDRESS", server.address)
    names = taken_for_granted()
    for snippet in by_page("python")[page]:
        names["client"] = lossd.Client(server.address)  # The last snippet may have closed its own.
        run_python(snippet, names, server.address)


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_yaml_snippets_are_plans_or_configurations(
    client: lossd.Client, tmp_path: pathlib.Path, snippet: Snippet
) -> None:
    if "losses:" in snippet.text or "function:" in snippet.text:
        check = client.check_plan(snippet.text)
        assert check, check
        return
    certified = Authority(tmp_path).certify("server")
    (tmp_path / "tokens").write_text("alice:0123456789abcdef")
    config = yaml.safe_load(snippet.text)
    config |= {"tls_cert": str(certified.certificate), "tls_key": str(certified.key)}
    config["token_file"] = str(tmp_path / "tokens")
    (tmp_path / "lossd.yaml").write_text(yaml.safe_dump(config))
    config_flag = f"--config={tmp_path / 'lossd.yaml'}"
    command = [str(server_binary()), config_flag, "--check-config"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", by_page("cpp"))
def test_cpp_snippets_compile(page: str) -> None:
    commands = server_binary().parents[1] / "compile_commands.json"
    if not commands.exists():
        pytest.skip("no build tree that says how C++ is compiled")
    entries = json.loads(commands.read_text())
    (command,) = (e["command"] for e in entries if e["file"].endswith("/cpp_sdk_bench.cc"))
    source = cpp_file(page, by_page("cpp")[page])
    words = shlex.split(command.split(" -o ")[0].replace("-O3", "-O0"))
    done = subprocess.run(
        ["ccache", *words, "-w", "-o", str(source.with_suffix(".o")), "-c", str(source)],
        cwd=commands.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_cmake_snippets_are_what_the_consumer_of_the_install_test_says() -> None:
    consumer = (ROOT / "tests/install/consumer/CMakeLists.txt").read_text()
    for snippet in snippets("cmake"):
        for line in snippet.text.splitlines():
            name, rest = re.sub(r"\s*#.*", "", line).split("(")
            assert f"{name}(" in consumer
            for word in re.findall(r"lossd::\w+|REQUIRED|lossd\b", rest):
                assert word in consumer, line


def commands(snippet: Snippet) -> list[list[str]]:
    """The commands of a shell snippet, as words, without settings of variables in front."""
    found = []
    for line in snippet.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("();<>|&"):
                while words and re.match(r"\w+=", words[0]):
                    words.pop(0)
                found.append(words)
                words = []
            else:
                words.append(word)
    return [words for words in found if words]


def flags_of(*command: str | pathlib.Path) -> set[str]:
    said = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])(-{1,2}\w[\w-]*)", said))


def check_flags(words: list[str], known: set[str]) -> None:
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{word} in {words}"


@pytest.mark.parametrize("snippet", snippets("sh"), ids=str)
def test_shell_snippets_name_what_there_is(snippet: Snippet) -> None:
    subprocess.run(["bash", "-n"], input=snippet.text, text=True, check=True)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= {"asan", "tsan"}
    for words in commands(snippet):
        program = pathlib.PurePath(words[0]).name
        if program == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words
        elif program == "lossd" and not words[0].startswith("pack"):
            check_flags(words, flags_of(server_binary()))
        elif program == "lossctl":
            listed = flags_of(LOSSCTL)
            own = [word for word in words[1:] if re.fullmatch(r"[a-z]+(-[a-z]+)?", word)]
            check_flags(words, listed | (flags_of(LOSSCTL, own[0]) if own else set()))
        for word in words:
            path = word.split("=")[-1]
            if re.match(r"(deploy|docker|scripts|bench|demo|client|tests)/", path):
                assert (ROOT / path).exists(), word


def test_the_ten_lines_on_security_work(in_folder: pathlib.Path) -> None:
    del in_folder
    (snippet,) = (s for s in snippets("sh") if s.page == "docs/security.md")
    starts_nothing = [
        line
        for line in snippet.text.splitlines()
        if not line.startswith(("export", "python"))
        and ("--check-config" in line or not line.startswith("lossd"))
    ]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(starts_nothing)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout


def test_commands_that_pages_name_in_passing_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in pages():
        for words in re.findall(r"`make ([^`]+)`", (ROOT / page).read_text()):
            for word in words.split():
                if word.startswith("ARGS="):
                    name = word.removeprefix("ARGS=")
                    assert list((ROOT / "bench").glob(f"{name}.*")), f"{page}: make {words}"
                else:
                    assert re.search(rf"^(?:[a-z-]+ )*{word}[ :]", makefile, re.M), (page, words)


@pytest.mark.parametrize(
    ("trainers", "server", "expected"),
    [
        # 10 steps a second of 0.1 s each: one server's whole time, of which 0.7 may be used.
        (
            sizing.Trainers(10, 1.0, int(1e9 / 129), 1.0),
            sizing.Server(10, 100),
            sizing.Size(2, 1),
        ),
        # 1000 MB a second are 8 Gbit/s: 12 links of 1 Gbit/s, each 0.7 full.
        (sizing.Trainers(10, 1.0, 1000, 100.0), sizing.Server(64, 1), sizing.Size(1, 12)),
    ],
)
def test_the_calculator(
    trainers: sizing.Trainers, server: sizing.Server, expected: sizing.Size
) -> None:
    assert sizing.size(trainers, server) == expected
    assert expected.limit == (
        "computing" if expected.for_computing >= expected.for_network else "network"
    )


def test_the_page_on_sizing_has_the_calculators_figures() -> None:
    page = (generate_docs.DOCS / "sizing.md").read_text()
    assert f"{sizing.CORE_NANOSECONDS_A_VOXEL:g} ns" in page
    assert f"{sizing.H100_SECONDS:g} s" in page
    assert f"{sizing.MEGABYTES_SENT:g} MB" in page
    assert f"/ {sizing.BUSY:g}" in page


def table_names(page: str, heading: str) -> set[str]:
    """What stands in code in the first column of the tables between a heading and the next."""
    text = (generate_docs.DOCS / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def test_the_tables_of_metrics_have_every_metric() -> None:
    with measured_server(SMALL_BUDGET) as server:
        load(server)
        served = set(re.findall(r"^# TYPE (lossd_\w+)", metrics(server), re.MULTILINE))
    told = {name for name in table_names("server.md", "Seeing what it does") if "lossd_" in name}
    assert told - served <= {"lossd_certificate_expiry_timestamp_seconds"}  # There is no TLS here.
    assert served <= told


def test_the_table_of_the_configuration_has_every_flag() -> None:
    said = subprocess.run([server_binary(), "--help"], capture_output=True, text=True).stdout
    flags = set(re.findall(r"--([a-z]\w*)", said))
    no_fields = {"help", "version", "config", "check", "parent"}
    assert table_names("server.md", "Configuration") == flags - no_fields


def test_every_alert_is_told_of() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/lossd.rules.yaml").read_text())
    alerts = {r["alert"] for group in rules["groups"] for r in group["rules"] if "alert" in r}
    page = (generate_docs.DOCS / "operating.md").read_text()
    assert set(re.findall(r"`(Lossd\w+)`", page)) == alerts
