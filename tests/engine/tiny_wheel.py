"""The smallest wheels that pip and uv take, and an index that offers them."""

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote


def make(
    folder: Path,
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    needs: str = "",
    python: str = "",
    more: dict[str, str] | None = None,
) -> Path:
    """Write the wheel of a package with one empty module into *folder*; equal arguments give equal bytes.

    needs, python: what it requires; more: other files besides, path → text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Python: {python}\n" if python else ""
    files = {
        f"{module}/__init__.py": "",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/top_level.txt": f"{module}\n",
        **(more or {}),
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


def digest(wheel: Path) -> str:
    return f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def pin(wheel: Path) -> str:
    """Return the wheel as a locked requirement."""
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version} \\\n    --hash={digest(wheel)}\n"


def offer(index: Path, wheel: Path) -> Path:
    """Copy *wheel* into the package index in the folder *index*, onto the page of its project; return the copy."""
    folder = index / wheel.name.partition("-")[0]
    folder.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(wheel, folder))
    links = (
        f'<a href="{quote(each.name)}#{digest(each).replace(":", "=")}">{each.name}</a>'
        for each in sorted(folder.glob("*.whl"))
    )
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
    return copy


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve *folder* on the loopback address: its URL, and the paths that were asked for so far."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
