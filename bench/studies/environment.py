"""What a cell ran on: enough to know which numbers may be compared to the last digit."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import bench
from bench.studies.modules import PROJECT
from bench.studies.records import CHANGES

ROOT = Path(__file__).resolve().parents[2]
"""What holds the project's packages."""

_PACKAGES = ("torch", "numpy", "pandas", "joblib", "mamba-ssm")


def describe(device: torch.device, threads: int) -> dict[str, Any]:
    """Versions, processor or GPU, threads, and the harness's own version and commit, as JSON
    values."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES if _version(name)},
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "version": bench.__version__,
        "commit": commit_of(ROOT),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def commit_of(root: Path) -> str | None:
    """Commit of the harness that lies there, with `CHANGES` when its code differs from it or has
    files that are in none, whatever has become of results and texts.

    None outside git, and where the repository around it is another's (of a virtual environment in
    it).
    """
    git = ["git", "-C", str(root)]
    try:
        own = subprocess.run([*git, "ls-files", "--error-unmatch", *PROJECT], capture_output=True)
        if own.returncode != 0:
            return None
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", *PROJECT], capture_output=True, text=True
        )
    except OSError:
        return None
    if commit.returncode != 0:
        return None
    return commit.stdout.strip() + (CHANGES if changes.stdout.strip() else "")
