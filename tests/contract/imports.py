"""Imports between the modules of a package, read from their source: nothing runs, so no branch can hide one."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BY_A_VARIABLE = "?"
"""Stands for the imported module where `import_module` is given no literal."""

Floors = Sequence[Mapping[str, Sequence[str]]]
"""Floors of rooms, the lowest first: the name of a room → the modules in it, or packages, by dotted name."""


@dataclass(frozen=True, order=True)
class Import:
    """Import statement. imported: a module, the package's own or a foreign one; for_types: below `if TYPE_CHECKING`."""

    importer: str
    imported: str
    line: int
    for_types: bool = False

    @property
    def pair(self) -> tuple[str, str]:
        """Who imports whom."""
        return self.importer, self.imported


def modules(root: Path) -> dict[str, Path]:
    """The modules of the package in the folder *root* by dotted name, packages among them."""
    paths = {path: path.relative_to(root.parent).with_suffix("").parts for path in sorted(root.rglob("*.py"))}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in paths.items()}


def imports(root: Path) -> tuple[Import, ...]:
    """Every import of the package in the folder *root*, wherever in a module it is."""
    known = modules(root)
    return tuple(found for name, path in known.items() for found in _Reader(name, path, known).read())


class _Reader:
    """Reads one module."""

    def __init__(self, name: str, path: Path, known: Iterable[str]) -> None:
        self._name, self._path, self._known = name, path, frozenset(known)
        self._package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def read(self) -> Iterator[Import]:
        tree = ast.parse(self._path.read_text(encoding="utf-8"))
        loaders = {"import_module", "__import__", *_aliases(tree)}
        found = list(self._within(tree, loaders, for_types=False))
        yield from found
        if any(each.imported == BY_A_VARIABLE for each in found):  # its words come from a table, and that is here
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and node.value in self._known:
                    yield Import(self._name, str(node.value), node.lineno)

    def _within(self, node: ast.AST, loaders: set[str], *, for_types: bool) -> Iterator[Import]:
        for name in self._named(node, loaders):
            yield Import(self._name, name, getattr(node, "lineno", 0), for_types)
        typed = _typed_branch(node)
        for child in ast.iter_child_nodes(node):
            yield from self._within(child, loaders, for_types=for_types or child in typed)

    def _named(self, node: ast.AST, loaders: set[str]) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = self._absolute("." * level + (module or ""))
                inner = (f"{base}.{each.name}" for each in names)
                yield from (name if name in self._known else base for name in inner)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in loaders:
                yield self._loaded(node)

    def _loaded(self, call: ast.Call) -> str:
        names = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
        match names:
            case [ast.Constant(value=str(text))]:
                return self._absolute(text)
        return BY_A_VARIABLE

    def _absolute(self, name: str) -> str:
        """The dotted name without leading dots: one is this package, each more is one further up."""
        rest = name.lstrip(".")
        up = len(name) - len(rest)
        if not up:
            return name
        parts = self._package.split(".")
        return ".".join((*parts[: len(parts) - up + 1], *([rest] if rest else [])))


def _aliases(tree: ast.AST) -> set[str]:
    """Other names that a module gives to `importlib.import_module`."""
    froms = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "importlib")
    return {each.asname for node in froms for each in node.names if each.name == "import_module" and each.asname}


def _typed_branch(node: ast.AST) -> Sequence[ast.AST]:
    """What of an `if` only type checkers read; nothing of other statements."""
    match node:
        case ast.If(test=ast.UnaryOp(op=ast.Not(), operand=test), orelse=branch) if _is_type_checking(test):
            return branch
        case ast.If(test=test, body=branch) if _is_type_checking(test):
            return branch
    return ()


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def is_in(module: str, package: str) -> bool:
    """Whether *module* is *package* or in it."""
    return module == package or module.startswith(f"{package}.")


def crossings(found: Iterable[Import], inner: str, shared: Sequence[str]) -> list[Import]:
    """Imports between the package *inner* and the rest of the package around it, in either direction.

    shared: modules that both may import, and that import neither.
    """
    root = inner.partition(".")[0]

    def side(module: str) -> str:
        return "shared" if module in shared else "inner" if is_in(module, inner) else "outer"

    own = [each for each in found if is_in(each.imported, root)]
    return [each for each in own if side(each.imported) not in ("shared", side(each.importer))]


def foreign(found: Iterable[Import], root: str) -> dict[str, list[Import]]:
    """Packages that are not *root*'s own → where they are imported."""
    packages: dict[str, list[Import]] = {}
    for each in found:
        if not is_in(each.imported, root) and each.imported != BY_A_VARIABLE:
            packages.setdefault(each.imported.partition(".")[0], []).append(each)
    return packages


def circles(found: Iterable[Import]) -> list[frozenset[str]]:
    """Sets of modules that import each other, by way of others too. An import of a.b runs a, too."""
    graph: dict[str, set[str]] = {}
    for each in found:
        parts = each.imported.split(".")
        run = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        graph.setdefault(each.importer, set()).update(
            name for name in run if name == each.imported or not is_in(each.importer, name)
        )
    reached = {module: _reached(module, graph) for module in graph}
    rings = {
        frozenset(other for other in reached[module] if module in reached.get(other, ()))
        for module in graph
        if module in reached[module]
    }
    return sorted(rings, key=sorted)


def _reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def room_of(module: str, floors: Floors) -> tuple[int, str] | None:
    """The floor and the room of *module*, by the longest name that fits; None if it has none."""
    fitting = [
        (len(name), floor, room)
        for floor, rooms in enumerate(floors)
        for room, names in rooms.items()
        for name in names
        if is_in(module, name)
    ]
    return max(fitting)[1:] if fitting else None


def upward(found: Iterable[Import], floors: Floors) -> set[tuple[str, str]]:
    """Imports from one room into another that is not on a lower floor."""
    pairs = {each.pair for each in found}
    return {pair for pair in pairs if _is_upward(*(room_of(module, floors) for module in pair))}


def _is_upward(importer: tuple[int, str] | None, imported: tuple[int, str] | None) -> bool:
    if importer is None or imported is None or importer == imported:
        return False
    return imported[0] >= importer[0]
