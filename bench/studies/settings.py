"""Settings of a grid, ``mdcns.gamma=1.5`` or ``epochs=20``: where each applies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import backbones
from bench.cell import OWN_OF_BACKBONES, Component, Protocol
from bench.errors import UserError
from bench.registry import Registry, suggest
from bench.studies.components import ANY, REGISTRIES, check_search_space


class Settings:
    """``--set`` options: where each applies, and whether all were of use."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        self._pairs, self._used, self._options = pairs, set[str](), set[str]()

    def protocol(self, base: Protocol) -> Protocol:
        """The protocol with the settings that have no dot."""
        parameters = Protocol.parameters()
        changed = {}
        for name, value in self._pairs:
            if "." in name:
                continue
            if name not in parameters:
                raise UserError(
                    f"--set {name}={value}: no such setting of the protocol"
                    f"{suggest(name, list(parameters))} (for a hyper-parameter write "
                    f"COMPONENT.{name}={value})"
                )
            changed[name] = parameters[name].parse("protocol", value)
            self._used.add(name)
        return replace(base, **changed)

    def protocol_of(self, backbone: str, base: Protocol) -> Protocol:
        """The protocol of a backbone's cells, with what of it the backbone has its own.

        The last setting counts, as everywhere: ``lr=0.001`` after ``gru4rec.lr=0.01`` is for all.
        """
        parameters = Protocol.parameters()
        changed = {}
        for name, value in self._pairs:
            target, dot, option = name.rpartition(".")
            own = target == backbone and _own_of_backbone(backbone, option)
            if own or (not dot and option in OWN_OF_BACKBONES):
                changed[option] = parameters[option].parse(target or "protocol", value)
                self._used.add(name)
        return replace(base, **changed)

    def components(
        self,
        registry: Registry[Any],
        names: Iterable[str],
        defaults: Mapping[str, Any] | None = None,
    ) -> list[Component]:
        """Each name with its hyper-parameters resolved; repeated names count once."""
        result = []
        for name in dict.fromkeys(names):
            known = registry.hyper_parameters(name)
            check_search_space(registry, name)
            self._options |= known.keys()
            own = registry.set_by_variant(name)
            given = {k: v for k, v in (defaults or {}).items() if k in known and k not in own}
            for setting, value in self._pairs:
                target, dot, option = setting.rpartition(".")
                if not dot or target not in (name, ANY):
                    continue
                if registry is backbones.registry and _own_of_backbone(name, option):
                    continue  # It is the protocol's.
                # A namesake in another registry may be meant; if none is, let it be an error.
                if option in known or (target == name and not _elsewhere(registry, name, option)):
                    given[option] = value
                    self._used.add(setting)
            result.append(Component(name, registry.resolve(name, given)))
        return result

    def check_all_used(self, given: Collection[str]) -> None:
        """See that those that the user gave were of use; a preset's need not be."""
        for setting, value in self._pairs:
            if setting in given and setting not in self._used:
                target = setting.rpartition(".")[0]
                every = [
                    name
                    for registry in REGISTRIES.values()
                    for name in registry.names() + registry.variants()
                ]
                if target == ANY:
                    option = setting.rpartition(".")[2]
                    raise UserError(
                        f"--set {setting}={value}: nothing in this grid has an option {option!r}"
                        f"{suggest(option, sorted(self._options))}"
                    )
                hint = "is not part of this grid" if target in every else "is unknown"
                raise UserError(
                    f"--set {setting}={value}: {target!r} {hint}"
                    f"{'' if target in every else suggest(target, every)}"
                )


def _own_of_backbone(backbone: str, option: str) -> bool:
    """Whether the option of a backbone is one of the protocol; a hyper-parameter goes before."""
    known = backbones.registry.hyper_parameters(backbone)
    return option in OWN_OF_BACKBONES and option not in known


def _elsewhere(registry: Registry[Any], name: str, option: str) -> bool:
    """Whether another registry has a component of that name with such a hyper-parameter."""
    return any(
        name in other.names() + other.variants() and option in other.hyper_parameters(name)
        for other in REGISTRIES.values()
        if other is not registry
    )
