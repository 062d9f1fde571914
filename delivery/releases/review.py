"""`modelstack report`: the evidence of a version for its reviewers, as a page and as text for a pull request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clients.model_registry import REPORT, find_version
from common.errors import UserError
from delivery.environments.environment import origin_registry
from delivery.releases import edits
from delivery.releases.report.model import Review, ServedVersion, Split, Traffic, Version
from delivery.releases.stack_editor import find_workload, open_editor
from delivery.stacks import tiers_file
from workloads import evidence

if TYPE_CHECKING:
    from pathlib import Path

    from clients.model_registry import ModelRegistry, ModelVersion
    from delivery.releases.edits import Block
    from delivery.releases.stack_editor import StackEditor

PAGE, LINES = "index.html", "report.md"


def main(workload: str, version: int | None, stack: str, out: Path, *, preview: bool) -> None:
    """Writes the page and the text for a pull request to a folder, and prints the summary line."""
    from delivery.releases.report import document, pull

    declaration, tier = find_workload(workload), tiers_file.resolve(stack)
    editor, registry = open_editor(tier, declaration), origin_registry(tier)
    review = review_of(editor, registry, version, _preview(stack) if preview else None)
    out.mkdir(parents=True, exist_ok=True)
    (out / PAGE).write_text(document.page(review), encoding="utf-8")
    (out / LINES).write_text(pull.markdown(review), encoding="utf-8")
    print(pull.digest_line(review))
    print(f"  page: {out / PAGE}\n  text for a pull request: {out / LINES}")


def review_of(editor: StackEditor, registry: ModelRegistry, version: int | None, preview: str | None) -> Review:
    """Collects all data about a version for its review.

    Args:
        editor: the environment's stack file.
        registry: the model registry with the evidence.
        version: the version; by default the stable version in the stack file, or the newest registered version if the stack
            file has no releases of the workload.
        preview: the preview of the infrastructure, as plain text; None if no preview was run.

    Raises:
        UserError: the version does not exist, or its report does not match what its run recorded.
    """
    block = editor.block
    model = find_version(registry, editor.name, version if version is not None or block is None else int(block["stable"]))
    retained: Block = edits.versions(block).get(model.version, {})
    report, digest = report_of(registry, model)
    stable = _stable(editor, registry, model)
    served = editor.deployed.serves(editor.name, retained.get("image"))
    metrics = stable.report.metrics if stable else None
    return Review(
        version=Version(
            workload=editor.name,
            version=model.version,
            run=model.run,
            data=model.tag("data"),
            revision=model.tag("revision"),
            report=report,
            digest=digest,
            image=retained.get("image"),
            trainer=model.tags.get("trainer"),
            confirmed=model.tags.get("confirmed"),
            approval=f"{retained['approval']['by']}, {retained['approval']['at']}" if "approval" in retained else None,
        ),
        stable=stable,
        findings=editor.workload.gate.check(report.metrics, metrics, report.age(editor.today), served=served),
        environment=editor.stack,
        traffic=_traffic(editor, block),
        preview=preview,
    )


def report_of(registry: ModelRegistry, model: ModelVersion) -> tuple[evidence.Report, str]:
    """Returns the back-test report of a version, and the digest of the report.

    Raises:
        UserError: the report does not match what the run recorded, or cannot be parsed.
    """
    digest, content = registry.report_content(model)
    try:
        return evidence.parse(content), digest
    except evidence.ReportError as error:
        fix = f"train the workload again: modelstack train {model.name}"
        raise UserError(
            "The back-test report cannot be parsed.", where=f"run {model.run}, {REPORT}", found=error, fix=fix
        ) from None


def _stable(editor: StackEditor, registry: ModelRegistry, model: ModelVersion) -> ServedVersion | None:
    """Returns the stable version of the environment with its report.

    Returns None if no version is stable, if the reviewed version itself is stable, or if the report cannot be read.
    """
    deployed = editor.deployed.here.get(editor.name)
    if deployed is None or deployed.version == model.version:
        return None
    stable = registry.version(editor.name, deployed.version)
    if stable is None:
        return None
    try:
        return ServedVersion(version=deployed.version, report=report_of(registry, stable)[0])
    except UserError as error:
        print(f"The page does not compare the version with the stable version: {error}", file=sys.stderr)
        return None


def _traffic(editor: StackEditor, block: Block | None) -> Traffic | None:
    if block is None:
        return None
    deployed = editor.deployed.here.get(editor.name)
    canary: Block = block["canary"] if block.get("canary") else {}
    after = Split(
        stable=block["stable"], canary=canary.get("version"), percent=canary.get("percent", 0), shadow=block.get("shadow")
    )
    before = Split(stable=deployed.version, canary=deployed.canary, percent=deployed.percent) if deployed else None
    return Traffic(before=before, after=after)


def _preview(stack: str) -> str:
    from delivery.stacks.stack import Stack

    return Stack.select(stack).command("preview", "--diff", "--color", "never", "--non-interactive")
