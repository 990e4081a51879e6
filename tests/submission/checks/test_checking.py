"""Check of whole trees: nothing is found in a good one, and each spoilt one is refused for what was spoilt."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.rounds import loading
from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.rounds.words import Division, Suite
from mlperf_docker.submission.checks import checking
from tests.fixtures.submission_trees import TreeRecipe, Trees
from tests.rounds import upstream
from tests.submission import upstream_checkers
from tests.submission.spoilt_trees import SPOILT, Base, Spoilt

ROUNDS = ("v6.1", "v5.1")
_HAS_CHECKOUT = bool(os.environ.get(upstream.VARIABLE))
Copied = Callable[[str], Base]


@pytest.fixture(scope="module")
def bases(trees: Trees, rounds: Rounds, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    """The base tree of each round."""
    recipes = {name: TreeRecipe(rounds.find(name)) for name in ROUNDS}
    return {name: Base(trees.build(tmp_path_factory.mktemp(name), each), each) for name, each in recipes.items()}


@pytest.fixture
def copied(bases: dict[str, Base], tmp_path: Path) -> Copied:
    """Give a copy of a round's base tree."""
    return lambda name: Base(Path(shutil.copytree(bases[name].root, tmp_path / "tree")), bases[name].recipe)


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("division", Division)
@pytest.mark.parametrize("name", loading.load().names)
def test_a_whole_tree_has_no_findings(
    trees: Trees, rounds: Rounds, tmp_path: Path, name: str, division: Division, suite: Suite
) -> None:
    round_ = rounds.find(name)
    taken = [each for each in round_.benchmarks if each.required(suite) and division in each.divisions]
    recipe = TreeRecipe(round_, division, suite, tuple(each.name for each in taken))
    verdict = checking.check(trees.build(tmp_path, recipe), rounds)
    assert verdict.findings == ()
    assert (verdict.round.name, verdict.passes, verdict.synthetic) == (name, True, False)
    assert verdict.entries == sum(len(each.required(suite)) for each in taken)
    if _HAS_CHECKOUT and name in ROUNDS:
        assert upstream_checkers.new(tmp_path, name).accepted


@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda spoilt: spoilt.name)
@pytest.mark.parametrize("name", ROUNDS)
def test_a_spoilt_tree_is_refused_for_what_was_spoilt(
    copied: Copied, rounds: Rounds, name: str, spoilt: Spoilt
) -> None:
    base = copied(name)
    spoilt.spoil(base)
    verdict = checking.check(base.root, rounds, name)
    assert spoilt.fault in {finding.fault for finding in verdict.errors}, verdict.findings


@pytest.mark.skipif(not _HAS_CHECKOUT, reason="MLPERF_INFERENCE names no checkout of upstream's checker")
@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda spoilt: spoilt.name)
@pytest.mark.parametrize("name", ROUNDS)
def test_upstreams_verdict_on_a_spoilt_tree_is_the_known_one(copied: Copied, name: str, spoilt: Spoilt) -> None:
    base = copied(name)
    spoilt.spoil(base)
    assert upstream_checkers.new(base.root, name).accepted is not spoilt.upstream
    if not base.recipe.round.layout.is_separate:  # the only layout that the old one knows today
        assert upstream_checkers.old(base.root, name).accepted is not spoilt.upstream_old
