"""The CA bundle that the user's variables name."""

from pathlib import Path

import pytest

from mlperf_docker.system.ca_bundles import CA_VARIABLES, ca_bundle


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_each_variable_may_name_the_bundle(variable: str, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert ca_bundle({variable: str(bundle)}) == (variable, bundle)
    assert ca_bundle({variable: ""}) is None
    assert ca_bundle({variable: str(tmp_path)}) is None, "a folder is no bundle"


def test_the_first_variable_that_names_a_file_counts(tmp_path: Path) -> None:
    for name in CA_VARIABLES[1:]:
        (tmp_path / name).touch()
    environment = {name: str(tmp_path / name) for name in CA_VARIABLES}
    assert ca_bundle(environment) == (CA_VARIABLES[1], tmp_path / CA_VARIABLES[1]), "the first file is not there"
