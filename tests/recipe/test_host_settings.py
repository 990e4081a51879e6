"""The host's own network settings, as pip and curl users set them, and how a build's pip reads them."""

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.system.redaction import hidden

PASSWORD = "s3cret%40word"  # noqa: S105  # nobody's


def as_pip_reads(settings: HostSettings) -> dict[str, str]:
    """Read the pip.conf with the parser that pip has: INI, no interpolation."""
    config = configparser.RawConfigParser()
    config.read_string(settings.pip_conf())
    return dict(config["global"])


def test_an_empty_environment_sets_nothing() -> None:
    assert HostSettings.from_environ({}) == HostSettings()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("spelling", [str.upper, str.lower])
def test_a_proxy_in_either_spelling_goes_over_in_both(name: str, spelling: type[str]) -> None:
    settings = HostSettings.from_environ({spelling(name): "http://proxy:3128"})
    assert dict(settings.build_args) == {name: "http://proxy:3128", name.lower(): "http://proxy:3128"}


def test_an_empty_variable_is_none() -> None:
    assert HostSettings.from_environ({"HTTP_PROXY": "", "PIP_INDEX_URL": "", "PIP_CERT": ""}) == HostSettings()


@pytest.mark.parametrize(
    ("variable", "key", "value"),
    [
        ("PIP_INDEX_URL", "index-url", f"https://me:{PASSWORD}@index.test/simple"),
        ("PIP_EXTRA_INDEX_URL", "extra-index-url", "https://one.test/simple"),
        ("PIP_TRUSTED_HOST", "trusted-host", "index.test"),
        ("PIP_NO_INDEX", "no-index", "1"),
        ("PIP_PROXY", "proxy", f"http://me:{PASSWORD}@proxy.test:3128"),
        ("PIP_DEFAULT_TIMEOUT", "timeout", "180"),
    ],
)
def test_each_setting_gets_pips_own_key(variable: str, key: str, value: str) -> None:
    assert as_pip_reads(HostSettings.from_environ({variable: value}))[f"{key}"] == value


def test_a_list_stays_a_list() -> None:
    links = "https://one.test/simple https://two.test/simple"
    read = as_pip_reads(HostSettings.from_environ({"PIP_EXTRA_INDEX_URL": links}))
    assert read["extra-index-url"].split() == links.split()


@pytest.mark.parametrize("variable", ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_is_taken_over_and_pip_is_told(variable: str, tmp_path: Path) -> None:
    bundle = tmp_path / "own.pem"
    bundle.write_bytes(b"-----BEGIN")
    settings = HostSettings.from_environ({variable: str(bundle)})
    assert settings.ca_bundle == b"-----BEGIN"
    assert as_pip_reads(settings)["cert"] == "/run/layer/ca.crt"


def test_pips_own_bundle_comes_before_everybodys(tmp_path: Path) -> None:
    for name in ("pip.pem", "all.pem"):
        (tmp_path / name).write_text(name)
    environment = {"SSL_CERT_FILE": str(tmp_path / "all.pem"), "PIP_CERT": str(tmp_path / "pip.pem")}
    assert HostSettings.from_environ(environment).ca_bundle == b"pip.pem"


def test_pip_itself_reads_all_of_it(tmp_path: Path) -> None:
    environment = {
        "PIP_INDEX_URL": f"https://me:{PASSWORD}@a.test/simple",
        "PIP_EXTRA_INDEX_URL": "https://b.test https://c.test",
    }
    file = tmp_path / "pip.conf"
    file.write_text(HostSettings.from_environ(environment).pip_conf())
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    argv = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(
        argv, env={**bare, "PIP_CONFIG_FILE": str(file)}, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    read = dict(line.split("=", 1) for line in listed.splitlines())
    assert ast.literal_eval(read["global.index-url"]) == environment["PIP_INDEX_URL"]
    assert ast.literal_eval(read["global.extra-index-url"]).split() == environment["PIP_EXTRA_INDEX_URL"].split()
    assert ast.literal_eval(read["global.find-links"]) == "/run/layer/wheels"


def test_find_links_are_told_apart(tmp_path: Path) -> None:
    """A folder becomes a wheelhouse, a page elsewhere stays a link, and what is not there is left out."""
    spaced = tmp_path / "two words"
    spaced.mkdir()
    links = f"{tmp_path} file://{tmp_path}/two%20words https://pages.test/wheels.html {tmp_path}/absent"
    settings = HostSettings.from_environ({"PIP_FIND_LINKS": links})
    assert settings.wheelhouses == (tmp_path, spaced)
    read = as_pip_reads(settings)
    assert read["find-links"].split() == ["/run/layer/wheels", "https://pages.test/wheels.html"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (f"Looking in https://me:{PASSWORD}@index.test/simple", "Looking in https://***@index.test/simple"),
        ("https://token@a.test and http://b:c@d.test", "https://***@a.test and http://***@d.test"),
        ("https://index.test/simple/@scope", "https://index.test/simple/@scope"),
        ("no address", "no address"),
    ],
)
def test_users_and_passwords_are_not_printed(text: str, printed: str) -> None:
    assert hidden(text, {}) == printed
