"""Reading of a cell of campaign.yaml: checked against the catalog and the round."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns import options as campaign_options
from mlperf_docker.campaigns import slurm as slurm_settings
from mlperf_docker.campaigns.cells import CampaignCell, CellScenario
from mlperf_docker.campaigns.entries import CellEntry, EntryPart, parts_of
from mlperf_docker.campaigns.frame import Frame
from mlperf_docker.campaigns.noting import Noting
from mlperf_docker.campaigns.options import CampaignOptions
from mlperf_docker.campaigns.slurm import SlurmSettings
from mlperf_docker.catalog import yaml_lines
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import UnknownNameError, find
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.words import Scenario
from mlperf_docker.images.sources import PinnedImage
from mlperf_docker.recipe.reference_layer import reference_of
from mlperf_docker.reference_contract.commands import refused
from mlperf_docker.rounds import loading as rounds
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.runs import profile as profiles
from mlperf_docker.runs.profile import Profile


def options(noting: Noting, raw: Mapping[str, Any], at: yaml_lines.Path, spec: ImageSpec | None) -> CampaignOptions:
    """Return the options that *raw* gives for runs of *spec*, None for those of all cells."""
    found, problems = campaign_options.given(raw, spec.model if spec else None)
    for name, message in problems:
        noting.note((*at, name), message)
    return found


def slurm(noting: Noting, raw: Mapping[str, Any], at: yaml_lines.Path) -> SlurmSettings:
    """Return the settings of Slurm jobs that *raw* gives."""
    found, problems = slurm_settings.given(raw)
    for name, message in problems:
        noting.note((*at, name), message)
    return found


@dataclass(frozen=True)
class SharedByCells:
    """Part of the file that its cells share."""

    frame: Frame
    options: CampaignOptions
    reference: Path | None = None
    """Folder of the checkout."""


def read(noting: Noting, raw: object, index: int, shared: SharedByCells) -> CampaignCell | None:
    """Return the cell at *index*, or None where it cannot be understood."""
    at: yaml_lines.Path = ("cells", index)
    entry = noting.entry(CellEntry, raw, at)
    if entry is None:
        return None
    spec = noting.attempt((*at, "model"), lambda: find(Catalog.load(), entry.model, entry.backend, entry.device))
    return _CellReading(noting, at, entry, spec, shared).cell() if spec else None


@dataclass(frozen=True)
class _CellReading:
    """Reads one cell; what is wrong becomes problems."""

    noting: Noting
    at: yaml_lines.Path
    entry: CellEntry
    spec: ImageSpec
    shared: SharedByCells

    @property
    def frame(self) -> Frame:
        """Division and suite."""
        return self.shared.frame

    def cell(self) -> CampaignCell:
        """Return the cell, with what is wrong with it noted."""
        entry, noting = self.entry, self.noting
        if entry.precision not in self.spec.precisions:
            wrong = UnknownNameError(f"precision of {self.spec}", entry.precision.value, self.spec.precisions)
            self._note(str(wrong), "precision")
        cell = CampaignCell(
            spec=self.spec,
            precision=entry.precision,
            scenarios=self._scenarios(self._benchmarks()),
            parts=self._parts(),
            dataset=noting.folder((*self.at, "dataset"), entry.dataset),
            model_file=noting.file((*self.at, "model_file"), entry.model_file),
            user_conf=noting.file((*self.at, "user_conf"), entry.user_conf),
            image=noting.attempt((*self.at, "image"), self._image),
            slurm=slurm(noting, entry.slurm, (*self.at, "slurm")),
            harness=entry.harness,
            reference=noting.folder((*self.at, "reference"), entry.reference) or self.shared.reference,
        )
        self._check_reference(cell)
        self._no_data_beside_synthetic_ones(cell)
        if EntryPart.COMPLIANCE in entry.modes and not set(EntryPart) <= {*entry.modes}:
            self._note("compliance tests are held to accuracy and performance runs: name these, too", "modes")
        return self._with_profiles(cell)

    def _parts(self) -> tuple[EntryPart, ...]:
        """Return what is run of each scenario: by default all that the harness has."""
        return self.entry.modes if "modes" in self.entry.model_fields_set else parts_of(self.entry.harness)

    def _check_reference(self, cell: CampaignCell) -> None:
        """Note what the reference implementation does not have, or that there is none of the cell."""
        if not cell.is_reference:
            if self.entry.reference is not None:
                self._note("a checkout is for `harness: reference`: write that, too", "reference")
            return
        found = self.noting.attempt((*self.at, "harness"), lambda: reference_of(self.spec))
        if EntryPart.COMPLIANCE in cell.parts:
            self._note("no reference implementation has compliance tests: leave compliance out", "modes")
        if self.entry.profile:
            self._note("a profile is tuned for our own harness", "profile")
        precisions = found[1].precisions if found else self.spec.precisions
        told = (refusal for each in cell.scenarios for refusal in refused(each.options, precisions))
        for refusal in dict.fromkeys(told):
            self._note(refusal, "options")

    def _image(self) -> PinnedImage | None:
        return PinnedImage.read(self.entry.image, self.spec.model.name) if self.entry.image else None

    def _benchmarks(self) -> tuple[RoundBenchmark, ...]:
        """Return the benchmarks that the cell enters; none, with a problem, where the round takes none of them."""
        model, round_ = self.spec.model.name, self.frame.round
        of_model = round_.benchmarks_of(model)
        taken = tuple(each for each in of_model if self.frame.takes(each))
        if not of_model:
            self._note(str(rounds.NotInRoundError(rounds.load(), round_, model)), "model")
        elif not taken:
            self._note(self.frame.not_taken(model, of_model), "model")
        wanted = self.entry.benchmarks
        if wanted is None or not taken:
            return taken
        names = [each.name for each in taken]
        for index, name in enumerate(wanted):
            if name not in names:
                wrong = UnknownNameError(f"benchmark of {model} in {round_.name}", name, names)
                self._note(str(wrong), "benchmarks", index)
        return tuple(each for each in taken if each.name in wanted)

    def _scenarios(self, benchmarks: tuple[RoundBenchmark, ...]) -> tuple[CellScenario, ...]:
        required = {each for benchmark in benchmarks for each in self.frame.required(benchmark)}
        wanted = self.entry.scenarios or tuple(each for each in Scenario if each in required)
        if benchmarks:
            self._of_the_round((*wanted, *self.entry.scenario_options), benchmarks)
        given = options(self.noting, self.entry.options, (*self.at, "options"), self.spec).over(self.shared.options)
        return tuple(self._scenario(each, benchmarks, given) for each in wanted)

    def _scenario(
        self, scenario: Scenario, benchmarks: tuple[RoundBenchmark, ...], given: CampaignOptions
    ) -> CellScenario:
        place = (*self.at, "scenario_options", scenario.value)
        own = options(self.noting, self.entry.scenario_options.get(scenario, {}), place, self.spec).over(given)
        of = tuple(each for each in benchmarks if scenario in self.frame.scenarios(each))
        run_options = own.options(precision=self.entry.precision, scenario=scenario)
        for refusal in run_options.contradictions():
            self._note(f"{scenario}: {refusal}", "scenario_options", scenario.value)
        return CellScenario(scenario, of, run_options, own.limited())

    def _of_the_round(self, wanted: Iterable[Scenario], benchmarks: tuple[RoundBenchmark, ...]) -> None:
        """Note the scenarios that entries of the round do not have."""
        allowed = {each for benchmark in benchmarks for each in self.frame.scenarios(benchmark)}
        names = ", ".join(each for each in Scenario if each in allowed)
        for scenario in dict.fromkeys(wanted):
            if scenario not in allowed:
                listed = self.entry.scenarios or ()
                key = (
                    ("scenarios", listed.index(scenario))
                    if scenario in listed
                    else ("scenario_options", scenario.value)
                )
                whose = f"{self.entry.model} on {self.frame.suite} systems"
                self._note(f"{self.frame.round.name} has no {scenario} of {whose}; it has {names}", *key)

    def _with_profiles(self, cell: CampaignCell) -> CampaignCell:
        """Return *cell* with each profile at the scenario that it was tuned for."""
        tuned: dict[Scenario, Profile] = {}
        for index, name in enumerate(self.entry.profile or ()):
            profile = self.noting.attempt((*self.at, "profile", index), lambda name=name: self._profile(name))  # type: ignore[misc]
            if profile is None:
                continue
            wrong = _unsuitable(profile, cell, tuned)
            if wrong:
                self._note(f"the profile {profile.name} {wrong}", "profile", index)
            tuned.setdefault(profile.scenario, profile)
        return replace(
            cell, scenarios=tuple(replace(each, profile=tuned.get(each.scenario)) for each in cell.scenarios)
        )

    def _profile(self, name: str) -> Profile:
        """Return the profile *name*: one of this host, or a file as seen from the campaign's folder."""
        is_file = "/" in name or name.endswith(profiles.SUFFIX)
        return profiles.find(str(self.noting.below(name)) if is_file else name)

    def _no_data_beside_synthetic_ones(self, cell: CampaignCell) -> None:
        if any(each.options.synthetic for each in cell.scenarios):
            for key in ("dataset", "model_file"):
                if getattr(cell, key) is not None:
                    self._note("a synthetic run makes its own data and weights", key)

    def _note(self, message: str, *key: int | str) -> None:
        self.noting.note((*self.at, *key), message)


def _unsuitable(profile: Profile, cell: CampaignCell, others: Mapping[Scenario, Profile]) -> str | None:
    """Say why *profile* cannot be used in *cell*, or None. others: the cell's profiles by scenario."""
    if (profile.cell, profile.precision) != (str(cell.spec), cell.precision):
        return f"is for {profile.cell} {profile.precision}, not {cell}"
    if profile.scenario not in [each.scenario for each in cell.scenarios]:
        return f"is for {profile.scenario}, which is not run here"
    if profile.scenario in others:
        return f"is for {profile.scenario}, as {others[profile.scenario].name} is"
    return None
