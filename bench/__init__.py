"""The harness: grids of cells, one training loop, one evaluator, results and reports.

    import bench

    plan = bench.plan(preset="smoke", samplers=["uniform", "dns"], backbones=["sasrec"])
    study = bench.Study("demo")
    study.run(plan, workers=2)
    study.frame()

Names are imported when they are first asked for (PEP 562): ``import bench`` alone costs nothing,
and samplers, which the harness imports, may import it.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "Change": "bench.analysis.compare_studies",
    "Comparison": "bench.analysis.comparison",
    "Expected": "bench.studies.study",
    "External": "bench.studies.external",
    "Failure": "bench.studies.running",
    "Listener": "bench.studies.listeners",
    "Plan": "bench.studies.planning",
    "Recommender": "bench.studies.recommender",
    "Reading": "bench.datasets.log_options",
    "Presentation": "bench.reports.presentation",
    "Record": "bench.studies.records",
    "Result": "bench.answer",
    "RunResult": "bench.studies.study",
    "Sampling": "bench.training.own_loop",
    "Study": "bench.api",
    "UserError": "bench.errors",
    "compare": "bench.answer",
    "compare_studies": "bench.api",
    "evaluate": "bench.models",
    "listing": "bench.studies.listing",
    "load_model": "bench.models",
    "names_of": "bench.reports.names",
    "plan": "bench.api",
    "read_names": "bench.reports.names",
    "run": "bench.api",
}
"""Public name to the module that has it; ``__init__.pyi`` says the same to type checkers."""

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Of the installed distribution, or of the checkout that this is."""
    from importlib import metadata
    from pathlib import Path

    try:
        return metadata.version("negative-sampling-bench")
    except metadata.PackageNotFoundError:
        project = Path(__file__).resolve().parent.parent / "pyproject.toml"
        if not project.is_file():
            return "0+unknown"
        import tomllib

        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
