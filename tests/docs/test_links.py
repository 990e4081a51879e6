"""Links of the pages: to files and headings that there are."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, links, prose

FOLDERS = ("mlperf_docker", "tests", "benchmarks", "templates", "dockerfiles", "locks", "docs")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    local = [link.partition("#") for link in links(page) if "://" not in link]
    for name, _, fragment in local:
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), name
        assert target.is_relative_to(ROOT)
        assert not fragment or fragment in anchors(target), f"{name}#{fragment}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_the_repository_exists(page: Path) -> None:
    """Paths in code spans, such as `tests/cells`; `*` stands for any name."""
    for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./*-]*)`", prose(page)):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_the_index_has_every_page() -> None:
    linked = {link for link in links(ROOT / "docs/README.md") if "/" not in link}
    assert linked == {page.name for page in PAGES if page.parent == ROOT / "docs"} - {"README.md"}


def test_links_and_headings_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page: of `words`\n[one](a.md#b) ![two](c.png)\n```\n[no](d.md)\n# no\n```\n`[no](e.md)`\n")
    assert links(page)[:2] == ["a.md#b", "c.png"]
    assert anchors(page) == {"a-page-of-words"}
