"""What each rule of a finished run took: time and memory of its jobs, and the size of its files.

From the `benchmark:` files that Snakemake writes. CPU seconds say what a job needs where others
share the machine, memory is the largest resident set of a job.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

# Which files of a run a rule writes.
WRITES = {
    "simulate_population": ("simulated", "truth", "truth.csv"),
    "preprocess_population": ("population.h5", "subjects.csv"),
    "train_encoder": ("model",),
    "discover_landmarks": ("landmarks/all.csv",),
    "rank_landmarks": ("landmarks/importance.csv",),
    "evaluate_registration": ("analysis/registration.csv", "analysis/examples.h5"),
    "build_particles": ("particles",),
    "evaluate_shape_model": ("analysis/shape_model.h5", "analysis/shape_model_modes"),
    "export_landmarks": ("exports",),
}


def main(arguments: list[str] | None = None) -> None:
    """Print a row a rule, a column an experiment: seconds, memory, disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of a finished run")
    results = parser.parse_args(arguments).results
    measured = read(results)
    if not measured:
        sys.exit(f"error: {results} has no benchmarks of a finished run")
    experiments = sorted({experiment for experiment, _ in measured})
    rules = list(dict.fromkeys(rule for _, rule in sorted(measured, key=order)))
    print("| rule |" + "".join(f" {name} |" for name in experiments))
    print("|---|" + "--:|" * len(experiments))
    for rule in rules:
        cells = [cell(measured.get((name, rule)), results / name, rule) for name in experiments]
        print(f"| `{rule}` |" + "".join(f" {text} |" for text in cells))


def read(results: Path) -> dict[tuple[str, str], list[dict]]:
    """(experiment, rule) -> measurements of its jobs; variants apart."""
    found = defaultdict(list)
    for path in sorted((results / "benchmarks").rglob("*.jsonl")):
        experiment, *inside = path.relative_to(results / "benchmarks").with_suffix("").parts
        if inside[0] != "variants":
            rows = path.read_text(encoding="utf-8").splitlines()
            found[experiment, inside[0]] += [json.loads(row) for row in rows]
    return found


def order(measured: tuple[str, str]) -> tuple[int, str]:
    """Rules in the order of the workflow, then by name."""
    known = list(WRITES)
    rule = measured[1]
    return known.index(rule) if rule in known else len(known), rule


def cell(jobs: list[dict] | None, run: Path, rule: str) -> str:
    """`mean s (CPU s), largest MB, MB on disk`; jobs are counted where there are several."""
    if not jobs:
        return ""
    seconds = sum(job["s"] for job in jobs) / len(jobs)
    seen = [job for job in jobs if job["max_rss"] != "NA"]  # a job may be too short to be seen
    processor = f" ({sum(job['cpu_time'] for job in seen) / len(seen):.0f})" if seen else ""
    memory = f", {max(job['max_rss'] for job in seen):.0f} MB" if seen else ""
    disk = sum(size_of(run / name) for name in WRITES.get(rule, ())) / 1e6
    count = f"{len(jobs)} x " if len(jobs) > 1 else ""
    return f"{count}{seconds:.0f}{processor} s{memory}" + (f", {disk:.1f} MB" if disk else "")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    main()
