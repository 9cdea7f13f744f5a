#!/usr/bin/env bash
# Script of the rule optimize_shapes: ShapeWorks on a copy of a project, since it rewrites the
# project and works in its folder. Needs bash and ShapeWorks alone, so that it runs in any image.
set -euo pipefail

project=$(realpath "${snakemake_input[project]}")
mkdir -p "${snakemake_output[particles]}" "$(dirname "${snakemake_log[0]}")"
particles=$(realpath "${snakemake_output[particles]}")
log=$(realpath "$(dirname "${snakemake_log[0]}")")/$(basename "${snakemake_log[0]}")
shapeworks=${snakemake_params[shapeworks]}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -R "$project/." "$scratch"
# its optimiser takes every core unless told otherwise
export TBB_NUM_THREADS=${snakemake[threads]:-1}

{ "$shapeworks" --version || true; } 2>&1 | head -n 1 > "$scratch/version.txt"
if ! (cd "$scratch" && "$shapeworks" optimize --name project.swproj) > "$log" 2>&1; then
    echo "error: $shapeworks optimize failed; its output is above, in $log" >> "$log"
    exit 1
fi
if ! ls "$scratch"/project_particles/*_world.particles > /dev/null 2>&1; then
    echo "error: $shapeworks optimize ended well but wrote no particles; see $log" >> "$log"
    exit 1
fi
cp -R "$scratch/." "$particles"
