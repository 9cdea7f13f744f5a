"""What a configuration may say: checks with one clear sentence, and the merging of variants."""

import difflib
import re
from collections.abc import Mapping

from jsonschema import Draft202012Validator

from lmcore.errors import InputError

# Targets of the Snakefile and folders beside the experiments.
RESERVED = {"all", "figures", "studies", "logs", "benchmarks"}
# Simulated populations of volumes; every other one is of 2D images.
SIMULATED_VOLUMES = ("cranium", "femur", "atrium")
# Analyses that need to know the class.
OF_CLASSES = ("clustering", "classification")
OF_CONTROLS = ("severity", "mean_shapes")
FOLDS_TO_CHOOSE = 4  # which leave three of four subjects of a class to choose by in three folds
# Particles of each engine where nobody says how many.
PARTICLES = {"cpd": 256, "shapeworks": 2048}
_EXPONENT = re.compile(r"[-+]?\d+([.]\d*)?[eE][-+]?\d+")


def check_configuration(config: Mapping, schema: Mapping) -> None:
    """Refuse what the schema does not allow.

    Raises:
        InputError: for the first fault; it names the key by its path, and the nearest known one.
    """
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=_place)
    if errors:
        raise InputError(_explain(errors[0]))


def _place(error) -> list[str]:
    return [str(part) for part in error.path]  # YAML has numbers as keys, too


def _explain(error) -> str:
    while error.context:  # of several alternatives, the one the value looks most like
        deeper = [e for e in error.context if e.path or e.validator == "additionalProperties"]
        deeper = deeper or [e for e in error.context if _could_be(e)]
        error = (deeper or error.context)[0]
    key = ".".join(str(part) for part in error.absolute_path)
    value = error.instance
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in value if name not in known)
        nearest = difflib.get_close_matches(str(unknown), known, n=1, cutoff=0.5)
        path = f"{key}.{unknown}" if key else unknown
        hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
        return f"unknown key {path} in the configuration: {hint}"
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        mantissa, exponent = re.split("[eE]", value)
        mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
        exponent = exponent if exponent[0] in "+-" else f"+{exponent}"
        return (
            f"{key} is the text '{value}': YAML reads a number only with a point and a sign, "
            f"write {mantissa}e{exponent}"
        )
    if error.validator == "enum":
        allowed = [str(item) for item in error.validator_value if item is not None]
        nearest = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f": did you mean {nearest[0]}?" if nearest else ""
        return f"{key} is {value!r}, it can be {', '.join(allowed)}{hint}"
    if error.validator == "type":
        wanted = error.validator_value
        wanted = " or ".join(wanted) if isinstance(wanted, list) else wanted
        return f"{key or 'the configuration'} is {value!r}, it must be of type {wanted}"
    return f"{key or 'the configuration'}: {error.message}"


def _could_be(error) -> bool:
    """Whether a value fails an alternative by more than its type."""
    return error.validator != "type"


def fill_defaults(value: object, schema: Mapping, root: Mapping | None = None) -> object:
    """The value with the schema's defaults where a mapping lacks a key, at every depth.

    `snakemake.utils.validate` fills defaults too, but breaks on a null or a number where the
    schema also allows a mapping.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = {**root["$defs"][name], **{k: v for k, v in schema.items() if k != "$ref"}}
    for alternative in schema.get("anyOf", ()):
        if isinstance(value, Mapping) and "properties" in alternative:
            return fill_defaults(value, alternative, root)
    if not isinstance(value, Mapping):
        return value
    known = schema.get("properties", {})
    filled = dict(value)
    for key, part in known.items():
        if key not in filled and "default" in part:
            filled[key] = part["default"]
    others = schema.get("additionalProperties", False)
    for key in filled:
        part = known.get(key, others)
        if part:
            filled[key] = fill_defaults(filled[key], part, root)
    return filled


def merge(base: Mapping, override: Mapping) -> dict:
    """`override` over `base`: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def expand_runs(config: Mapping, schema: Mapping) -> dict[str, dict]:
    """Every run of the experiments that are to be done, with its whole configuration.

    Arguments:
        config: checked, with its defaults.
        schema: of the configuration; a merged variant has to obey it like any experiment.
    Returns:
        `EXPERIMENT` and `EXPERIMENT/variants/NAME` -> its configuration without `variants`.
    Raises:
        InputError: if an experiment to be done is not there.
    """
    runs = {}
    for name in config["run"]:
        if name not in config["experiments"]:
            known = ", ".join(config["experiments"]) or "none"
            raise InputError(f"run names the experiment {name}, but experiments has {known}")
        if name in RESERVED:
            raise InputError(f"an experiment cannot be named {name}: choose another name")
        experiment = dict(config["experiments"][name])
        variants = experiment.pop("variants", {})
        runs[name] = experiment
        for variant, override in variants.items():
            override = {key: value for key, value in override.items() if key != "study"}
            if "pretrained" in override.get("model", {}):
                raise InputError(
                    f"experiments.{name}.variants.{variant}.model.pretrained: an encoder decides "
                    "how images are prepared, so set it on an experiment, not on a variant"
                )
            merged = merge(experiment, override)
            try:
                check_configuration({"run": [variant], "experiments": {variant: merged}}, schema)
            except InputError as error:
                checked_as, place = (
                    f"experiments.{variant}",
                    f"experiments.{name}.variants.{variant}",
                )
                raise InputError(str(error).replace(checked_as, place, 1)) from None
            filled = fill_defaults(merged, {"$ref": "#/$defs/experiment"}, schema)
            runs[f"{name}/variants/{variant}"] = {
                k: v for k, v in filled.items() if k != "variants"
            }
    return runs


def expand_studies(config: Mapping, runs: Mapping) -> dict[str, dict]:
    """The studies whose experiments are all to be done; `run` leaves out the others.

    Arguments:
        config: checked, with its defaults; runs: as of `expand_runs`.
    Raises:
        InputError: for an experiment or a variant that is not there.
    """
    for name, study in config["studies"].items():
        for run in study["runs"]:
            experiment = run.split("/")[0]
            done = experiment in config["run"]
            wanted, known = (run, runs) if done else (experiment, config["experiments"])
            if wanted not in known:
                nearest = difflib.get_close_matches(wanted, known, n=1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
                raise InputError(f"studies.{name}.runs names {run}, which is not there: {hint}")
    return {
        name: study for name, study in config["studies"].items() if set(study["runs"]) <= set(runs)
    }


def particle_count(particles: Mapping) -> int:
    """How many points the block `particles` asks for."""
    return particles["count"] or PARTICLES[particles["engine"]]


def check_run(name: str, run: Mapping) -> None:
    """Refuse settings of a run that contradict each other.

    Raises:
        InputError: naming the keys.
    """
    population, model = run["population"], run["model"]
    where = f"experiments.{name.replace('/', '.')}"
    if not population["table"] and not population["simulate"]:
        raise InputError(
            f"{where}.population needs a table of subjects (table) or a simulated one (simulate)"
        )
    shares = population["split"]
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(
            f"{where}.population.split: {shares} adds up to {sum(shares.values()):g}, not 1"
        )
    _check_preprocess(where, run)
    for key in OF_CONTROLS:
        if run["analyses"][key] is not None and not (population["class"] and population["control"]):
            raise InputError(
                f"{where}.analyses.{key} needs population.class and population.control: say which "
                "class is normal"
            )
    retain = run["redundancy"]["retain"]
    if retain and retain > model["landmarks"]:
        raise InputError(
            f"{where}.redundancy.retain is {retain}, more than the {model['landmarks']} "
            "of model.landmarks"
        )
    if population["train_on"] == "control" and not (population["class"] and population["control"]):
        raise InputError(
            f"{where}.population.train_on is control: population.class and population.control "
            "have to say who that is"
        )
    analyses = [key for key in OF_CLASSES if run["analyses"][key] is not None]
    if analyses and not population["class"]:
        raise InputError(
            f"{where}.analyses.{analyses[0]} needs population.class, the column with the class"
        )
    classification = run["analyses"]["classification"] or {"iterations": 0}
    if isinstance(classification["iterations"], list) and classification["folds"] < FOLDS_TO_CHOOSE:
        raise InputError(
            f"{where}.analyses.classification.iterations is a list, to choose from in the training "
            f"folds: give {FOLDS_TO_CHOOSE} folds or more, not {classification['folds']}"
        )
    if model["initial_landmarks"] == "particles":
        count = particle_count(run["particles"]) if run["particles"] else 0
        if count < model["landmarks"]:
            raise InputError(
                f"{where}.model.initial_landmarks is particles: the block particles has to ask for "
                f"as many as there are landmarks ({model['landmarks']}), its count is {count}"
            )
    training = run["training"]
    folds = training["subjects"]
    if isinstance(folds, Mapping) and folds["fold"] >= folds["folds"]:
        raise InputError(
            f"{where}.training.subjects: fold {folds['fold']} of {folds['folds']}; they count from "
            "0"
        )
    if training["hide"] and training["recipe"] == "paper":
        raise InputError(
            f"{where}.training.hide belongs to the recipe robust: the paper's shows no moved images"
        )
    if training["validate_every"] > training["pairs"]:
        raise InputError(
            f"{where}.training.validate_every is {training['validate_every']}, "
            f"more than training.pairs ({training['pairs']})"
        )


def _check_preprocess(where: str, run: Mapping) -> None:
    preprocess, stride = run["preprocess"], run["model"]["stride"]
    size = preprocess["size"]
    if stride is None and size:
        stride = {2: 1, 3: 2}[len(size)]  # the defaults of discovery/initial.py
    if size and min(size) < (smallest := 16 * stride):
        raise InputError(
            f"{where}.preprocess.size is {size}, the encoder needs {smallest} pixels a side "
            f"(16 times model.stride, {stride} here)"
        )
    simulated = run["population"]["simulate"]
    if size and simulated and not run["population"]["table"]:
        dimension = 3 if simulated in SIMULATED_VOLUMES else 2
        if len(size) != dimension:
            raise InputError(
                f"{where}.preprocess.size is {size}, images of {simulated} have {dimension} axes"
            )
    window = preprocess["window"]
    if (preprocess["intensity"] == "window") != (window is not None):
        raise InputError(
            f"{where}.preprocess.window belongs to preprocess.intensity window, and is needed there"
        )
    if window and window[0] >= window[1]:
        raise InputError(f"{where}.preprocess.window is {window}, it must be low, then high")
    region = preprocess["region"]
    if region:
        corners = list(zip(region["low"], region["high"], strict=True))
        if any(low >= high for low, high in corners):
            raise InputError(f"{where}.preprocess.region: every low must be below its high")
    for block, key in (("training", "mask"), ("redundancy", "region")):
        if run[block][key] and not region:
            raise InputError(f"{where}.{block}.{key} needs preprocess.region, the box")
