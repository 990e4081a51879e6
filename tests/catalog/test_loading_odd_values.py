"""images.yaml with values that cannot be, that grow by aliases, or that are very many: bounded messages, in seconds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.errors import UsageError
from mlperf_docker.system.paths import assets
from tests.fixtures.odd_files import ODD_FILES
from tests.tries import in_time

GOOD = (assets() / "images.yaml").read_text(encoding="utf-8")
NINE = "[x, x, x, x, x, x, x, x, x]"
GROWING = "\n".join([f"a0: &a0 {NINE}", *(f"a{n}: &a{n} {NINE.replace('x', f'*a{n - 1}')}" for n in range(1, 9))])
MANY = 30_000

IMPOSSIBLE = {
    "date": ("registry: 2026-13-45", 1, "is no timestamp"),
    "zone": ("\nregistry: 2026-01-01T00:00:00+99:00", 2, "is no timestamp"),
    "int": ("registry: !!int x", 1, "'x' is no int"),
    "float": ("registry: !!float x", 1, "'x' is no float"),
    "bool": ("registry: !!bool x", 1, "'x' is no bool"),
    "timestamp": ("registry: !!timestamp x", 1, "'x' is no timestamp"),
    "digits": (f"registry: {'9' * 5000}", 1, "a value of 5,000 characters for int"),
    "hexadecimal": (f"registry: 0x{'f' * 50_000}", 1, "characters for int"),
    "tag of ours": ("\n\nregistry: !ours x", 3, "not valid YAML"),
    "not UTF-8": (b"registry: x\nmodels: \xff", 2, "not UTF-8"),
    "NaN": (re.sub(r"target: [0-9.]+", "target: .nan", GOOD, count=1), None, "finite number"),
    "infinite": (re.sub(r"reference: [0-9.]+", "reference: -.inf", GOOD, count=1), None, "finite number"),
}
TOO_MUCH = {
    "aliases": (GROWING, "counting what aliases stand for"),
    "long aliases": (f"a: &a {'x' * 90_000}\nb: [{', '.join(['*a'] * 9000)}]", "counting what aliases stand for"),
    "an alias of itself": ("a: &a [*a]", "does an alias contain itself?"),
    "deep": ("[" * 100_000, "nesting"),
    "nested": (f"a: {'[' * 500}{']' * 500}", "nested more than"),
    "keys": ("\n".join(f"key{n}: {n}" for n in range(MANY)), "more"),
    "the same key": ("\n".join("key: 1" for _ in range(MANY)), "more"),
    "entries": ("\n".join(("models:", *(f"  m{n}:\n    dataset: d{n}" for n in range(9000)), "datasets:")), "more"),
    "a long value": (f"datasets:\n  imagenet2012: {'x' * 500_000}", "must be a mapping"),
    "a long key": (f"datasets:\n  ? {'x' * 500_000}\n  : 1", "must be a mapping"),
    "size": ("#" * 2_000_000, "more than 1,000,000 bytes"),
}


@pytest.mark.parametrize(("content", "line", "said"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_value_that_cannot_be_is_shown_at_its_line(
    content: str | bytes, line: int | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "images.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        Catalog.load(path)
    (found,) = [each for each in str(caught.value).splitlines() if said in each]
    assert line is None or f"images.yaml:{line}: " in found
    assert len(found) < 400


@pytest.mark.parametrize(("text", "said"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_ends_soon_with_a_short_message(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    path.write_text(text, encoding="utf-8")
    script = (
        "import os, pathlib, re, sys\nfrom mlperf_docker.catalog.loading import Catalog\n"
        "from mlperf_docker.errors import UsageError\n"
        "try:\n    Catalog.load(pathlib.Path(sys.argv[1]))\nexcept UsageError as error:\n    print(error)\n"
        # Not ru_maxrss, which begins with what the process had that started this one.
        "peak = re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]\n"
        "print(os.times().user, int(peak) // 1024)"
    )

    def load() -> tuple[str, float, int]:
        argv = [sys.executable, "-c", script, str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        message, _, used = done.stdout.rstrip().rpartition("\n")
        seconds, megabytes = used.split()
        return message, float(seconds), int(megabytes)

    message, _, megabytes = done = in_time(load, lambda found: found[1] < 2)
    assert said in message
    assert len(message) < 12_000
    assert megabytes < 300
    assert done[1] < 2


@pytest.mark.parametrize("kind", ["fifo", "endless", "folder"])
def test_images_yaml_must_be_a_regular_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    ODD_FILES[kind](path)
    with pytest.raises(UsageError, match=r"cannot be read: (it is not a regular file|is a directory)"):
        Catalog.load(path)


def test_an_alias_stands_for_what_it_names() -> None:
    assert "*cases" in GOOD
    assert Catalog.load(assets() / "images.yaml").models
