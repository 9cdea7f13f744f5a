"""The conda files hold the lock's versions, and what the scripts that use them import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
# names of modules that are not those of their packages
PACKAGES = {
    "PIL": "pillow",
    "SimpleITK": "simpleitk",
    "sklearn": "scikit-learn",
    "vtkmodules": "pyvista",  # which is VTK's for Python, and requires it
    "yaml": "pyyaml",
}
# Snakemake imports these for a script, from its own environment
PROVIDED = {"snakemake"}


def locked() -> dict[str, str]:
    """Package -> version of envs/requirements.lock."""
    lines = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line)


def pinned(env: Path) -> dict[str, str]:
    """Package -> version of the pip section."""
    content = yaml.safe_load(env.read_text(encoding="utf-8"))
    (pip,) = [part["pip"] for part in content["dependencies"] if isinstance(part, dict)]
    assert all("==" in line for line in pip), f"{env.name}: a version is not exact"
    return dict(line.lower().split("==") for line in pip)


def scripts_of(env: Path) -> list[Path]:
    """Scripts of all rules that name the environment."""
    found = []
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"^rule ", rules.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            script = re.search(r'"\.\./(workflow_scripts/\w+\.py)"', rule)
            if script and f'"../envs/{env.name}"' in rule:
                found.append(ROOT / script[1])
    return found


def modules_in(path: Path) -> set[str]:
    """Dotted names of all that a file imports, at whatever depth; a and a.b of `from a import b`.

    `import_module(f"lmcore.simulation.{...}")` counts as every module of that package.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            package = str(node.values[0].value)
            if re.fullmatch(r"(lmcore\.\w+\.)", package):
                folder = ROOT / package.strip(".").replace(".", "/")
                names |= {f"{package}{file.stem}" for file in folder.glob("*.py")}
    return names


def packages_of(scripts: list[Path]) -> set[str]:
    """Third-party packages that scripts import, themselves or through lmcore."""
    pending, seen, packages = list(scripts), set(), set()
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in modules_in(path):
            top = name.split(".")[0]
            if top == "lmcore":
                base = ROOT / name.replace(".", "/")
                files = (base.with_suffix(".py"), base / "__init__.py")
                pending += [file for file in files if file.is_file()]
            elif top not in sys.stdlib_module_names | PROVIDED:
                packages.add(PACKAGES.get(top, top))
    return packages


def test_there_are_environments():
    assert {env.stem for env in ENVS} >= {"core", "train"}


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_versions_are_those_of_the_lock(env):
    lock = locked()
    for package, version in pinned(env).items():
        assert lock[package] == version, f"{env.name}: {package}"


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_channels_and_python(env):
    content = yaml.safe_load(env.read_text(encoding="utf-8"))
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert content["dependencies"][:2] == ["python=3.11.*", "pip"]


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_an_environment_has_what_its_scripts_import_and_no_more(env):
    scripts = scripts_of(env)
    assert scripts, f"no rule uses {env.name}"
    assert set(pinned(env)) == packages_of(scripts)


def test_every_rule_with_a_script_has_an_environment():
    in_rules = {script for env in ENVS for script in scripts_of(env)}
    named = set()
    for rules in (ROOT / "rules").glob("*.smk"):
        named |= set(
            re.findall(r'"\.\./(workflow_scripts/\w+\.py)"', rules.read_text(encoding="utf-8"))
        )
    assert {path.relative_to(ROOT).as_posix() for path in in_rules} == named


def test_imports_are_followed_into_lmcore_and_into_populations_named_at_run_time():
    core = packages_of([ROOT / "workflow_scripts/simulate_population.py"])
    assert {"numpy", "pandas", "scipy", "pillow", "threadpoolctl"} <= core
    assert "torch" not in core
    assert "torch" in packages_of([ROOT / "workflow_scripts/train_encoder.py"])
