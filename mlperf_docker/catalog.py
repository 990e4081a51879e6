"""images.yaml → Catalog: parse, validate, complete. After `Catalog.load` nothing asks whether a value is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError

from mlperf_docker import paths, printable, small_file, yaml_lines
from mlperf_docker.errors import UsageError
from mlperf_docker.names import Backend, Device, Precision, Scenario
from mlperf_docker.requirements import canonical
from mlperf_docker.spec import (
    AccuracyTarget,
    BaseImage,
    DatasetSpec,
    Folder,
    Frozen,
    ImageSpec,
    ModelFile,
    ModelSpec,
    Name,
    PythonVersion,
    Url,
)
from mlperf_docker.yaml_lines import Document, Problem, Problems, dotted, shown

_Entry = TypeVar("_Entry", bound=Frozen)

_LARGEST_BYTES = 1_000_000
_PROBLEMS_SHOWN = 50
_LONGEST_MESSAGE = 500
_DEFAULT_BACKEND = Backend.ONNXRUNTIME
_DEFAULT_PRECISIONS = (Precision.FP32,)

Requirement = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[a-z0-9,_-]+\])?((==|>=|<=|~=|<|>)[0-9][A-Za-z0-9.*+]*(,|$))+$")
]
AptPackage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]+$")]
RegistryName = Annotated[str, Field(pattern=r"^[a-z0-9]+([._:/-][a-z0-9]+)*$")]

# Debian's suites that can stand in for a base → the Python they bring. Source: https://packages.debian.org/python3
DEBIAN = {"bookworm": "3.11", "trixie": "3.13"}

# What a pattern means, for people; found by its beginning.
_SHAPES = {
    r"^3\.": 'not a version of Python: write for example "3.11"',
    r"^sha256:": "not a digest: write sha256: and 64 hexadecimal digits",
    r"^[0-9a-f]{32}": "not an MD5 checksum: write 32 hexadecimal digits",
    r"^[0-9a-f]{64}": "not a SHA-256 checksum: write 64 hexadecimal digits",
    r"^https?:": "not an address: write http:// or https://, a host and a path",
    r"^[A-Za-z0-9_]+(/": "not a folder of a library: write for example numpy/**/tests",
    r"^[A-Za-z0-9{]": "not a path below the data set's folder: write names with / between them, none of them hidden",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[": "not a requirement with its versions: write for example numpy>=2.2,<2.5",
}


class _Outline(Frozen):
    """The top level of images.yaml; the sections' entries are looked at one by one, to find all problems."""

    registry: RegistryName
    pythons: tuple[PythonVersion, ...] = Field(min_length=1)
    requirements: tuple[Requirement, ...]
    left_out: dict[Name, tuple[Folder, ...]]
    bases: dict[Name, Any]
    devices: dict[Device, Any]
    backends: dict[Backend, Any]
    datasets: dict[Name, Any]
    models: dict[Name, Any]


class _DeviceEntry(Frozen):
    """`devices.<device>`."""

    base: Name


class _BackendEntry(Frozen):
    """`backends.<backend>`. base: where it is not the device's; index: the maker's own, besides the public one.

    pythons: where its lock serves not all of them.
    """

    requirements: dict[Device, tuple[Requirement, ...]]
    base: dict[Device, Name] = Field(default_factory=dict)
    index: dict[Device, Url] = Field(default_factory=dict)
    pythons: dict[Device, Annotated[tuple[PythonVersion, ...], Field(min_length=1)]] = Field(default_factory=dict)


class _ModelEntry(Frozen):
    """`models.<name>`, with its data set by name. backend_requirements: what it needs on one backend besides."""

    title: str
    loadgen_key: str
    dataset: Name
    scenarios: tuple[Scenario, ...] = Field(min_length=1)
    accuracy: AccuracyTarget
    default_backend: Backend = _DEFAULT_BACKEND
    precisions: dict[Backend, tuple[Precision, ...]] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    backend_requirements: dict[Backend, tuple[Requirement, ...]] = Field(default_factory=dict)
    apt: tuple[AptPackage, ...] = ()
    files: tuple[ModelFile, ...] = ()


_SECTIONS: dict[str, type[Frozen]] = {
    "bases": BaseImage,
    "devices": _DeviceEntry,
    "backends": _BackendEntry,
    "datasets": DatasetSpec,
    "models": _ModelEntry,
}


@dataclass(frozen=True)
class _Entries:
    """Everything in images.yaml, each part valid by itself."""

    outline: _Outline
    bases: Mapping[str, BaseImage]
    devices: Mapping[str, _DeviceEntry]
    backends: Mapping[str, _BackendEntry]
    datasets: Mapping[str, DatasetSpec]
    models: Mapping[str, _ModelEntry]


@dataclass(frozen=True)
class Catalog:
    """The whole table: models in the file's order, and one spec for each model, backend and device."""

    registry: str
    models: tuple[ModelSpec, ...]
    specs: tuple[ImageSpec, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read *path*, by default the tool's own images.yaml. Raises UsageError with every problem and its line."""
        path = path or paths.assets() / "images.yaml"
        try:
            text = small_file.read(path, _LARGEST_BYTES).decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise CatalogError(path, Problems([Problem(line, "not UTF-8")])) from error
        except OSError as error:
            raise UsageError(f"The catalog {path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
        except small_file.UnfitError as error:
            raise UsageError(f"The catalog {path} cannot be read: {error}.") from error
        document = yaml_lines.read(text)
        entries, problems = _validate(document)
        if entries is None or problems:
            raise CatalogError(path, problems)
        return cls(entries.outline.registry, *_complete(entries))


class CatalogError(UsageError):
    """images.yaml has problems; all of them, in the order of their lines."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path, self.problems = path, sorted(set(problems))
        shown = self.problems[:_PROBLEMS_SHOWN]
        lines = "\n".join(f"  {path}:{problem.line}: {problem.message}" for problem in shown)
        total = len(self.problems) + problems.more
        if total > len(shown):
            lines += f"\n  and {total - len(shown):,} more"
        count = f"{total:,} problem{'s' if total > 1 else ''}"
        super().__init__(f"The catalog has {count}:\n{lines}", hint="Correct the lines above and try again.")


def _validate(document: Document) -> tuple[_Entries | None, Problems]:
    """Return the entries and everything that is wrong with them; no entries if a part could not be read."""
    problems = document.problems
    if not isinstance(document.data, dict):
        keys = ", ".join(_Outline.model_fields)
        return None, problems or Problems([Problem(1, f"the file must be a mapping with the keys {keys}")])
    outline = _check(document, _Outline, document.data, (), problems)
    sections: dict[str, dict[str, Any]] = {
        section: _section(document, section, kind, problems) for section, kind in _SECTIONS.items()
    }
    for path, message in _cross_check(document.data):
        problems.note(document.line(path), "{}: {}".format, dotted(path), message)
    return (_Entries(outline, **sections) if outline else None), problems


def _section(document: Document, section: str, kind: type[_Entry], problems: Problems) -> dict[str, Any]:
    """Validate each entry of a section by itself; an entry's name is its key."""
    valid: dict[str, _Entry] = {}
    named = "name" in kind.model_fields
    for (_, name), raw in _select(document.data, section, "*"):
        if named and isinstance(raw, dict) and "name" in raw:
            problems.note(
                document.line((section, name, "name")), "{}: unknown key".format, dotted((section, name, "name"))
            )
        value = {**raw, "name": name} if named and isinstance(raw, dict) else raw
        entry = _check(document, kind, value, (section, name), problems)
        if entry is not None:
            valid[str(name)] = entry
    return valid


def _check(
    document: Document, kind: type[_Entry], raw: object, prefix: yaml_lines.Path, problems: Problems
) -> _Entry | None:
    """Validate *raw* as *kind*; on failure add what is wrong, at its lines, and return None."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            path = prefix + tuple(part for part in each["loc"] if part != "[key]")
            problems.note(document.line(path), _explained, path, each)
        return None


def _explained(path: yaml_lines.Path, error: Mapping[str, Any]) -> str:
    return f"{dotted(path) or 'the file'}: {_explain(error)}"


def _explain(error: Mapping[str, Any]) -> str:
    """Return pydantic's error in the words of this file."""
    match error["type"]:
        case "missing":
            return "missing key"
        case "extra_forbidden":
            return "unknown key"
        case "string_pattern_mismatch":
            pattern = error["ctx"]["pattern"]
            shape = next((text for start, text in _SHAPES.items() if pattern.startswith(start)), "not a valid name")
            return f"{shape} (found {shown(error['input'])})"
        case "model_type" | "dict_type":
            return f"must be a mapping (found {shown(error['input'])})"
        case "value_error":  # of a validator of ours, which says what is wrong and where
            return printable.shortened(str(error["ctx"]["error"]), _LONGEST_MESSAGE)
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]} (found {shown(error['input'])})"


def _cross_check(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield what only shows between entries. Works on the raw data, so that it also sees a file with other problems."""
    yield from _dangling(data)
    yield from _repeated(data)
    yield from _absent(data)
    yield from _unobtainable(data)
    yield from _of_nothing(data)
    yield from _unsuitable(data)
    for path, accuracy in _select(data, "models", "*", "accuracy"):
        values = (
            [accuracy.get(key) for key in ("target", "high_target", "reference")] if isinstance(accuracy, dict) else []
        )
        numbers = [value for value in values if isinstance(value, int | float)]
        if numbers != sorted(numbers):
            yield path, "a target must not be above the reference, nor target above high_target"


def _dangling(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield references to entries that do not exist."""
    references = {
        ("models", "*", "dataset"): "datasets",
        ("devices", "*", "base"): "bases",
        ("backends", "*", "base", "*"): "bases",
    }
    for pattern, section in references.items():
        known = {str(path[-1]): None for path, _ in _select(data, section, "*")}
        names = printable.shortened(", ".join(known) or "nothing", _LONGEST_MESSAGE)
        for path, name in _select(data, *pattern):
            if isinstance(name, str) and name not in known:
                yield path, f"{section} has no {shown(name)}; it has {names}"


def _repeated(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield list items that come twice: scenarios, precisions, requirements, addresses, and files.

    Two files may share a name (ResNet50 has such a pair) if their checksums tell them apart.
    """
    lists = [
        *(("models", "*", key) for key in ("scenarios", "requirements", "apt", "files")),
        ("left_out", "*"),
        *(("models", "*", key, "*") for key in ("precisions", "backend_requirements")),
        ("models", "*", "files", "*", "urls"),
        *(("datasets", "*", key) for key in ("files", "series")),
        *(("datasets", "*", key, "*", "urls") for key in ("files", "series")),
        ("datasets", "*", "series", "*", "items"),
        *(("backends", "*", key, "*") for key in ("requirements", "pythons")),
        ("requirements",),
        ("pythons",),
    ]
    for pattern in lists:
        for path, items in _select(data, *pattern):
            seen: set[str] = set()
            for index, item in enumerate(items if isinstance(items, list) else ()):
                key = f"{item.get('name')} {item.get('md5')}" if isinstance(item, dict) else str(item)
                if key in seen:
                    yield (*path, index), f"duplicate: {_brief(key.removesuffix(' None'))} is already in this list"
                seen.add(key)


def _absent(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield devices and backends without which the matrix would have holes."""
    for path, section in _select(data, "devices"):
        yield from ((path, f"missing key {device}") for device in Device if _lacks(section, device))
    for path, section in _select(data, "backends"):
        yield from ((path, f"missing key {backend}") for backend in Backend if _lacks(section, backend))
    for path, requirements in _select(data, "backends", "*", "requirements"):
        yield from ((path, f"missing key {device}") for device in Device if _lacks(requirements, device))


def _unobtainable(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield requirements with a local version (`2.13.0+cpu`) that nothing says where to find.

    Public indexes take none. Source: packaging.python.org, "Version specifiers", local version identifiers.
    """
    for path, requirement in _select(data, "backends", "*", "requirements", "*", "*"):
        _, backend, _, device, _ = map(str, path)
        known = list(_select(data, "backends", backend, "index", device))
        if isinstance(requirement, str) and "+" in requirement and not known:
            yield (
                path,
                f"the public index cannot have {_brief(requirement)}: name one in backends.{backend}.index.{device}",
            )
    for path, requirement in (
        *_select(data, "requirements", "*"),
        *_select(data, "models", "*", "requirements", "*"),
        *_select(data, "models", "*", "backend_requirements", "*", "*"),
    ):
        if isinstance(requirement, str) and "+" in requirement:
            yield path, f"the public index cannot have {_brief(requirement)}, and only backends have one of their own"


def _of_nothing(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield what would be left out of a requirement that nothing has."""
    wanted = (
        ("requirements", "*"),
        ("backends", "*", "requirements", "*", "*"),
        ("models", "*", "requirements", "*"),
        ("models", "*", "backend_requirements", "*", "*"),
    )
    known = {canonical(str(each)) for pattern in wanted for _, each in _select(data, *pattern)}
    for path, _ in _select(data, "left_out", "*"):
        if path[-1] not in known:
            yield path, f"nothing requires {_brief(str(path[-1]))}"


def _unsuitable(data: object) -> Iterator[tuple[yaml_lines.Path, str]]:
    """Yield suites that cannot stand in for a base, and bases whose Python, or whose stand-in's, has no lock."""
    served = [str(each) for _, each in _select(data, "pythons", "*")]
    for path, suite in _select(data, "bases", "*", "suite"):
        if isinstance(suite, str) and suite not in DEBIAN:
            yield path, f"{suite} is no suite of Debian that can stand in: write {' or '.join(DEBIAN)}"
        elif isinstance(suite, str) and served and DEBIAN[suite] not in served:
            yield path, f"{suite} has Python {DEBIAN[suite]}, and the locks are for {', '.join(served)}"
    for path, python in _select(data, "bases", "*", "python"):
        if isinstance(python, str) and served and python not in served:
            yield path, f"the locks are for Python {', '.join(served)} (found {python!r})"
    for path, python in _select(data, "backends", "*", "pythons", "*", "*"):
        if isinstance(python, str) and served and python not in served:
            yield path, f"only some of {', '.join(served)} can be chosen (found {python!r})"


def _brief(text: str) -> str:
    return printable.shortened(text, _LONGEST_MESSAGE)


def _lacks(section: object, key: str) -> bool:
    return isinstance(section, dict) and key not in section


def _select(data: object, *pattern: str, at: yaml_lines.Path = ()) -> Iterator[tuple[yaml_lines.Path, Any]]:
    """Yield path and value of everything at *pattern*, where `*` is any key or index; other shapes give nothing."""
    if not pattern:
        yield at, data
        return
    head, *rest = pattern
    if head != "*":
        if isinstance(data, dict) and head in data:
            yield from _select(data[head], *rest, at=(*at, head))
        return
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from _select(value, *rest, at=(*at, key))


def _complete(entries: _Entries) -> tuple[tuple[ModelSpec, ...], tuple[ImageSpec, ...]]:
    """Return the models with their data sets in them, and every cell of the matrix, in the file's order of models."""
    models = tuple(_model(name, entry, entries.datasets[entry.dataset]) for name, entry in entries.models.items())
    specs = tuple(
        _cell(entries, model, backend, device) for model in models for backend in Backend for device in Device
    )
    return models, specs


def _model(name: str, entry: _ModelEntry, dataset: DatasetSpec) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=entry.title,
        loadgen_key=entry.loadgen_key,
        dataset=dataset,
        default_backend=entry.default_backend,
        scenarios=entry.scenarios,
        accuracy=entry.accuracy,
        files=entry.files,
    )


def _cell(entries: _Entries, model: ModelSpec, backend: Backend, device: Device) -> ImageSpec:
    entry, on = entries.models[model.name], entries.backends[backend]
    return ImageSpec(
        model=model,
        backend=backend,
        device=device,
        base=entries.bases[on.base.get(device, entries.devices[device].base)],
        pythons=_in_order(on.pythons.get(device, entries.outline.pythons)),
        precisions=entry.precisions.get(backend, _DEFAULT_PRECISIONS),
        apt=entry.apt,
        common_requirements=entries.outline.requirements,
        backend_requirements=on.requirements[device],
        model_requirements=(*entry.requirements, *entry.backend_requirements.get(backend, ())),
        own_index=on.index.get(device),
        left_out=entries.outline.left_out,
    )


def _in_order(pythons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(pythons, key=lambda version: int(version.partition(".")[2])))
