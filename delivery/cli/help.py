"""The format of the help: plain text. Colours and boxes would need slow imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter  # typer publishes no names for them


class CommandGroup(TyperGroup):
    """A group of commands. Its help shows the complete first paragraph of each command's help."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes the list of commands. Typer's own list truncates each text to one line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.help.split("\n\n")[0]) for name, command in commands if command and command.help]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
