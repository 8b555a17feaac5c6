"""python docs/reference.py [FOLDER]: the API reference as HTML, from docstrings, by pdoc.

FOLDER is build/api where none is given.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import pdoc

PACKAGES = ("bench", "samplers", "backbones")


def build(folder: Path) -> None:
    """A page for every module of the project."""
    for package in PACKAGES:
        show_all_of(package)
    pdoc.render.configure(docformat="google")
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
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/api"))
