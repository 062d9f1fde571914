"""How help is written: plain text, which needs none of the imports that colours and boxes need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter  # typer publishes no names for them


class CommandGroup(TyperGroup):
    """A group of commands whose help lists each command with its whole first paragraph."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes the list of commands. Typer's own list cuts each text to what fits into one line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.help.split("\n\n")[0]) for name, command in commands if command and command.help]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
