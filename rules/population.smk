"""From nothing, or from a user's table, to population.h5."""


rule simulate_population:
    """A folder exactly like a user's, and the truth beside it."""
    output:
        table=ensure("<results>/{experiment}/simulated/subjects.csv", non_empty=True),
        images=directory("<results>/{experiment}/simulated/images"),
        truth=ensure("<results>/{experiment}/truth.csv", non_empty=True),
    log:
        "<logs>/{experiment}/simulate_population.log",
    benchmark:
        "<benchmarks>/{experiment}/simulate_population.jsonl"
    conda:
        "../envs/surfaces.yaml"
    resources:
        mem=per_attempt("2GB"),
        runtime=per_attempt("1h"),
    params:
        population=setting("population/simulate"),
        options=setting("population/subjects"),
        seed=seed_of("simulation"),
        code=lambda wildcards: code(
            "simulate_population",
            f"lmcore.simulation.{RUNS[wildcards.experiment]['population']['simulate']}",
        ),
    message:
        "Simulating the population {wildcards.experiment}"
    script:
        "../workflow_scripts/simulate_population.py"


use rule simulate_population as simulate_volumes with:
    output:
        table=ensure("<results>/{experiment}/simulated/subjects.csv", non_empty=True),
        images=directory("<results>/{experiment}/simulated/images"),
        segmentations=directory("<results>/{experiment}/simulated/segmentations"),
        truth=ensure("<results>/{experiment}/truth.csv", non_empty=True),
        surface=ensure("<results>/{experiment}/truth/surface.h5", non_empty=True),
    wildcard_constraints:
        experiment=any_of(
            name for name in config["run"] if RUNS[name].simulates_volumes
        ),


use rule simulate_volumes as simulate_crania with:
    output:
        table=ensure("<results>/{experiment}/simulated/subjects.csv", non_empty=True),
        images=directory("<results>/{experiment}/simulated/images"),
        segmentations=directory("<results>/{experiment}/simulated/segmentations"),
        ratings=ensure("<results>/{experiment}/simulated/ratings.csv", non_empty=True),
        truth=ensure("<results>/{experiment}/truth.csv", non_empty=True),
        surface=ensure("<results>/{experiment}/truth/surface.h5", non_empty=True),
    wildcard_constraints:
        experiment=any_of(name for name in config["run"] if RUNS[name].is_rated),


ruleorder: simulate_crania > simulate_volumes > simulate_population


rule preprocess_population:
    """Read every image of the table, bring it to one size and intensity scale, draw the splits."""
    input:
        table=table_of,
        images=images_of,
        pretrained=optional("model/pretrained"),
    output:
        population=ensure("<results>/{experiment}/population.h5", non_empty=True),
        subjects=ensure("<results>/{experiment}/subjects.csv", non_empty=True),
    log:
        "<logs>/{experiment}/preprocess_population.log",
    benchmark:
        "<benchmarks>/{experiment}/preprocess_population.jsonl"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem=per_attempt("4GB"),
        runtime=per_attempt("1h"),
    params:
        root=setting("population/root"),
        settings=setting("preprocess"),
        class_column=setting("population/class"),
        person_column=setting("population/person"),
        control=setting("population/control"),
        train_on=setting("population/train_on"),
        segmentation_label=setting("population/segmentation_label"),
        split=setting("population/split"),
        seed=seed_of("population"),
        digest=digest_of,
        code=code("preprocess_population"),
    message:
        "Preparing the images of {wildcards.experiment}"
    script:
        "../workflow_scripts/preprocess_population.py"
