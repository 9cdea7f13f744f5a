"""Lambda by cross-validation where the configuration asks for it, and the training itself."""


rule cross_validate_regularization:
    """One weight, one fold: a training of its own, so that all of them can run side by side."""
    input:
        population=population_of,
        subjects=subjects_of,
        initial=initial_of,
    output:
        score=ensure(
            "<results>/{run}/cross_validation/weight{weight}_fold{fold}.csv",
            non_empty=True,
        ),
        seen="<results>/{run}/cross_validation/weight{weight}_fold{fold}.seen.csv",
    log:
        "<logs>/{run}/cross_validate_regularization/weight{weight}_fold{fold}.log",
    benchmark:
        "<benchmarks>/{run}/cross_validate_regularization/weight{weight}_fold{fold}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: setting("training/threads")
    resources:
        gpu=setting("training/gpus"),
        mem=per_attempt("8GB"),
        runtime=per_attempt("12h"),
    params:
        model=setting("model"),
        person_column=setting("population/person"),
        training=trial_settings,
        folds=setting("training/regularization/folds"),
        threads=setting("training/threads"),
        seed=seed_of("cross_validation"),
        code=code("cross_validate_regularization"),
    message:
        "Cross-validating weight {wildcards.weight}, fold {wildcards.fold} of {wildcards.run}"
    script:
        "../workflow_scripts/cross_validate_regularization.py"


rule select_regularization:
    """The weight with the lowest registration loss on subjects held out."""
    input:
        scores=folds_of,
    output:
        table=ensure("<results>/{run}/regularization.csv", non_empty=True),
        choice=ensure("<results>/{run}/regularization.json", non_empty=True),
    log:
        "<logs>/{run}/select_regularization.log",
    conda:
        "../envs/train.yaml"
    params:
        code=code("select_regularization"),
    message:
        "Choosing the regularization of {wildcards.run}"
    script:
        "../workflow_scripts/select_regularization.py"


rule train_encoder:
    """Train the landmark encoder, or adopt a trained one."""
    input:
        population=population_of,
        subjects=subjects_of,
        regularization=regularization_of,
        initial=initial_of,
        pretrained=optional("model/pretrained"),
    output:
        encoder=ensure("<results>/{run}/model/encoder.pt", non_empty=True),
        history=ensure("<results>/{run}/model/history.csv", non_empty=True),
        timings=ensure("<results>/{run}/model/timings.csv", non_empty=True),
        seen=ensure("<results>/{run}/model/seen.csv", non_empty=True),
    log:
        "<logs>/{run}/train_encoder.log",
    benchmark:
        "<benchmarks>/{run}/train_encoder.jsonl"
    conda:
        "../envs/train.yaml"
    threads: setting("training/threads")
    resources:
        gpu=setting("training/gpus"),
        mem=per_attempt("8GB"),
        runtime=per_attempt("24h"),
    params:
        model=setting("model"),
        person_column=setting("population/person"),
        training=setting("training"),
        threads=setting("training/threads"),
        seed=seed_of("training"),
        code=code("train_encoder"),
    message:
        "Training the encoder of {wildcards.run}"
    script:
        "../workflow_scripts/train_encoder.py"
