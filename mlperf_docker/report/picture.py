"""Picture: an SVG chart of series, rules and axes, all of it placed, for a template to write."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from mlperf_docker.report.scale import Scale

WIDTH, HEIGHT = 640.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 16.0, 14.0, 46.0
"""Margins in the picture's own units, for the axes' texts."""


class Tone(StrEnum):
    """Colour of a series, by what it says; the page's style sheet has it for light and dark."""

    MAIN = "main"
    SECOND = "second"
    GOOD = "good"
    BAD = "bad"


class Shape(StrEnum):
    """Shape of a series."""

    LINE = "line"
    MARKS = "marks"
    BOTH = "both"
    BARS = "bars"
    """From the point's x, to that of the next; the last point only ends the one before."""


class Point(NamedTuple):
    """A value of a series."""

    x: float
    y: float
    note: str = ""
    """What a reader sees who points at it."""


@dataclass(frozen=True)
class Series:
    """Points that belong together."""

    name: str
    points: tuple[Point, ...]
    shape: Shape = Shape.BOTH
    tone: Tone = Tone.MAIN


@dataclass(frozen=True)
class PictureAxis:
    """An axis: its scale, its label, and how its marks are written."""

    label: str
    scale: Scale
    form: str = "{:g}"
    count: int = 5
    """About how many marks it has."""
    names: tuple[tuple[float, str], ...] = ()
    """Its marks by value, where they are not numbers."""

    def marks(self) -> Iterator[tuple[float, str]]:
        """Position between 0 and 1 and text of each mark."""
        named = self.names or tuple((value, self.form.format(value)) for value in self.scale.marks(self.count))
        return ((self.scale.position(value), text) for value, text in named)


@dataclass(frozen=True)
class Rule:
    """A value that a line marks across the picture, such as a bound."""

    value: float
    label: str
    upright: bool = False
    """Whether it is a value of x."""


class Place(NamedTuple):
    """A point in the picture's units, with its note."""

    x: float
    y: float
    note: str = ""


class Box(NamedTuple):
    """A rectangle in the picture's units, with its note."""

    x: float
    y: float
    width: float
    height: float
    note: str = ""


@dataclass(frozen=True)
class Drawn:
    """A series as the template writes it."""

    series: Series
    places: tuple[Place, ...]
    boxes: tuple[Box, ...]

    @property
    def path(self) -> str:
        """The line through all places, for an SVG polyline; empty for shapes without one."""
        joined = self.series.shape in (Shape.LINE, Shape.BOTH)
        return " ".join(f"{each.x:g},{each.y:g}" for each in self.places) if joined else ""

    @property
    def marked(self) -> tuple[Place, ...]:
        """Places that get a mark."""
        return self.places if self.series.shape in (Shape.MARKS, Shape.BOTH) else ()


@dataclass(frozen=True)
class Picture:
    """A chart. It says nothing that a table or the facts beside it do not say too."""

    title: str
    said: str
    """The same in a sentence, for readers who do not see it."""
    x: PictureAxis
    y: PictureAxis
    series: tuple[Series, ...]
    rules: tuple[Rule, ...] = ()

    width, height = WIDTH, HEIGHT
    left, right = LEFT, WIDTH - RIGHT
    top, bottom = TOP, HEIGHT - BOTTOM

    @property
    def legend(self) -> tuple[Series, ...]:
        """Series that need a name beside the picture: all, where there are several."""
        named = tuple(each for each in self.series if each.name)
        return named if len(named) > 1 else ()

    def drawn(self) -> Iterator[Drawn]:
        """Each series, placed."""
        for series in self.series:
            places = tuple(Place(*self._place(each.x, each.y), each.note) for each in series.points)
            yield Drawn(series, places, tuple(self._boxes(places)) if series.shape is Shape.BARS else ())

    def columns(self) -> Iterator[tuple[float, str]]:
        """Position along the x axis and text of each of its marks."""
        return ((self._across(position), text) for position, text in self.x.marks())

    def rows(self) -> Iterator[tuple[float, str]]:
        """Position along the y axis and text of each of its marks."""
        return ((self._up(position), text) for position, text in self.y.marks())

    def ruled(self) -> Iterator[tuple[Rule, float]]:
        """Each rule with its position."""
        for rule in self.rules:
            scale, place = (self.x.scale, self._across) if rule.upright else (self.y.scale, self._up)
            yield rule, place(scale.position(rule.value))

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return self._across(self.x.scale.position(x)), self._up(self.y.scale.position(y))

    def _across(self, position: float) -> float:
        return round(self.left + position * (self.right - self.left), 2)

    def _up(self, position: float) -> float:
        return round(self.bottom - position * (self.bottom - self.top), 2)

    def _boxes(self, places: tuple[Place, ...]) -> Iterator[Box]:
        for here, after in pairwise(places):
            width = max(0.5, round(after.x - here.x - 1, 2))
            yield Box(here.x, here.y, width, round(self.bottom - here.y, 2), here.note)
