"""The runs that a configuration asks for: expanded, and checked against the user's files.

Nothing here reads an image: the workflow calls it while it builds its graph.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lmcore.configuration import check_configuration, check_run, expand_runs, fill_defaults
from lmcore.errors import InputError
from lmcore.particles.executable import find_shapeworks
from lmcore.population.checks import check_classes, check_settings, check_training
from lmcore.population.table import Subject, read_subjects

Table = Sequence[Subject] | None


def load_runs(
    config: Mapping, schema: Mapping, taken: Sequence[str] = ()
) -> tuple[dict, dict[str, dict], dict[str, Table]]:
    """Check a configuration and every user's table, and expand experiments into runs.

    Arguments:
        config: as the user wrote it; schema: the JSON schema of it, with the defaults.
        taken: names that no experiment can have, such as those of rules.
    Returns:
        The configuration with all defaults; the settings of each run, NAME or
        NAME/variants/VARIANT; and the subjects of each experiment's table, None for a simulated
        population.
    Raises:
        InputError: for the first fault, naming key, table or file.
    """
    check_configuration(config, schema)
    asked = config.get("experiments", {})
    config = fill_defaults(config, schema)
    runs = expand_runs(config, schema)
    for name, run in runs.items():
        check_run(name, run)
        if name in taken:
            raise InputError(f"rename the experiment {name}, which is the name of a rule")
    tables = {name: read_table(runs[name]["population"]) for name in config["run"]}
    for name, run in runs.items():
        experiment = name.split("/")[0]
        check_inputs(name, run, tables[experiment], asked[experiment])
    return config, runs, tables


def read_table(population: Mapping) -> Table:
    """The subjects of a user's table, checked; None for a simulated population."""
    if not population["table"]:
        return None
    return read_subjects(population["table"], population["root"], population["class"])


def check_inputs(name: str, run: Mapping, subjects: Table, asked: Mapping) -> None:
    """Refuse a run whose files are not there, or whose table does not hold what it asks for.

    Arguments:
        asked: the experiment as the user wrote it, without defaults.
    """
    for key in ("pretrained", "initial_landmarks"):
        path = run["model"][key]
        if path and path != "particles" and not Path(path).is_file():
            raise InputError(f"model.{key} of {name}, {path}, does not exist")
    _check_shapeworks(run["particles"])
    population = run["population"]
    ratings = population["ratings"]
    if ratings and not Path(ratings).is_file():
        raise InputError(f"population.ratings of {name}, {ratings}, does not exist")
    if subjects is None:
        return
    check_training(subjects, population["class"], population["control"], population["train_on"])
    person = population["person"]
    if person and person not in subjects[0].labels:
        raise InputError(
            f"experiments.{name}.population.person: {population['table']} has no label column "
            f"'{person}'"
        )
    classification = run["analyses"]["classification"]
    if classification:
        check_classes(subjects, population["class"], classification["folds"], person)
    if subjects[0].landmarks_path:
        _check_given(name, run, asked)
    else:
        _check_images(name, run, subjects)


def _check_images(name: str, run: Mapping, subjects: Sequence[Subject]) -> None:
    """Refuse a run whose images cannot be prepared or lack the segmentations it asks for."""
    check_settings(subjects, run["preprocess"])
    for key, block in (
        ("training.supervision", run["training"]["supervision"]),
        ("analyses.mean_shapes", run["analyses"]["mean_shapes"]),
    ):
        if block is not None and not any(s.segmentation_path for s in subjects):
            raise InputError(
                f"experiments.{name}.{key} needs a column segmentation in "
                f"{run['population']['table']}"
            )


def _check_given(name: str, run: Mapping, asked: Mapping) -> None:
    """Refuse what has no meaning where the table gives landmarks in place of images."""
    without_meaning = [key for key in asked if key not in ("population", "analyses")]
    if without_meaning:
        raise InputError(
            f"experiments.{name}.{without_meaning[0]}: {run['population']['table']} gives "
            "landmarks, from which nothing is trained; leave it out, or name the experiment anew"
        )


def _check_shapeworks(particles: Mapping | None) -> None:
    """Refuse a run that asks for ShapeWorks where there is none."""
    if not particles or particles["engine"] != "shapeworks":
        return
    if not particles["container"] and not particles["module"]:
        find_shapeworks(particles["path"])
