"""Functions for the rules: configuration, paths, code digests. No rule lives here."""

import hashlib
import json
import re
import sys
from pathlib import Path

import yaml

from lmcore.configuration import expand_studies, particle_count
from lmcore.digest import source_digest
from lmcore.errors import InputError
from lmcore.particles.executable import find_shapeworks
from lmcore.runs import GROUP_SCORES, load_runs, paper_figures, rule_names
from lmcore.seeds import derive_seed

BASE = Path(workflow.basedir)
TIMED = ["model", "landmarks"]  # the folders of the stages that say how long they took

try:
    with open(BASE / "schemas/config.schema.yaml", encoding="utf-8") as file:
        schema = yaml.safe_load(file)
    complete, RUNS = load_runs(config, schema, rule_names(BASE / "rules"))
    config.update(complete)
    config["studies"] = expand_studies(config, RUNS)
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def setting(path):
    """A function of the wildcards that looks up `block/key` in the run's configuration."""

    def look_up(wildcards):
        value = run_of(wildcards)
        for key in path.split("/"):
            value = value[key]
        return value

    return look_up


def per_attempt(amount):
    """A function of the attempt: `8GB` or `2h` at first, a retry gets it once more.

    Only `--retries`, as in profiles/slurm, makes a second attempt.
    """
    number, unit = re.fullmatch(r"(\d+)(\w+)", amount).groups()
    return lambda wildcards, attempt: f"{attempt * int(number)}{unit}"


def run_of(wildcards):
    """The run that a file belongs to; of a population the experiment."""
    return RUNS[wildcards.get("run", wildcards.get("experiment"))]


def folder_of(wildcards):
    """The folder that a run shares with its experiment: population, truth and particles."""
    return f"<results>/{run_of(wildcards).experiment}"


def origin_of(wildcards):
    return run_of(wildcards).origin


STAGES = []  # those that ask for a seed, as the rules are read


def seed_of(stage):
    """A function of the wildcards: the stage's seed, shared by an experiment's variants."""
    STAGES.append(stage)
    return lambda wildcards: stage_seed(run_of(wildcards), stage)


def stage_seed(run, stage):
    own = [run["training"]["seed"]] if stage == "training" else []
    return derive_seed(config["seed"], run.experiment, stage, *own)


def all_seeds(wildcards):
    """Run -> stage -> seed; of a variant those that are not its experiment's."""
    return {
        name: {
            stage: stage_seed(run, stage)
            for stage in sorted(set(STAGES))
            if stage == "training" or not run.is_variant
        }
        for name, run in RUNS.items()
    }


def digest_of_settings(settings):
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(wildcards):
    """Digest of all settings that decide a population."""
    run = run_of(wildcards)
    return digest_of_settings([run["population"], run["preprocess"], config["seed"]])


def code(script, *modules):
    """Digest of a rule's script and of all it imports from lmcore; see lmcore/digest.py."""
    return source_digest(BASE / "workflow_scripts" / f"{script}.py", *modules)


def population_of(wildcards):
    """population.h5, or nothing where landmarks are given."""
    if run_of(wildcards).gives_landmarks:
        return []
    return f"{folder_of(wildcards)}/population.h5"


def subjects_of(wildcards):
    return f"{folder_of(wildcards)}/subjects.csv"


def ratings_of(wildcards):
    """The sheet of raters: the user's, or the simulated one."""
    run = run_of(wildcards)
    if run.is_rated:
        return f"{folder_of(wildcards)}/simulated/ratings.csv"
    return run["population"]["ratings"] or []


def severity_truth_of(wildcards):
    """truth.csv where the simulation knows a severity; for evaluation alone."""
    if run_of(wildcards).is_rated:
        return {"truth": f"{folder_of(wildcards)}/truth.csv"}
    return {}


def true_surface_of(wildcards):
    """The true surfaces of simulated volumes; for evaluations alone."""
    if run_of(wildcards).simulates_volumes:
        return f"{folder_of(wildcards)}/truth/surface.h5"
    return []


def any_of(names):
    """A pattern that matches these names, and nothing at all where there is none."""
    return "|".join(names) or "(?!)"


def table_of(wildcards):
    """The table that preprocessing reads: a user's, or the simulated population's."""
    run = run_of(wildcards)
    if run.simulation:
        return f"{folder_of(wildcards)}/simulated/subjects.csv"
    return run["population"]["table"]


def images_of(wildcards):
    """Every image of the table, so that an edited image is prepared again."""
    run = run_of(wildcards)
    if run.simulation:
        kinds = ["images", "segmentations"][: 2 if run.simulates_volumes else 1]
        return [f"{folder_of(wildcards)}/simulated/{kind}" for kind in kinds]
    return sorted({str(path) for subject in run.subjects for path in subject.files})


def truth_of(wildcards):
    """The generating parameters of a simulated population; for evaluations alone."""
    return f"{folder_of(wildcards)}/truth.csv" if run_of(wildcards).simulation else []


def initial_of(wildcards):
    """The landmark table that training starts from, or nothing."""
    path = run_of(wildcards)["model"]["initial_landmarks"]
    if path == "particles":
        return f"{folder_of(wildcards)}/particles/mean.csv"
    return path or []


def optional(path):
    """A function of the wildcards: the file that a setting names, or nothing."""
    look_up = setting(path)
    return lambda wildcards: look_up(wildcards) or []


def origins_of(runs):
    """Where the images of several runs come from, each place once."""
    return "; ".join(dict.fromkeys(RUNS[run].origin for run in runs))


def study_of(wildcards):
    return config["studies"][wildcards.study]


def regularization_of(wildcards):
    if run_of(wildcards).weight_grid is None:
        return []
    return f"<results>/{wildcards.run}/regularization.json"


def folds_of(wildcards):
    grid = run_of(wildcards).weight_grid or {
        "weights": [],
        "folds": 0,
    }  # with an encoder given
    return expand(
        "<results>/{run}/cross_validation/weight{weight}_fold{fold}.csv",
        run=wildcards.run,
        weight=range(len(grid["weights"])),
        fold=range(grid["folds"]),
    )


def trial_settings(wildcards):
    """The block `training` with one weight of the grid and the trials' own length."""
    training = run_of(wildcards)["training"]
    grid = training["regularization"]
    return training | {
        "regularization": grid["weights"][int(wildcards.weight)],
        "pairs": grid["pairs"],
        "validate_every": grid["pairs"],
    }


def particle_count_of(wildcards):
    return particle_count(run_of(wildcards)["particles"])


def shapeworks_modules():
    """Environment modules of all experiments that run ShapeWorks by one."""
    asking = [
        run["particles"]["module"] for run in RUNS.values() if run.uses_shapeworks
    ]
    return sorted({module for module in asking if module})


def shapeworks_command_of(wildcards):
    """The executable; inside an image or with a module it is on PATH."""
    particles = run_of(wildcards)["particles"]
    if particles["container"] or particles["module"]:
        return "shapeworks"
    return find_shapeworks(particles["path"])


def trained_shapes_of(wildcards):
    """The training's particles, which the other shapes' project holds fixed."""
    if wildcards.stage == "training":
        return []
    return f"<results>/{wildcards.experiment}/particles/shapeworks/training"


def optimized_shapes_of(wildcards):
    if not run_of(wildcards).uses_shapeworks:
        return {}
    folder = f"{folder_of(wildcards)}/particles/shapeworks"
    return {stage: f"{folder}/{stage}" for stage in ("training", "held_out")}


def particles_of(wildcards):
    """particles.csv and engine.json of a run's experiment, where it has any."""
    if not run_of(wildcards)["particles"]:
        return {}
    folder = f"{folder_of(wildcards)}/particles"
    return {"particles": f"{folder}/particles.csv", "engine": f"{folder}/engine.json"}


def numbers_of(wildcards):
    return expand(
        "<results>/{run}/analysis/{key}.numbers.csv",
        run=wildcards.run,
        key=run_of(wildcards).analyses,
    )


def seen_of(wildcards):
    """Whose images each stage that fits anything has read."""
    if run_of(wildcards).gives_landmarks:
        return []
    folds = folds_of(wildcards) if run_of(wildcards).weight_grid else []
    return [
        *expand("<results>/{run}/{part}/seen.csv", run=wildcards.run, part=TIMED),
        *(fold.replace(".csv", ".seen.csv") for fold in folds),
    ]


def timings_of(wildcards):
    if run_of(wildcards).gives_landmarks:
        return []
    return expand("<results>/{run}/{part}/timings.csv", run=wildcards.run, part=TIMED)


def results_of(run):
    """Everything that is made for one run."""
    trained = [] if run.gives_landmarks else ["timings.csv", "exports/landmarks.csv"]
    figures = [f"figures/{name}.png" for name in run.figures]
    return [
        f"<results>/{run.name}/{name}" for name in ["numbers.csv", *trained, *figures]
    ]


def shipped():
    """The runs that `all` builds: those that are no study."""
    return [run for run in RUNS.values() if not run.is_study]


def figures_of_the_paper():
    numbers = paper_figures(RUNS)
    return expand("<results>/figures/figure_{number}.png", number=numbers)


wildcard_constraints:
    experiment="|".join(config["run"]),
    run="|".join(sorted(RUNS, key=len, reverse=True)),
    weight=r"\d+",
    fold=r"\d+",
    stage="training|held_out",
    study=any_of(config["studies"]),
