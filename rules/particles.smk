"""Corresponding points on surfaces: by coherent point drift, or by ShapeWorks where it is."""


rule write_shapeworks_project:
    """What ShapeWorks is given: the training shapes, or the others with the training's fixed."""
    input:
        population=population_of,
        subjects=subjects_of,
        trained=trained_shapes_of,
    output:
        project=directory("<results>/{experiment}/particles/shapeworks/{stage}_project"),
    log:
        "<logs>/{experiment}/write_shapeworks_project_{stage}.log",
    conda:
        "../envs/surfaces.yaml"
    resources:
        mem=per_attempt("4GB"),
        runtime=per_attempt("1h"),
    params:
        points=particle_count_of,
        settings=setting("particles/shapeworks"),
        code=code("write_shapeworks_project"),
    message:
        "Writing the ShapeWorks project of {wildcards.experiment}, {wildcards.stage}"
    script:
        "../workflow_scripts/write_shapeworks_project.py"


rule optimize_shapes:
    """ShapeWorks itself, on a copy of the project: it rewrites what it is given."""
    input:
        project="<results>/{experiment}/particles/shapeworks/{stage}_project",
    output:
        particles=directory("<results>/{experiment}/particles/shapeworks/{stage}"),
    log:
        "<logs>/{experiment}/optimize_shapes_{stage}.log",
    benchmark:
        "<benchmarks>/{experiment}/optimize_shapes_{stage}.jsonl"
    container:
        lambda wildcards: RUNS[wildcards.experiment]["particles"]["container"]
    envmodules:
        *shapeworks_modules(),
    threads: 8
    resources:
        mem=per_attempt("16GB"),
        runtime=per_attempt("24h"),
    params:
        shapeworks=shapeworks_command_of,
    message:
        "ShapeWorks on {wildcards.experiment}, {wildcards.stage}"
    script:
        "../workflow_scripts/optimize_shapes.sh"


rule build_particles:
    """Points of all subjects that correspond, and their mean; the engine is named beside them."""
    input:
        unpack(optimized_shapes_of),
        population=population_of,
        subjects=subjects_of,
    output:
        particles=ensure(
            "<results>/{experiment}/particles/particles.csv", non_empty=True
        ),
        mean=ensure("<results>/{experiment}/particles/mean.csv", non_empty=True),
        engine=report(
            ensure("<results>/{experiment}/particles/engine.json", non_empty=True),
            caption="../report/particles.rst",
            category="{experiment}",
            subcategory="tables",
        ),
    log:
        "<logs>/{experiment}/build_particles.log",
    benchmark:
        "<benchmarks>/{experiment}/build_particles.jsonl"
    conda:
        "../envs/surfaces.yaml"
    threads: 2
    resources:
        mem=per_attempt("8GB"),
        runtime=per_attempt("2h"),
    params:
        engine=setting("particles/engine"),
        points=particle_count_of,
        seed=seed_of("particles"),
        code=code("build_particles"),
    message:
        "Building the particles of {wildcards.experiment}"
    script:
        "../workflow_scripts/build_particles.py"
