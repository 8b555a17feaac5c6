"""What readers of a page choose by: samplers, datasets, backbones, objectives and metrics.

The page says of each column which of them it holds, or which one it is about, so that its script
need not guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.metrics import METRICS
from bench.reports.document import Heading, Part
from bench.reports.plots.looks import Looks, looks_of
from bench.studies.own_loss import has_own_loss

COLUMNS = {
    **{name: name for name in ("sampler", "dataset", "backbone", "objective", "metric")},
    **dict.fromkeys(("first", "second", "method", "system"), "sampler"),
}
"""Header of a column of names to the facet that these are of."""

OWN = "own"
"""The objective of a comparison of samplers that all have a loss of their own."""


@dataclass(frozen=True)
class Facets:
    """Of a page.

    Attributes:
        values: facet to its values, in the order of tables; references stand among the samplers.
        looks: of samplers, as the figures have them.
    """

    values: Mapping[str, Sequence[str]]
    looks: Looks

    @classmethod
    def of(cls, comparisons: Sequence[Comparison]) -> Facets:
        """All that the comparisons of a study have."""
        cells = [one.cells for one in comparisons]
        samplers = [name for each in cells for name in sampler_order(each)]
        references = [name for one in comparisons for name in one.references]
        return cls(
            {
                "sampler": _once([*samplers, *references]),
                "dataset": _once(name for each in cells for name in each["dataset"]),
                "backbone": _once(name for each in cells for name in sorted(each["backbone"])),
                "objective": _once(map(objective_of, comparisons)),
                "metric": list(METRICS.values()),
            },
            looks_of(samplers),
        )

    @property
    def offered(self) -> dict[str, Sequence[str]]:
        """Those among whose values there is a choice."""
        return {name: values for name, values in self.values.items() if len(values) > 1}

    def column(self, header: str, text: bool) -> dict[str, str]:
        """Attributes of a column: the facet of the names in it, or the value that it is about."""
        if text and COLUMNS.get(header) in self.values:
            return {"data-facet": COLUMNS[header]}
        found = [] if text else self._named(header)
        return {"data-value": about(*found)} if found else {}

    def blocks(self, parts: Sequence[Part]) -> list[tuple[str, list[Part]]]:
        """Parts by the headings that they stand under, each with what they are `about`."""
        found: list[tuple[str, list[Part]]] = []
        for part in parts:
            if isinstance(part, Heading) or not found:
                values = self._of_heading(part.text) if isinstance(part, Heading) else []
                found.append((about(*values), []))
            found[-1][1].append(part)
        return found

    def _named(self, name: str) -> list[tuple[str, str]]:
        """The facet that has such a value, and the value; the first, if several have."""
        return [(facet, name) for facet, values in self.values.items() if name in values][:1]

    def _of_heading(self, text: str) -> list[tuple[str, str]]:
        """What a heading names: a backbone, or a dataset with a backbone."""
        if text in self.values.get("backbone", ()):
            return [("backbone", text)]
        blocks = itertools.product(*(self.values.get(name, ()) for name in ("dataset", "backbone")))
        for dataset, backbone in blocks:
            if text == f"{dataset}, {backbone}":
                return [("dataset", dataset), ("backbone", backbone)]
        return []


NONE = Facets({}, {})
"""Of a page on which there is nothing to choose."""


def about(*values: tuple[str, str]) -> str:
    """Facets and values as an attribute of HTML, ``sampler:dns%2B metric:NG%4010``."""
    return " ".join(f"{facet}:{quote(value, safe='')}" for facet, value in values)


def objective_of(comparison: Comparison) -> str:
    """The loss of those of a comparison's samplers that have none of their own."""
    own = comparison.trained["method"].map(has_own_loss)
    objectives = comparison.trained["objective"][~own.astype(bool)]
    return str(objectives.iloc[0]) if len(objectives) else OWN


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
