"""The tier of a stack, as the commands resolve it: once, where a command begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.stacks import stack_file
from infra.tiers import loading

if TYPE_CHECKING:
    from infra.tiers.model import StackTier


def resolve(stack: str) -> StackTier:
    """Returns a stack with its tier and its source.

    Raises:
        UserError: there is no such stack file, or no tier lists the stack. The Pulumi program refuses it with the same words.
    """
    stack_file.read(stack_file.path_of(stack))  # a misspelled name is answered with the names of the stack files
    return loading.resolve(stack)
