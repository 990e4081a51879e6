"""Tables and lists of facts, wrapped to the terminal's width; unwrapped if stdout is not a terminal."""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from mlperf_docker.display import printable

_GAP = 2
_LONGEST_WORD = 120  # longer ones are broken where a table has to fit


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell, two blanks apart; no borders, so that other programs can cut it too."""
    lines = [tuple(header), *(tuple(map(printable.one_line, row)) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def fitted(
    header: Sequence[str], rows: Iterable[Sequence[str]], columns: int | None, *, order: Sequence[str] = ()
) -> str:
    """Return a table for a terminal of so many *columns*, or for a pipe where that is None.

    order: the names of *header*, the most important first; those for which there is no room are left out, which the
    last line tells. Without it all are shown.
    """
    lines = [tuple(map(printable.one_line, row)) for row in rows]
    if columns is None:
        return table(header, lines)
    cells = dict(zip(header, zip(*lines, strict=True), strict=True)) if lines else dict.fromkeys(header, ())
    chosen = _chosen(order, cells, columns) if order else header
    shown = _rendered({name: cells[name] for name in chosen}, columns)
    absent = [name for name in header if name not in chosen]
    if not absent:
        return shown
    told = f"Not shown: {', '.join(absent)}. A wider terminal, a pipe or --json has them."
    return f"{shown}\n{textwrap.fill(told, columns)}"


def folded(text: str, columns: int | None, indent: int) -> str:
    """Return *text*, a fact on each line, with those that are longer than *columns* going on below the fact.

    Words are never broken: a path can be copied.
    """
    if columns is None:
        return text
    wrapper = textwrap.TextWrapper(
        columns, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(wrapper.fill(line) if " " in line[indent:] else line for line in text.splitlines())


def _chosen(order: Sequence[str], cells: Mapping[str, Sequence[str]], columns: int) -> list[str]:
    """Return those of *order* for which there is room, though it may take cells of several lines; at least one."""
    left = columns + _GAP
    chosen: list[str] = []
    for name in order:
        needed = _narrowest(name, cells[name]) + _GAP
        if needed <= left or not chosen:
            chosen.append(name)
            left -= needed
    return chosen


def _narrowest(name: str, cells: Iterable[str]) -> int:
    return min(max(map(_longest_word, (name, *cells))), _LONGEST_WORD)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _widths(cells: Mapping[str, Sequence[str]], columns: int) -> dict[str, int]:
    """Return the width of each column: that of its longest word, and more for the first ones where there is room."""
    widths = {name: _narrowest(name, column) for name, column in cells.items()}
    room = columns - sum(widths.values()) - _GAP * (len(widths) - 1)
    for name, column in cells.items():
        more = max(0, min(room, max(map(len, (name, *column))) - widths[name]))
        widths[name] += more
        room -= more
    while room < 0 and max(widths.values()) > 1:
        widest = max(widths, key=lambda name: widths[name])
        widths[widest] -= 1
        room += 1
    return widths


def _rendered(cells: Mapping[str, Sequence[str]], columns: int) -> str:
    """Return the table with as many lines to a cell as it takes; only here rich is needed."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="")
    for name, width in _widths(cells, columns).items():
        grid.add_column(Text(name), overflow="fold", width=width)
    for row in zip(*cells.values(), strict=True):
        grid.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


_LONGEST_LINE = 2000


def fact_lines(facts: Iterable[tuple[str, str]], width: int) -> str:
    """A line for each fact, with its name in *width* columns."""
    return "\n".join(
        f"{name + ':' if name else '':<{width}}{printable.shortened(value, _LONGEST_LINE)}" for name, value in facts
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
