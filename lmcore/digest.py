"""Digests of source code, so that a stage runs again when, and only when, its code changed.

Snakemake watches a rule's script, not what the script imports.
"""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent
# They decide how a job runs and what it says, never what it computes.
PLUMBING = {
    "lmcore",
    "lmcore.errors",
    "lmcore.files",
    "lmcore.job",
    "lmcore.progress",
    "lmcore.timings",
}


def source_digest(*sources: str | Path) -> str:
    """Digest of scripts or lmcore modules and of everything they import inside lmcore.

    Comments, docstrings and layout do not count: the syntax trees are hashed.

    Arguments:
        sources: paths of scripts, or dotted names of modules such as `lmcore.files`.
    Raises:
        FileNotFoundError: if a source does not exist.
        ValueError: at a relative import, which would not be followed.
    """
    pending = [Path(s) if str(s).endswith(".py") else _path_of(str(s)) for s in sources]
    seen: dict[Path, str] = {}
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen[path], imported = _read(path)
        pending += [_path_of(name) for name in imported]
    return hashlib.sha256("".join(sorted(seen.values())).encode()).hexdigest()[:16]


def _path_of(module: str) -> Path:
    relative = Path(*module.split(".")[1:])
    for candidate in (PACKAGE / relative / "__init__.py", PACKAGE / relative.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no module {module}")


@functools.cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = sorted(set(_imports(tree)) - PLUMBING)
    for node in ast.walk(tree):
        documented = isinstance(
            node, (ast.Module, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        )
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return f"{path.name} {ast.dump(tree)}\n", tuple(imported)


def _imports(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lmcore"))
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"relative import in line {node.lineno}: digests follow absolute ones")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmcore"):
            for alias in node.names:  # a name is a module of the package or something inside one
                try:
                    _path_of(f"{node.module}.{alias.name}")
                    yield f"{node.module}.{alias.name}"
                except FileNotFoundError:
                    yield node.module
