"""Statistics on the landmarks."""


rule evaluate_registration:
    """Loss before and after registration over the pairs of test subjects, on the full grid."""
    input:
        population=population_of,
        subjects=subjects_of,
        all="<results>/{run}/landmarks/all.csv",
        retained="<results>/{run}/landmarks/retained.csv",
    output:
        table=ensure("<results>/{run}/analysis/registration.csv", non_empty=True),
        numbers=ensure(
            "<results>/{run}/analysis/registration.numbers.csv", non_empty=True
        ),
        examples=ensure("<results>/{run}/analysis/examples.h5", non_empty=True),
    log:
        "<logs>/{run}/evaluate_registration.log",
    benchmark:
        "<benchmarks>/{run}/evaluate_registration.jsonl"
    conda:
        "../envs/train.yaml"
    threads: setting("training/threads")
    resources:
        mem=per_attempt("8GB"),
        runtime=per_attempt("2h"),
    params:
        class_column=setting("population/class"),
        kernel=setting("model/kernel"),
        threads=setting("training/threads"),
        seed=seed_of("registration"),
        code=code("evaluate_registration"),
    message:
        "Registering the test subjects of {wildcards.run}"
    script:
        "../workflow_scripts/evaluate_registration.py"


rule cluster_subjects:
    """Spectral clustering of the landmarks against the class."""
    input:
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
    output:
        table=report(
            ensure("<results>/{run}/analysis/clustering.csv", non_empty=True),
            caption="../report/clustering.rst",
            category="{run}",
            subcategory="tables",
        ),
        numbers=ensure(
            "<results>/{run}/analysis/clustering.numbers.csv", non_empty=True
        ),
    log:
        "<logs>/{run}/cluster_subjects.log",
    conda:
        "../envs/core.yaml"
    params:
        class_column=setting("population/class"),
        settings=setting("analyses/clustering"),
        seed=seed_of("clustering"),
        code=code("cluster_subjects"),
    message:
        "Clustering the subjects of {wildcards.run}"
    script:
        "../workflow_scripts/cluster_subjects.py"


rule classify_subjects:
    """A perceptron from landmarks to class: on the test split, and cross-validated."""
    input:
        unpack(particles_of),
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
        truth=truth_of,
    output:
        table=report(
            ensure("<results>/{run}/analysis/classification.csv", non_empty=True),
            caption="../report/classification.rst",
            category="{run}",
            subcategory="tables",
        ),
        predictions=ensure(
            "<results>/{run}/analysis/classification.predictions.csv", non_empty=True
        ),
        numbers=ensure(
            "<results>/{run}/analysis/classification.numbers.csv", non_empty=True
        ),
    log:
        "<logs>/{run}/classify_subjects.log",
    benchmark:
        "<benchmarks>/{run}/classify_subjects.jsonl"
    conda:
        "../envs/core.yaml"
    params:
        population=setting("population/simulate"),
        class_column=setting("population/class"),
        person_column=setting("population/person"),
        settings=setting("analyses/classification"),
        seed=seed_of("classification"),
        code=code("classify_subjects"),
    message:
        "Classifying the subjects of {wildcards.run}"
    script:
        "../workflow_scripts/classify_subjects.py"


rule evaluate_shape_model:
    """Compactness, generalization, specificity and modes, of landmarks and particles alike."""
    input:
        unpack(particles_of),
        population=population_of,
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
    output:
        table=report(
            ensure("<results>/{run}/analysis/shape_model.csv", non_empty=True),
            caption="../report/shape_model.rst",
            category="{run}",
            subcategory="tables",
        ),
        numbers=ensure(
            "<results>/{run}/analysis/shape_model.numbers.csv", non_empty=True
        ),
        modes=ensure("<results>/{run}/analysis/shape_model.h5", non_empty=True),
        meshes=directory("<results>/{run}/analysis/shape_model_modes"),
    log:
        "<logs>/{run}/evaluate_shape_model.log",
    benchmark:
        "<benchmarks>/{run}/evaluate_shape_model.jsonl"
    conda:
        "../envs/surfaces.yaml"
    resources:
        mem=per_attempt("8GB"),
        runtime=per_attempt("1h"),
    params:
        kernel=setting("model/kernel"),
        seed=seed_of("shape_model"),
        code=code("evaluate_shape_model"),
    message:
        "Evaluating the shape models of {wildcards.run}"
    script:
        "../workflow_scripts/evaluate_shape_model.py"


rule score_severity:
    """Mahalanobis distance of every subject from the controls, and what it agrees with."""
    input:
        unpack(particles_of),
        unpack(severity_truth_of),
        population=population_of,
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
        ratings=ratings_of,
    output:
        table=report(
            ensure("<results>/{run}/analysis/severity.csv", non_empty=True),
            caption="../report/severity.rst",
            category="{run}",
            subcategory="tables",
        ),
        numbers=ensure("<results>/{run}/analysis/severity.numbers.csv", non_empty=True),
    log:
        "<logs>/{run}/score_severity.log",
    benchmark:
        "<benchmarks>/{run}/score_severity.jsonl"
    conda:
        "../envs/core.yaml"
    resources:
        mem=per_attempt("4GB"),
        runtime=per_attempt("30m"),
    params:
        simulated=setting("population/simulate"),
        class_column=setting("population/class"),
        person_column=setting("population/person"),
        control=setting("population/control"),
        trained_on=setting("training/subjects"),
        settings=setting("analyses/severity"),
        seed=seed_of("severity"),
        code=code("score_severity"),
    message:
        "Scoring the severity of {wildcards.run}"
    script:
        "../workflow_scripts/score_severity.py"


rule register_groups:
    """One case registered to a case and to a control, for Figs. 4 and 7."""
    input:
        population=population_of,
        scores=lambda wildcards: (
            f"<results>/{wildcards.run}/analysis/{run_of(wildcards).group_analysis}.csv"
        ),
        all="<results>/{run}/landmarks/all.csv",
        retained="<results>/{run}/landmarks/retained.csv",
    output:
        examples=ensure("<results>/{run}/analysis/group_examples.h5", non_empty=True),
        numbers=ensure(
            "<results>/{run}/analysis/group_registration.numbers.csv", non_empty=True
        ),
    log:
        "<logs>/{run}/register_groups.log",
    conda:
        "../envs/train.yaml"
    resources:
        mem=per_attempt("4GB"),
        runtime=per_attempt("30m"),
    params:
        score=lambda wildcards: GROUP_SCORES[run_of(wildcards).group_analysis],
        control=setting("population/control"),
        kernel=setting("model/kernel"),
        code=code("register_groups"),
    message:
        "Registering a case of {wildcards.run} to a case and to a control"
    script:
        "../workflow_scripts/register_groups.py"


rule compare_mean_shapes:
    """Mean shapes of cases and controls, their distance, and how far each subject lies out."""
    input:
        population=population_of,
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
        truth=truth_of,
        surface=true_surface_of,
    output:
        table=report(
            ensure("<results>/{run}/analysis/mean_shapes.csv", non_empty=True),
            caption="../report/mean_shapes.rst",
            category="{run}",
            subcategory="tables",
        ),
        numbers=ensure(
            "<results>/{run}/analysis/mean_shapes.numbers.csv", non_empty=True
        ),
        content=ensure("<results>/{run}/analysis/mean_shapes.h5", non_empty=True),
        meshes=directory("<results>/{run}/analysis/mean_shapes_surfaces"),
    log:
        "<logs>/{run}/compare_mean_shapes.log",
    benchmark:
        "<benchmarks>/{run}/compare_mean_shapes.jsonl"
    conda:
        "../envs/surfaces.yaml"
    resources:
        mem=per_attempt("8GB"),
        runtime=per_attempt("1h"),
    params:
        class_column=setting("population/class"),
        person_column=setting("population/person"),
        control=setting("population/control"),
        kernel=setting("model/kernel"),
        seed=seed_of("mean_shapes"),
        code=code("compare_mean_shapes"),
    message:
        "Comparing the mean shapes of {wildcards.run}"
    script:
        "../workflow_scripts/compare_mean_shapes.py"
