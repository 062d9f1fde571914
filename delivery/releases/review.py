"""`modelstack report`: what a reviewer reads before a version gets anywhere, as a page and as lines for a pull request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clients.model_registry import REPORT, find_version
from common.errors import UserError
from delivery.environments.environment import origin_registry
from delivery.releases import edits
from delivery.releases.report.model import Review, ServedVersion, Split, Traffic, Version
from delivery.releases.stack_editor import find_workload, open_editor
from workloads import evidence

if TYPE_CHECKING:
    from pathlib import Path

    from clients.model_registry import ModelRegistry, ModelVersion
    from delivery.releases.edits import Block
    from delivery.releases.stack_editor import StackEditor

PAGE, LINES = "index.html", "report.md"


def main(workload: str, version: int | None, stack: str, out: Path, *, preview: bool) -> None:
    """Writes the page and the lines into a folder, and prints the first line."""
    from delivery.releases.report import document, pull

    editor, registry = open_editor(stack, find_workload(workload)), origin_registry(stack)
    review = review_of(editor, registry, version, _preview(stack) if preview else None)
    out.mkdir(parents=True, exist_ok=True)
    (out / PAGE).write_text(document.page(review), encoding="utf-8")
    (out / LINES).write_text(pull.markdown(review), encoding="utf-8")
    print(pull.digest_line(review))
    print(f"  {out / PAGE}, and for a pull request {out / LINES}")


def review_of(editor: StackEditor, registry: ModelRegistry, version: int | None, preview: str | None) -> Review:
    """All that is known of a version: what the stack is to serve unless told, else the newest that is registered.

    Raises:
        UserError: there is no such version, or its report is not what its run recorded.
    """
    block = editor.block
    model = find_version(registry, editor.name, version if version is not None or block is None else int(block["stable"]))
    kept: Block = edits.versions(block).get(model.version, {})
    report, digest = report_of(registry, model)
    stable = _stable(editor, registry, model)
    served = editor.deployed.serves(editor.name, kept.get("image"))
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
            image=kept.get("image"),
            trainer=model.tags.get("trainer"),
            confirmed=model.tags.get("confirmed"),
            approval=f"{kept['approval']['by']}, {kept['approval']['at']}" if "approval" in kept else None,
        ),
        stable=stable,
        findings=editor.workload.gate.check(report.metrics, metrics, report.age(editor.today), served=served),
        environment=editor.stack,
        traffic=_traffic(editor, block),
        preview=preview,
    )


def report_of(registry: ModelRegistry, model: ModelVersion) -> tuple[evidence.Report, str]:
    """A version's back-test report, and its digest.

    Raises:
        UserError: it is not what its run recorded, or cannot be read.
    """
    digest, content = registry.report_content(model)
    try:
        return evidence.parse(content), digest
    except evidence.ReportError as error:
        fix = f"train it anew: modelstack train {model.name}"
        raise UserError("This report cannot be read.", where=f"run {model.run}, {REPORT}", found=error, fix=fix) from None


def _stable(editor: StackEditor, registry: ModelRegistry, model: ModelVersion) -> ServedVersion | None:
    """What answers in the environment now, with its report; None where nothing does, or the version itself does."""
    here = editor.deployed.here.get(editor.name)
    if here is None or here.version == model.version:
        return None
    stable = registry.version(editor.name, here.version)
    if stable is None:
        return None
    try:
        return ServedVersion(version=here.version, report=report_of(registry, stable)[0])
    except UserError as error:
        print(f"Without a comparison with what is stable: {error}", file=sys.stderr)
        return None


def _traffic(editor: StackEditor, block: Block | None) -> Traffic | None:
    if block is None:
        return None
    here = editor.deployed.here.get(editor.name)
    canary: Block = block["canary"] if block.get("canary") else {}
    after = Split(
        stable=block["stable"], canary=canary.get("version"), percent=canary.get("percent", 0), shadow=block.get("shadow")
    )
    return Traffic(before=Split(stable=here.version, canary=here.canary, percent=here.percent) if here else None, after=after)


def _preview(stack: str) -> str:
    from delivery.stacks.stack import Stack

    return Stack.select(stack).command("preview", "--diff", "--color", "never", "--non-interactive")
