"""python docs/reference.py [FOLDER]: the API reference as HTML, from docstrings, by pdoc."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from pathlib import Path

try:
    import pdoc
except ImportError as error:
    raise SystemExit(
        "it needs the extra docs: pip install -c constraints.txt -e '.[docs]'"
    ) from error

PACKAGES = ("bench", "samplers", "backbones")


def build(folder: Path, source: bool = True) -> None:
    """A page for every module of the project, with its source."""
    for package in PACKAGES:
        show_all_of(package)
    pdoc.render.configure(docformat="google", show_source=source)
    pdoc.pdoc(*PACKAGES, output_directory=folder)


def show_all_of(name: str) -> None:
    """Have pdoc show what it leaves out of a package with ``__all__``.

    That is its modules, where ``__all__`` does not name them, and names that it gives lazily.
    """
    package = importlib.import_module(name)
    modules = list(pkgutil.iter_modules(package.__path__))
    if hasattr(package, "__all__"):
        for public in package.__all__:
            vars(package).setdefault(public, getattr(package, public))
        package.__all__ = list(dict.fromkeys([*package.__all__, *(m.name for m in modules)]))
    for module in modules:
        if module.ispkg:
            show_all_of(f"{name}.{module.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python docs/reference.py", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/api"))
    parser.add_argument("--no-source", action="store_true", help="without it: in half the time")
    options = parser.parse_args()
    build(options.folder, source=not options.no_source)
