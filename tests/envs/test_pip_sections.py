"""Every environment of envs/ in a fresh venv: its scripts import, and the small chain runs in it.

Snakemake itself is in a venv of its own, as of somebody who installed nothing else; so a package
that an environment lacks is not found beside Snakemake either.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from copies import ROOT, copy_workflow

ENVS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
HERE = ROOT / "tests/envs"


def rules_of(env: str) -> dict[str, Path]:
    """Script by rule, of all rules that name the environment."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk")]
    rules = [rule for text in texts for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]]
    scripts = {rule.split(":")[0]: re.search(r'"\.\./(\w+/\w+\.py)"', rule) for rule in rules}
    return {
        rule.split(":")[0]: ROOT / scripts[rule.split(":")[0]][1]
        for rule in rules
        if f'"../envs/{env}.yaml"' in rule
    }


def imports_of(script: Path) -> list[str]:
    """The import statements of a script, at whatever depth."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    return [ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    """The folder of a finished run of the small chain with --use-conda."""
    folder = tmp_path_factory.mktemp("envs")
    copy_workflow(folder)
    workflow = folder / "workflow"
    subprocess.run([sys.executable, "-m", "venv", workflow], check=True)
    lock = ROOT / "envs/requirements.lock"
    pip = [workflow / "bin/python", "-m", "pip", "install", "--quiet", "--constraint", lock]
    subprocess.run([*pip, "snakemake"], check=True)
    conda = folder / "conda/conda"
    conda.parent.mkdir()
    for name in ("stand_in_conda.py", "small.yaml"):
        (conda.parent / name).write_bytes((HERE / name).read_bytes())
    stand_in = shlex.join([str(workflow / "bin/python"), str(conda.parent / "stand_in_conda.py")])
    conda.write_text(f'#!/bin/sh\nexec {stand_in} "$@"\n', encoding="utf-8")
    conda.chmod(0o755)
    command = [workflow / "bin/snakemake", "--cores", "2", "--use-conda", "--printshellcmds"]
    result = subprocess.run(
        [*command, "--configfile", "conda/small.yaml", "--", "all"],
        cwd=folder,
        env=os.environ | {"PATH": f"{conda.parent}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    yield folder
    for venvs in (".snakemake/conda", "workflow"):  # gigabytes
        shutil.rmtree(folder / venvs)


def venv_of(env: str, folder: Path) -> Path:
    """The folder that Snakemake gave to an environment, known by the copy of its file."""
    wanted = yaml.safe_load((ROOT / f"envs/{env}.yaml").read_text(encoding="utf-8"))
    (found,) = [
        copy.with_suffix("")
        for copy in (folder / ".snakemake/conda").glob("*.yaml")
        if yaml.safe_load(copy.read_text(encoding="utf-8")) == wanted
    ]
    return found


@pytest.mark.parametrize("env", ENVS)
def test_every_script_of_the_environment_imports(chain, env):
    python = venv_of(env, chain) / "bin/python"
    scripts = set(rules_of(env).values())
    assert scripts
    for script in sorted(scripts):
        result = subprocess.run(
            [python, "-c", "\n".join(imports_of(script))],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            text=True,
            capture_output=True,
        )
        assert result.returncode == 0, f"{script.name} in {env}: {result.stderr[-2000:]}"


@pytest.mark.parametrize("env", ENVS)
def test_lmcore_is_not_installed_and_versions_are_the_locks(chain, env):
    frozen = subprocess.run(
        [venv_of(env, chain) / "bin/python", "-m", "pip", "freeze"], text=True, capture_output=True
    ).stdout.lower()
    assert "lmcore" not in frozen
    lock = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").lower().splitlines()
    content = (ROOT / f"envs/{env}.yaml").read_text(encoding="utf-8").lower()
    for pinned in re.findall(r"\S+==\S+", content):
        assert pinned in lock
        assert pinned in frozen.replace("+cpu", "")


def test_the_small_chain_ran_in_the_environments(chain):
    python = chain / "workflow/bin/python"
    alone = subprocess.run([python, "-c", "import numpy"], text=True, capture_output=True)
    assert "ModuleNotFoundError" in alone.stderr  # so no script can have run in Snakemake's own
    assert (chain / "results/summary.md").stat().st_size > 0
    assert (chain / "results/hips/figures/shape_model.png").stat().st_size > 0
