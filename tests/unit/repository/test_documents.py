"""The files, links and versions that documents name exist."""

from __future__ import annotations

import re
import tomllib

import pytest

from common.paths import CHECKOUT

DECISIONS = sorted((CHECKOUT / "docs/decisions").glob("[0-9]*.md"))
PRESENT = [CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "SECURITY.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *PRESENT]
HEADINGS = ["Context", "Decision", "What was given up", "When to look again"]
FOLDERS = ["clients", "common", "components", "delivery", "docs", "infra", "local", "tests", "workloads", ".github"]


def name_of(file):
    return str(file.relative_to(CHECKOUT))


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_that_exist(file):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("file", PRESENT, ids=name_of)
def test_paths_in_documents_exist(file):
    named = [path for path in re.findall(r"`/?([\w./*-]+/[\w./*-]*)`", file.read_text()) if path.split("/")[0] in FOLDERS]
    assert [path for path in named if not any(CHECKOUT.glob(path.rstrip("/")))] == [], (
        "the document names a path that no longer exists"
    )


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.stem)
def test_a_decision_record_has_its_four_parts(file):
    assert re.findall(r"^## (.+)$", file.read_text(), re.MULTILINE) == HEADINGS


def test_the_index_lists_every_decision_record_by_its_title():
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", (CHECKOUT / "docs/decisions/README.md").read_text(), re.MULTILINE
    )
    found = [re.search(r"^# (\d{4}): (.+)$", file.read_text(), re.MULTILINE).groups() for file in DECISIONS]
    assert listed == [(number, file.name, title) for file, (number, title) in zip(DECISIONS, found, strict=True)]


def test_the_changelog_has_a_section_for_the_projects_version():
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## [{version}] - " in (CHECKOUT / "CHANGELOG.md").read_text()


def test_every_pattern_in_codeowners_matches_a_file():
    lines = (CHECKOUT / ".github/CODEOWNERS").read_text().splitlines()
    patterns = [line.split()[0] for line in lines if line and not line.startswith("#")]
    missing = [each for each in patterns if not any(CHECKOUT.glob(each.strip("/")))]
    assert set(missing) <= {"/workloads/*/approvers.json"}, "`modelstack key --workload` creates the first of these files"
