"""What mkdocs.yml hooks into MkDocs: files that pages link to become pages, too.

docs/ is read in the repository as well as on the site. A link from there to a file elsewhere, a
source or a folder, leads on the site to a page under source/ that shows it.
"""

from __future__ import annotations

import logging
import pathlib
import posixpath
import re
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))")
LIST = re.compile(r"([-*]|\d+\.) ")
LANGUAGES = {
    ".cc": "cpp",
    ".h": "cpp",
    ".cu": "cpp",
    ".cuh": "cpp",
    ".py": "python",
    ".proto": "protobuf",
}
UNSEARCHED = "---\nsearch: {exclude: true}\n---\n"

# Strict builds fail by what is warned of here.
log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file that a page links to, also for those that these pages link to."""
    waiting = [file for file in files if file.is_documentation_page()]
    while waiting:
        page = waiting.pop()
        for link in _links(page.content_string):
            path = _in_repository(page.src_uri, link)
            if path is None or path.startswith("docs/"):
                continue
            uri = _page_of(path)
            if uri is None:
                log.warning("%s links to %s, which is not there", page.src_uri, path)
            elif files.get_file_from_path(uri) is None:
                file = File.generated(config, uri, content=_content(path))
                files.append(file)
                waiting.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Has links lead to pages of the site, and lists begin where GitHub has them begin."""
    uri = page.file.src_uri

    def to_page(match: re.Match[str]) -> str:
        link = match[0]
        path = _in_repository(uri, link)
        if path is None:
            return link
        target = path.removeprefix("docs/") if path.startswith("docs/") else _page_of(path)
        anchor = urlsplit(link).fragment
        relative = posixpath.relpath(target or path, posixpath.dirname(uri) or ".")
        return f"{relative}#{anchor}" if anchor else relative

    lines: list[str] = []
    for line, is_code in _lines(markdown):
        if is_code:
            lines.append(line)
            continue
        before = lines[-1] if lines else ""
        if LIST.match(line) and before and not LIST.match(before) and not before.startswith("  "):
            lines.append("")
        lines.append(LINK.sub(to_page, line))
    return "\n".join(lines)


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """The lines, and whether they are of a block of code."""
    fence = ""
    for line in markdown.split("\n"):
        found = re.match(r"`{3,}", line)
        if found and not fence:
            fence = found[0]
            yield line, True
        else:
            yield line, bool(fence)
            if found and found[0] == line.strip() == fence:
                fence = ""


def _links(markdown: str) -> list[str]:
    return [link for line, code in _lines(markdown) if not code for link in LINK.findall(line)]


def _in_repository(uri: str, link: str) -> str | None:
    """The path in the repository that a page's link leads to; none of links elsewhere."""
    parts = urlsplit(link)
    if parts.scheme:
        if parts.scheme not in ("http", "https") or "." not in parts.netloc:
            log.warning("%s links to %s, which is no address", uri, link)
        return None
    if not parts.path:
        return None
    here = uri.removeprefix("source/") if uri.startswith("source/") else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), parts.path))


def _page_of(path: str) -> str | None:
    """The page that shows a file or folder of the repository; none if it is not there."""
    if (ROOT / path).is_dir():
        return posixpath.normpath(f"source/{path}/README.md")
    if (ROOT / path).is_file():
        return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"
    return None


def _content(path: str) -> str:
    file = ROOT / path
    if file.is_dir():
        readme = file / "README.md"
        head = readme.read_text() if readme.exists() else f"# {path}"
        listed = subprocess.run(
            ["git", "ls-files", "--", path], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return f"{UNSEARCHED}{head}\n\n```\n{listed}```\n"
    if path.endswith(".md"):
        return file.read_text()
    language = LANGUAGES.get(file.suffix, "")
    return f"{UNSEARCHED}# {path}\n\n``````{language}\n{file.read_text()}\n``````\n"
