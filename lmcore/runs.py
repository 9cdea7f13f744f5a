"""The runs that a configuration asks for: expanded, and checked against the user's files.

Nothing here reads an image: the workflow calls it while it builds its graph.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcore.configuration import (
    SIMULATED_VOLUMES,
    check_configuration,
    check_run,
    expand_runs,
    fill_defaults,
)
from lmcore.errors import InputError
from lmcore.particles.executable import find_shapeworks
from lmcore.population.checks import check_classes, check_settings, check_training
from lmcore.population.table import Subject, read_subjects

# Analyses of how far subjects lie from the controls, and the column that says it.
GROUP_SCORES = {"severity": "z", "mean_shapes": "mahalanobis"}
# What every run that trains has a figure of, and the analyses that have one.
FIGURES = ("training", "landmarks", "registration", "importance")
WITH_FIGURE = ("clustering", "classification", "shape_model", *GROUP_SCORES)


@dataclass(frozen=True)
class Run:
    """An experiment, or one of its variants.

    Attributes:
        name: EXPERIMENT or EXPERIMENT/variants/VARIANT.
        settings: its whole configuration, which `run[block]` gives a block of.
        subjects: of the user's table; None for a simulated population.
        is_study: whether only the target `studies` builds it.
    """

    name: str
    settings: Mapping
    subjects: Sequence[Subject] | None
    is_study: bool = False

    def __getitem__(self, block: str) -> object:
        return self.settings[block]

    @property
    def experiment(self) -> str:
        """The experiment whose population the run shares."""
        return self.name.split("/")[0]

    @property
    def is_variant(self) -> bool:
        """Whether it is a variant of an experiment."""
        return self.name != self.experiment

    @property
    def simulation(self) -> str | None:
        """The simulated population, None where a table is given."""
        return self["population"]["simulate"] if self.subjects is None else None

    @property
    def simulates_volumes(self) -> bool:
        """Whether the simulated population is of volumes, with segmentations and surfaces."""
        return self.simulation in SIMULATED_VOLUMES

    @property
    def is_rated(self) -> bool:
        """Whether the simulated population has severities and a sheet of raters."""
        return self.simulation == "cranium"

    @property
    def gives_landmarks(self) -> bool:
        """Whether the table gives landmarks, so that nothing is trained."""
        return self.subjects is not None and self.subjects[0].landmarks_path is not None

    @property
    def origin(self) -> str:
        """Where the images come from and whether test subjects trained, for figures and tables."""
        seen = ""
        if self["training"]["subjects"] != "train":
            seen = ", test subjects trained the encoder, too"
        if self.simulation:
            return f"simulated population ({self.simulation}){seen}"
        table = Path(self["population"]["table"])
        return f"table {table.parent.name}/{table.name}{seen}"

    @property
    def weight_grid(self) -> Mapping | None:
        """The block of lambda's cross-validation, None where lambda is not chosen by it."""
        regularization = self["training"]["regularization"]
        if self["model"]["pretrained"] or not isinstance(regularization, Mapping):
            return None
        return regularization

    @property
    def uses_shapeworks(self) -> bool:
        """Whether ShapeWorks makes the particles."""
        return bool(self["particles"]) and self["particles"]["engine"] == "shapeworks"

    @property
    def analyses(self) -> list[str]:
        """The analyses it asks for, and those that every run has."""
        asked = [key for key, value in self["analyses"].items() if value is not None]
        if self.gives_landmarks:
            return asked
        return ["registration", *asked, *(["group_registration"] if self.group_analysis else [])]

    @property
    def group_analysis(self) -> str | None:
        """The analysis that says how far subjects lie from the controls."""
        return next((key for key in GROUP_SCORES if self["analyses"][key] is not None), None)

    @property
    def figures(self) -> list[str]:
        """The names of its figures."""
        found = [key for key in self.analyses if key in WITH_FIGURE]
        if self.gives_landmarks:
            return found
        found = [*FIGURES, *found, *(["regularization"] if self.weight_grid else [])]
        return found if self.is_variant else ["population", *found]


def paper_figures(runs: Mapping[str, Run]) -> list[int]:
    """The numbers of the paper's figures that the experiments of its names can make."""

    def has(name: str, analysis: str) -> bool:
        return name in runs and analysis in runs[name].analyses

    found = [2] if "diatoms/variants/unregularized" in runs else []
    if has("diatoms", "clustering") and runs["diatoms"].weight_grid:
        found.append(3)
    if has("metopic", "severity"):
        found += [4, 5]
    if has("camfai", "mean_shapes"):
        found += [6, 7, 8] if runs["camfai"]["preprocess"]["region"] else [7, 8]
    return [*found, 9] if "cardiac" in runs else found


def load_runs(
    config: Mapping, schema: Mapping, taken: Sequence[str] = ()
) -> tuple[dict, dict[str, Run]]:
    """Check a configuration and every user's table, and expand experiments into runs.

    Arguments:
        config: as the user wrote it; schema: the JSON schema of it, with the defaults.
        taken: names that no experiment can have, such as those of rules.
    Returns:
        The configuration with all defaults, and each run by its name.
    Raises:
        InputError: for the first fault, naming key, table or file.
    """
    check_configuration(config, schema)
    asked = config.get("experiments", {})
    config = fill_defaults(config, schema)
    expanded = expand_runs(config, schema)
    for name, settings in expanded.items():
        check_run(name, settings)
        if name in taken:
            raise InputError(f"rename the experiment {name}, which is the name of a rule")
    tables = {name: read_table(expanded[name]["population"]) for name in config["run"]}
    runs = {}
    for name, settings in expanded.items():
        experiment, _, variant = name.partition("/variants/")
        variants = config["experiments"][experiment]["variants"]
        study = bool(variant) and variants[variant].get("study", False)
        runs[name] = Run(name, settings, tables[experiment], study)
        check_inputs(runs[name], asked[experiment])
    return config, runs


def rule_names(folder: Path) -> list[str]:
    """The names of the rules in a folder of Snakemake files, none of which a target can have."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.smk")))
    return re.findall(r"^(?:use )?rule (?:\w+ as )?(\w+)", text, re.MULTILINE)


def read_table(population: Mapping) -> Sequence[Subject] | None:
    """The subjects of a user's table, checked; None for a simulated population."""
    if not population["table"]:
        return None
    return read_subjects(population["table"], population["root"], population["class"])


def check_inputs(run: Run, asked: Mapping) -> None:
    """Refuse a run whose files are not there, or whose table does not hold what it asks for.

    Arguments:
        asked: the experiment as the user wrote it, without defaults.
    Raises:
        InputError: naming the key, and the file or the column.
    """
    for key in ("pretrained", "initial_landmarks"):
        path = run["model"][key]
        if path and path != "particles" and not Path(path).is_file():
            raise InputError(f"model.{key} of {run.name}, {path}, does not exist")
    if run.uses_shapeworks:
        particles = run["particles"]
        if not particles["container"] and not particles["module"]:
            find_shapeworks(particles["path"])
    population, subjects = run["population"], run.subjects
    ratings = population["ratings"]
    if ratings and not Path(ratings).is_file():
        raise InputError(f"population.ratings of {run.name}, {ratings}, does not exist")
    if subjects is None:
        return
    check_training(subjects, population["class"], population["control"], population["train_on"])
    person = population["person"]
    if person and person not in subjects[0].labels:
        raise InputError(
            f"experiments.{run.name}.population.person: {population['table']} has no label column "
            f"'{person}'"
        )
    classification = run["analyses"]["classification"]
    if classification:
        check_classes(subjects, population["class"], classification["folds"], person)
    if run.gives_landmarks:
        _check_given(run, asked)
    else:
        _check_images(run)


def _check_images(run: Run) -> None:
    """Refuse a run whose images cannot be prepared or lack the segmentations it asks for."""
    check_settings(run.subjects, run["preprocess"])
    for key, block in (
        ("training.supervision", run["training"]["supervision"]),
        ("analyses.mean_shapes", run["analyses"]["mean_shapes"]),
    ):
        if block is not None and not any(s.segmentation_path for s in run.subjects):
            raise InputError(
                f"experiments.{run.name}.{key} needs a column segmentation in "
                f"{run['population']['table']}"
            )


def _check_given(run: Run, asked: Mapping) -> None:
    """Refuse what has no meaning where the table gives landmarks in place of images."""
    without_meaning = [key for key in asked if key not in ("population", "analyses")]
    if without_meaning:
        raise InputError(
            f"experiments.{run.name}.{without_meaning[0]}: {run['population']['table']} gives "
            "landmarks, from which nothing is trained; leave it out, or name the experiment anew"
        )
