"""pip's configuration files, read as pip reads them."""

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path


def pip_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what pip's own configuration files set, as the variables of the same meaning; later files count.

    Source: pip, "Configuration"; the sections that `pip install` reads.
    """
    found: dict[str, str] = {}
    for path in paths(environment):
        config = configparser.RawConfigParser()
        try:
            config.read(path)
        except (configparser.Error, UnicodeDecodeError):  # pip itself will say so; it is no matter of ours
            continue
        for section in ("global", "install"):
            options = config.items(section) if config.has_section(section) else ()
            found |= {f"PIP_{name.upper().replace('-', '_')}": value for name, value in options}
    if "PIP_TIMEOUT" in found:
        found["PIP_DEFAULT_TIMEOUT"] = found.pop("PIP_TIMEOUT")
    return found


def paths(environment: Mapping[str, str]) -> list[Path]:
    """Return where pip looks for its files, the least important first."""
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # Path's own raises without a home
    everywhere = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    folders = [Path(folder) / "pip" for folder in everywhere.split(":")]
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    paths = [folder / "pip.conf" for folder in (*folders, Path("/etc"), home / ".pip", user, Path(sys.prefix))]
    return [*paths, Path(named)] if named else paths
