"""The tables of all numbers: of a run, of a study, of all runs, and of where they come from."""


rule tabulate_numbers:
    """All numbers of a run beside the paper's; times apart from what never changes."""
    input:
        numbers=numbers_of,
        timings=timings_of,
        regularization=regularization_of,
        subjects=subjects_of,
        seen=seen_of,
        paper_values=BASE / "config/paper_values.csv",
    output:
        numbers=report(
            ensure("<results>/{run}/numbers.csv", non_empty=True),
            caption="../report/numbers.rst",
            category="{run}",
            subcategory="tables",
        ),
        timings=report(
            ensure("<results>/{run}/timings.csv", non_empty=True),
            caption="../report/timings.rst",
            category="{run}",
            subcategory="tables",
        ),
    log:
        "<logs>/{run}/tabulate_numbers.log",
    conda:
        "../envs/core.yaml"
    params:
        experiment=lambda wildcards: run_of(wildcards).experiment,
        trained_on=setting("training/subjects"),
        person_column=setting("population/person"),
        code=code("tabulate_numbers"),
    message:
        "Collecting the numbers of {wildcards.run}"
    script:
        "../workflow_scripts/tabulate_numbers.py"


rule tabulate_study:
    """The numbers that a study plots, of all its runs."""
    input:
        numbers=lambda wildcards: [
            f"<results>/{run}/numbers.csv" for run in study_of(wildcards)["runs"]
        ],
    output:
        table=report(
            ensure("<results>/studies/{study}.csv", non_empty=True),
            caption="../report/study.rst",
            category="Studies",
            subcategory="tables",
        ),
    log:
        "<logs>/tabulate_study_{study}.log",
    conda:
        "../envs/core.yaml"
    params:
        study=study_of,
        origin=lambda wildcards: origins_of(study_of(wildcards)["runs"]),
        code=code("tabulate_study"),
    message:
        "Collecting the numbers of the study {wildcards.study}"
    script:
        "../workflow_scripts/tabulate_study.py"


rule summarize_runs:
    """One table of all runs, with the population each number came from."""
    input:
        numbers=[f"<results>/{run.name}/numbers.csv" for run in shipped()],
    output:
        csv=report(
            ensure("<results>/summary.csv", non_empty=True),
            caption="../report/summary.rst",
            category="Summary",
        ),
        md=ensure("<results>/summary.md", non_empty=True),
    log:
        "<logs>/summarize_runs.log",
    conda:
        "../envs/core.yaml"
    params:
        runs=[run.name for run in shipped()],
        origins=[run.origin for run in shipped()],
        code=code("summarize_runs"),
    message:
        "Summarizing all runs"
    script:
        "../workflow_scripts/summarize_runs.py"


rule record_provenance:
    """Versions, machine, configuration and all seeds: what it takes to get the same again."""
    output:
        table=report(
            ensure("<results>/provenance.csv", non_empty=True),
            caption="../report/provenance.rst",
            category="Summary",
        ),
    log:
        "<logs>/record_provenance.log",
    conda:
        "../envs/core.yaml"
    params:
        configuration=digest_of_settings(config),
        sources=source_digest(*sorted(BASE.glob("lmcore/**/*.py"))),
        seed=config["seed"],
        seeds=all_seeds,
        code=code("record_provenance"),
    message:
        "Recording versions, machine, configuration and seeds"
    script:
        "../workflow_scripts/record_provenance.py"
