"""Showing what a demo does, and its result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .result import DemoResult
from .servers import Tell

__all__ = ["print_result", "progress"]

_MARKS = {True: ("✔", "bold green"), False: ("✘", "bold red")}


@contextmanager
def progress(*, quiet: bool) -> Iterator[Tell]:
    """Show what is going on, on the standard error output: a spinner on a terminal, else lines."""
    console = Console(file=sys.stderr, highlight=False, markup=False)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with console.status("") as status:
            yield lambda words: status.update(Text(f"{words} …"))
    else:
        yield lambda words: print(f"{words} …", file=sys.stderr, flush=True)


def print_result(result: DemoResult) -> None:
    """Print the result."""
    # Without a terminal nothing says how wide lines may be; the table needs a little more than the usual 80 columns.
    width = None if sys.stdout.isatty() else 110
    Console(highlight=False, markup=False, width=width).print(_report(result))


def _report(result: DemoResult) -> RenderableType:
    parts: list[RenderableType] = [Text(f"{result.server}, {result.mode}", style="dim"), Text()]
    parts += [
        Text.assemble((f"{sender:>5}  ", "bold cyan" if sender == "alice" else "bold magenta"), text)
        for sender, text in result.conversation
    ]
    parts += [Text(), _checks(result), _numbers(result), Text()]
    failed = sum(not check.passed for check in result.checks)
    if result.passed:
        verdict = Text(f"All {len(result.checks)} checks passed in {result.seconds:.1f} s.", style="bold green")
    else:
        verdict = Text(f"{failed} of {len(result.checks)} checks failed.", style="bold red")
    parts.append(verdict)
    if result.files:
        parts.append(Text("Look and listen: " + ", ".join(str(path) for path in result.files)))
    return Group(*parts)


def _checks(result: DemoResult) -> Table:
    table = Table(box=box.ROUNDED, show_edge=True, header_style="bold")
    table.add_column("")
    table.add_column("")
    table.add_column("check")
    table.add_column("found")
    table.add_column("wanted", style="dim")
    topic = ""
    for check in result.checks:
        if topic and check.topic != topic:
            table.add_section()
        mark, style = _MARKS[check.passed]
        table.add_row(
            Text(mark, style=style),
            Text(check.topic if check.topic != topic else "", style="bold"),
            Text(check.name),
            Text(check.measured, style="" if check.passed else "red"),
            Text(check.wanted),
        )
        topic = check.topic
    return table


def _numbers(result: DemoResult) -> Table:
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2, 0, 1))
    table.add_column(style="dim")
    table.add_column()
    for name, value in result.numbers.items():
        table.add_row(name, Text(value))
    return table
