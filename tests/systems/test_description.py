"""System descriptions as files: read as text, refused with all problems, turned into systems/<name>.json."""

from pathlib import Path

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.systems import description
from mlperf_docker.systems.description import Software
from mlperf_docker.systems.keys import KEYS
from tests.fixtures.odd_files import ODD_FILES


def written(folder: Path, text: str) -> Path:
    path = folder / "box.yaml"
    path.write_text(text)
    return path


def test_values_of_a_description_are_text_as_it_was_written(tmp_path: Path) -> None:
    text = 'name: big-box_1\naccelerators_per_node: 0\ncooling: no\nhw_notes: 2026-01-02\nsw_notes: 1e3\nstatus: ""\n'
    system = description.load(written(tmp_path, text))
    assert system.name == "big-box_1"
    assert system.values == {
        "accelerators_per_node": "0", "cooling": "no", "hw_notes": "2026-01-02", "sw_notes": "1e3", "status": "",
    }  # fmt: skip


def test_a_description_without_a_name_has_that_of_its_file(tmp_path: Path) -> None:
    assert description.load(written(tmp_path, "cooling: air\n")).name == "box"


@pytest.mark.parametrize("name", ["a b", "../a", ".a", "a/b", "-a", "x" * 101, "ä"])
def test_a_name_that_no_folder_of_results_may_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="which no folder of results may have"):
        description.load(written(tmp_path, f'name: "{name}"\n'))


def test_system_json_has_all_keys_in_order_and_takes_what_the_tree_says(tmp_path: Path) -> None:
    system = description.load(written(tmp_path, "submitter: Old\nfilesystem: ext4\ncooling: air\nnumber_of_nodes: 1\n"))
    made = system.json("closed", "Org", Software("onnxruntime 1.2", "Python 3.11"))
    assert [*made] == [*(key.name for key in KEYS), "filesystem"]
    assert (made["division"], made["submitter"], made["framework"]) == ("closed", "Org", "onnxruntime 1.2")
    assert (made["other_software_stack"], made["number_of_nodes"], made["filesystem"]) == ("Python 3.11", "1", "ext4")
    assert "name" not in made


def test_software_of_the_description_comes_before_that_of_results(tmp_path: Path) -> None:
    made = description.load(written(tmp_path, "framework: own\n")).json("open", "Org", Software("other", "stack"))
    assert (made["framework"], made["other_software_stack"]) == ("own", "stack")


def test_problems_of_form_are_told_together_with_their_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "cooling: [air]\nstatus: a\nstatus: b\nhw_notes: {a: b}\n? [x]\n: y\n")
    with pytest.raises(UsageError) as caught:
        description.load(path)
    assert str(caught.value).splitlines()[1:] == [
        "  line 1: cooling has a list or a mapping in place of text",
        "  line 3: status stands in line 2 already",
        "  line 4: hw_notes has a list or a mapping in place of text",
        "  line 5: a key is a list or a mapping",
    ]


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "a: [b\n", "a: *b\n", "[" * 5000])
def test_text_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"box\.yaml"):
        description.load(written(tmp_path, text))


@pytest.mark.parametrize("kind", [kind for kind in ODD_FILES if kind != "large"])
def test_an_odd_file_is_no_description(tmp_path: Path, kind: str) -> None:
    ODD_FILES[kind](tmp_path / "odd")
    with pytest.raises(UsageError, match="odd"):
        description.load(tmp_path / "odd")
