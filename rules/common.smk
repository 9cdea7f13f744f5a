"""Functions for the rules: configuration, paths, code digests. No rule lives here."""

import hashlib
import json
import re
import sys
from pathlib import Path

import yaml

from lmcore.configuration import SIMULATED_VOLUMES, expand_studies, particle_count
from lmcore.digest import source_digest
from lmcore.errors import InputError
from lmcore.particles.executable import find_shapeworks
from lmcore.runs import load_runs
from lmcore.seeds import derive_seed

BASE = Path(workflow.basedir)


try:
    with open(BASE / "schemas/config.schema.yaml", encoding="utf-8") as file:
        schema = yaml.safe_load(file)
    rule_names = [script.stem for script in (BASE / "workflow_scripts").glob("*.py")]
    complete, RUNS, TABLES = load_runs(config, schema, rule_names)
    config.update(complete)
    config["studies"] = expand_studies(config, RUNS)
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def experiment_of(run):
    return run.split("/")[0]


def is_study(run):
    """Whether only the target `studies` builds this run."""
    experiment, *variant = run.split("/variants/")
    return bool(variant) and config["experiments"][experiment]["variants"][
        variant[0]
    ].get("study", False)


def setting(path):
    """A function of the wildcards that looks up `block/key` in the run's configuration."""

    def look_up(wildcards):
        value = RUNS[run_of(wildcards)]
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
    return wildcards.get("run", wildcards.get("experiment"))


STAGES = []  # those that ask for a seed, as the rules are read


def seed_of(stage):
    """A function of the wildcards: the stage's seed, shared by an experiment's variants."""
    STAGES.append(stage)
    return lambda wildcards: stage_seed(run_of(wildcards), stage)


def stage_seed(run, stage):
    own = [RUNS[run]["training"]["seed"]] if stage == "training" else []
    return derive_seed(config["seed"], experiment_of(run), stage, *own)


def all_seeds(wildcards):
    """Run -> stage -> seed; of a variant those that are not its experiment's."""
    return {
        run: {
            stage: stage_seed(run, stage)
            for stage in sorted(set(STAGES))
            if run == experiment_of(run) or stage == "training"
        }
        for run in RUNS
    }


def digest_of_settings(settings):
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(wildcards):
    """Digest of all settings that decide a population."""
    run = RUNS[wildcards.experiment]
    return digest_of_settings([run["population"], run["preprocess"], config["seed"]])


def code(script, *modules):
    """Digest of a rule's script and of all it imports from lmcore; see lmcore/digest.py."""
    return source_digest(BASE / "workflow_scripts" / f"{script}.py", *modules)


def gives_landmarks(run):
    """Whether the table of a run gives landmarks, so that nothing is trained."""
    table = TABLES[experiment_of(run)]
    return table is not None and table[0].landmarks_path is not None


def population_of(wildcards):
    """population.h5, or nothing where landmarks are given."""
    if gives_landmarks(run_of(wildcards)):
        return []
    return f"<results>/{experiment_of(run_of(wildcards))}/population.h5"


def subjects_of(wildcards):
    return f"<results>/{experiment_of(run_of(wildcards))}/subjects.csv"


def is_simulated(run):
    return TABLES[experiment_of(run)] is None


def simulates_volumes(experiment):
    simulated = RUNS[experiment]["population"]["simulate"]
    return is_simulated(experiment) and simulated in SIMULATED_VOLUMES


def is_rated(experiment):
    """Whether a simulated population comes with severities and a sheet of raters."""
    return (
        is_simulated(experiment)
        and RUNS[experiment]["population"]["simulate"] == "cranium"
    )


def ratings_of(wildcards):
    """The sheet of raters: the user's, or the simulated one."""
    experiment = experiment_of(wildcards.run)
    if is_rated(experiment):
        return f"<results>/{experiment}/simulated/ratings.csv"
    return RUNS[wildcards.run]["population"]["ratings"] or []


def severity_truth_of(wildcards):
    """truth.csv where the simulation knows a severity; for evaluation alone."""
    experiment = experiment_of(wildcards.run)
    return (
        {"truth": f"<results>/{experiment}/truth.csv"} if is_rated(experiment) else {}
    )


def true_surface_of(wildcards):
    """The true surfaces of simulated volumes; for evaluations alone."""
    experiment = experiment_of(wildcards.run)
    if simulates_volumes(experiment):
        return f"<results>/{experiment}/truth/surface.h5"
    return []


def any_of(names):
    """A pattern that matches these names, and nothing at all where there is none."""
    return "|".join(names) or "(?!)"


def origin_of(run):
    """Where a run's images come from and whether test subjects trained, for figures and tables."""
    population, seen = RUNS[run]["population"], ""
    if RUNS[run]["training"]["subjects"] != "train":
        seen = ", test subjects trained the encoder, too"
    if is_simulated(run):
        return f"simulated population ({population['simulate']}){seen}"
    table = Path(population["table"])
    return f"table {table.parent.name}/{table.name}{seen}"


def table_of(wildcards):
    """The table that preprocessing reads: a user's, or the simulated population's."""
    if is_simulated(wildcards.experiment):
        return f"<results>/{wildcards.experiment}/simulated/subjects.csv"
    return RUNS[wildcards.experiment]["population"]["table"]


def images_of(wildcards):
    """Every image of the table, so that an edited image is prepared again."""
    if is_simulated(wildcards.experiment):
        folder = f"<results>/{wildcards.experiment}/simulated"
        kinds = ["images", "segmentations"]
        count = 2 if simulates_volumes(wildcards.experiment) else 1
        return [f"{folder}/{kind}" for kind in kinds[:count]]
    return sorted(
        {
            str(path)
            for subject in TABLES[wildcards.experiment]
            for path in subject.files
        }
    )


def truth_of(wildcards):
    """The generating parameters of a simulated population; for evaluations alone."""
    if is_simulated(wildcards.run):
        return f"<results>/{experiment_of(wildcards.run)}/truth.csv"
    return []


def initial_of(wildcards):
    """The landmark table that training starts from, or nothing."""
    path = RUNS[wildcards.run]["model"]["initial_landmarks"]
    if path == "particles":
        return f"<results>/{experiment_of(wildcards.run)}/particles/mean.csv"
    return path or []


def optional(path):
    """A function of the wildcards: the file that a setting names, or nothing."""
    look_up = setting(path)
    return lambda wildcards: look_up(wildcards) or []


def origins_of(runs):
    """Where the images of several runs come from, each place once."""
    return "; ".join(dict.fromkeys(origin_of(run) for run in runs))


def study_of(wildcards):
    return config["studies"][wildcards.study]


def grid_of(run):
    """The block of lambda's cross-validation, or None where lambda is given."""
    regularization = RUNS[run]["training"]["regularization"]
    return regularization if isinstance(regularization, dict) else None


def has_grid(run):
    """Whether lambda is cross-validated."""
    return grid_of(run) is not None and not RUNS[run]["model"]["pretrained"]


def regularization_of(wildcards):
    return (
        f"<results>/{wildcards.run}/regularization.json"
        if has_grid(wildcards.run)
        else []
    )


def folds_of(wildcards):
    grid = grid_of(wildcards.run)
    return expand(
        "<results>/{run}/cross_validation/weight{weight}_fold{fold}.csv",
        run=wildcards.run,
        weight=range(len(grid["weights"])),
        fold=range(grid["folds"]),
    )


def trial_settings(wildcards):
    """The block `training` with one weight of the grid and the trials' own length."""
    training = RUNS[wildcards.run]["training"]
    grid = training["regularization"]
    return training | {
        "regularization": grid["weights"][int(wildcards.weight)],
        "pairs": grid["pairs"],
        "validate_every": grid["pairs"],
    }


def has_particles(run):
    return bool(RUNS[experiment_of(run)]["particles"])


def particle_count_of(wildcards):
    return particle_count(RUNS[wildcards.experiment]["particles"])


def uses_shapeworks(experiment):
    particles = RUNS[experiment]["particles"]
    return bool(particles) and particles["engine"] == "shapeworks"


def shapeworks_modules():
    """Environment modules of all experiments that run ShapeWorks by one."""
    return sorted(
        {
            RUNS[name]["particles"]["module"]
            for name in config["run"]
            if uses_shapeworks(name) and RUNS[name]["particles"]["module"]
        }
    )


def shapeworks_command_of(wildcards):
    """The executable; inside an image or with a module it is on PATH."""
    particles = RUNS[wildcards.experiment]["particles"]
    if particles["container"] or particles["module"]:
        return "shapeworks"
    return find_shapeworks(particles["path"])


def trained_shapes_of(wildcards):
    """The training's particles, which the other shapes' project holds fixed."""
    if wildcards.stage == "training":
        return []
    return f"<results>/{wildcards.experiment}/particles/shapeworks/training"


def optimized_shapes_of(wildcards):
    if not uses_shapeworks(wildcards.experiment):
        return {}
    folder = f"<results>/{wildcards.experiment}/particles/shapeworks"
    return {stage: f"{folder}/{stage}" for stage in ("training", "held_out")}


def particles_of(wildcards):
    """particles.csv and engine.json of a run's experiment, where it has any."""
    if not has_particles(wildcards.run):
        return {}
    folder = f"<results>/{experiment_of(wildcards.run)}/particles"
    return {"particles": f"{folder}/particles.csv", "engine": f"{folder}/engine.json"}


def analyses_of(run):
    """The analyses a run asks for, and those every run has."""
    asked = [key for key, value in RUNS[run]["analyses"].items() if value is not None]
    if gives_landmarks(run):
        return asked
    more = ["group_registration"] if group_analysis(run) else []
    return ["registration", *asked, *more]


def group_analysis(run):
    """The analysis that says how far subjects lie from the controls, or None."""
    analyses = RUNS[run]["analyses"]
    return next((key for key in GROUP_SCORES if analyses[key] is not None), None)


def numbers_of(wildcards):
    return expand(
        "<results>/{run}/analysis/{key}.numbers.csv",
        run=wildcards.run,
        key=analyses_of(wildcards.run),
    )


def seen_of(wildcards):
    """Whose images each stage that fits anything has read."""
    if gives_landmarks(wildcards.run):
        return []
    folds = folds_of(wildcards) if has_grid(wildcards.run) else []
    return [
        *expand("<results>/{run}/{part}/seen.csv", run=wildcards.run, part=TIMED),
        *(fold.replace(".csv", ".seen.csv") for fold in folds),
    ]


def timings_of(wildcards):
    if gives_landmarks(wildcards.run):
        return []
    return expand("<results>/{run}/{part}/timings.csv", run=wildcards.run, part=TIMED)


GROUP_SCORES = {"severity": "z", "mean_shapes": "mahalanobis"}  # and the column of each
TIMED = ["model", "landmarks"]
WITH_FIGURE = [
    *["clustering", "classification", "shape_model"],
    *["severity", "mean_shapes"],
]
FIGURES = ["training", "landmarks", "registration", "importance"]


def figures_of(run):
    names = [key for key in analyses_of(run) if key in WITH_FIGURE]
    if gives_landmarks(run):
        return expand("<results>/{run}/figures/{name}.png", run=run, name=names)
    names = [*FIGURES, *names]
    if has_grid(run):
        names.append("regularization")
    if run == experiment_of(run):
        names = ["population", *names]
    return expand("<results>/{run}/figures/{name}.png", run=run, name=names)


def results_of(run):
    """Everything that is made for one run."""
    trained = ["timings.csv", "exports/landmarks.csv"]
    return [
        f"<results>/{run}/numbers.csv",
        *(f"<results>/{run}/{name}" for name in trained if not gives_landmarks(run)),
        *figures_of(run),
    ]


def paper_figures():
    """The figures of the paper that the experiments of this configuration can make."""
    made = []
    if "diatoms/variants/unregularized" in RUNS:
        made.append(2)
    if (
        "diatoms" in RUNS
        and has_grid("diatoms")
        and "clustering" in analyses_of("diatoms")
    ):
        made.append(3)
    if "metopic" in RUNS and "severity" in analyses_of("metopic"):
        made += [4, 5]
    if "camfai" in RUNS and "mean_shapes" in analyses_of("camfai"):
        made += [6, 7, 8] if RUNS["camfai"]["preprocess"]["region"] else [7, 8]
    if "cardiac" in RUNS:
        made.append(9)
    return expand("<results>/figures/figure_{number}.png", number=made)


wildcard_constraints:
    experiment="|".join(config["run"]),
    run="|".join(sorted(RUNS, key=len, reverse=True)),
    weight=r"\d+",
    fold=r"\d+",
    stage="training|held_out",
    study=any_of(config["studies"]),
