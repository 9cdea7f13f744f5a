"""From a trained encoder to the landmarks that are kept, and to files for other programs."""


rule discover_landmarks:
    """Landmarks of every image: the encoder alone, which is what inference is."""
    input:
        population=population_of,
        encoder="<results>/{run}/model/encoder.pt",
    output:
        landmarks=ensure("<results>/{run}/landmarks/all.csv", non_empty=True),
        timings=ensure("<results>/{run}/landmarks/timings.csv", non_empty=True),
    log:
        "<logs>/{run}/discover_landmarks.log",
    benchmark:
        "<benchmarks>/{run}/discover_landmarks.jsonl"
    conda:
        "../envs/train.yaml"
    threads: setting("training/threads")
    resources:
        mem=per_attempt("8GB"),
        runtime=per_attempt("2h"),
    params:
        threads=setting("training/threads"),
        code=code("discover_landmarks"),
    message:
        "Finding the landmarks of {wildcards.run}"
    script:
        "../workflow_scripts/discover_landmarks.py"


rule rank_landmarks:
    """Greedy redundancy removal: in which order the registration can do without landmarks."""
    input:
        population=population_of,
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/all.csv",
    output:
        importance=ensure("<results>/{run}/landmarks/importance.csv", non_empty=True),
        seen=ensure("<results>/{run}/landmarks/seen.csv", non_empty=True),
    log:
        "<logs>/{run}/rank_landmarks.log",
    benchmark:
        "<benchmarks>/{run}/rank_landmarks.jsonl"
    conda:
        "../envs/train.yaml"
    threads: setting("training/threads")
    resources:
        mem=per_attempt("8GB"),
        runtime=per_attempt("2h"),
    params:
        kernel=setting("model/kernel"),
        threads=setting("training/threads"),
        seed=seed_of("redundancy"),
        region=setting("redundancy/region"),
        trained_on=setting("training/subjects"),
        person_column=setting("population/person"),
        code=code("rank_landmarks"),
    message:
        "Ranking the landmarks of {wildcards.run}"
    script:
        "../workflow_scripts/rank_landmarks.py"


rule select_landmarks:
    """Keep the landmarks that matter, by count or by threshold."""
    input:
        importance="<results>/{run}/landmarks/importance.csv",
        landmarks="<results>/{run}/landmarks/all.csv",
    output:
        landmarks=ensure("<results>/{run}/landmarks/retained.csv", non_empty=True),
    log:
        "<logs>/{run}/select_landmarks.log",
    conda:
        "../envs/train.yaml"
    params:
        retain=setting("redundancy/retain"),
        threshold=setting("redundancy/threshold"),
        code=code("select_landmarks"),
    message:
        "Selecting the landmarks of {wildcards.run}"
    script:
        "../workflow_scripts/select_landmarks.py"


rule import_landmarks:
    """Landmarks that the table gives: nothing is trained, and all of them are kept."""
    input:
        table=table_of,
        points=images_of,
    output:
        landmarks=ensure(
            "<results>/{experiment}/landmarks/retained.csv", non_empty=True
        ),
        subjects=ensure("<results>/{experiment}/subjects.csv", non_empty=True),
    log:
        "<logs>/{experiment}/import_landmarks.log",
    wildcard_constraints:
        experiment=any_of(name for name in config["run"] if RUNS[name].gives_landmarks),
    conda:
        "../envs/core.yaml"
    params:
        root=setting("population/root"),
        class_column=setting("population/class"),
        code=code("import_landmarks"),
    message:
        "Reading the given landmarks of {wildcards.experiment}"
    script:
        "../workflow_scripts/import_landmarks.py"


ruleorder: import_landmarks > select_landmarks
ruleorder: import_landmarks > preprocess_population


rule export_landmarks:
    """The retained landmarks for R, 3D Slicer, tpsDig and ShapeWorks, in the original pixels."""
    input:
        population=population_of,
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
    output:
        table=ensure("<results>/{run}/exports/landmarks.csv", non_empty=True),
        tps=ensure("<results>/{run}/exports/landmarks.tps", non_empty=True),
        slicer=directory("<results>/{run}/exports/slicer"),
        particles=directory("<results>/{run}/exports/particles"),
    log:
        "<logs>/{run}/export_landmarks.log",
    benchmark:
        "<benchmarks>/{run}/export_landmarks.jsonl"
    conda:
        "../envs/core.yaml"
    params:
        code=code("export_landmarks"),
    message:
        "Exporting the landmarks of {wildcards.run}"
    script:
        "../workflow_scripts/export_landmarks.py"
