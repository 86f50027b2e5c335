"""The code in the project's Markdown, for tests that run it."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess

from local_server import ROOT

_FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Snippet:
    """A block of code.

    Attributes:
        page: The file, from the root of the repository.
        line: Of its first line there.
        language: As the fence says; empty for what is no code.
        text: The code.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """All Markdown of the repository, files that are not committed yet included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(page for page in done.stdout.split() if (ROOT / page).exists())


def snippets(*languages: str) -> list[Snippet]:
    """All blocks of these languages; of all without any."""
    found = []
    for page in pages():
        text = (ROOT / page).read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            if not languages or match[2] in languages:
                found.append(Snippet(page, line, match[2], match[3]))
    return found


def by_page(language: str) -> dict[str, list[Snippet]]:
    """The blocks of a language, page by page: later ones go on where earlier ones have ended."""
    pages: dict[str, list[Snippet]] = {}
    for snippet in snippets(language):
        pages.setdefault(snippet.page, []).append(snippet)
    return pages


# What C++ snippets take for granted.
_CPP_HEAD = """\
#include <memory>
#include <string>
#include <vector>

struct Network { at::Tensor forward(const at::Tensor&); };
extern std::shared_ptr<Network> network;
extern at::Tensor image, affinities, segmentation;
extern std::string plan_yaml;
extern absl::StatusOr<lossd::Client> client;
extern absl::StatusOr<lossd::Result> result;
extern lossd::Batch batch, other;
"""
_CPP_MALIS_HEAD = """\
#include <cstdint>
#include <vector>

extern std::vector<float> affinity, weights;
extern std::vector<uint8_t> positive;
extern std::vector<uint32_t> labels;
"""


def cpp_file(page: str, blocks: list[Snippet]) -> pathlib.Path:
    """A source with each of the blocks as a function; written only when it changes, for ccache."""
    includes, functions = set(), []
    for number, block in enumerate(blocks):
        lines = block.text.replace(") ...\n", ") {}\n").splitlines()
        includes |= {line for line in lines if line.startswith("#include")}
        body = "\n".join(line for line in lines if not line.startswith("#include"))
        functions.append(
            f"absl::Status Snippet{number}() {{\n{body}\nreturn absl::OkStatus();\n}}\n"
        )
    head = _CPP_HEAD if any("client.h" in line for line in includes) else _CPP_MALIS_HEAD
    text = "\n".join([*sorted(includes), head, *functions])
    path = ROOT / "build" / "snippets" / f"{pathlib.Path(page).stem}.cc"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path
