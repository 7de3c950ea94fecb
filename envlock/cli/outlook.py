"""``envlock build --plan``: what building and pushing would do, before anything is written."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from rich.markup import escape
from rich.table import Table

from envlock.cli import plain, terminal
from envlock.cli.building import Request
from envlock.cli.destination import Destination
from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.store import Store
from envlock.image.forecast import Forecast, forecast, to_fetch
from envlock.image.plan import ImagePlan, plan
from envlock.image.runtime import runtime_files
from envlock.lock.model import Package
from envlock.oci.registry.client import connected
from envlock.oci.registry.push import Presence, presence
from envlock.oci.registry.reference import Reference

_THREADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A plan, its layers, the wheels that must be fetched, and for each registry what it has of them."""

    planned: ImagePlan
    platform: str
    layers: tuple[Forecast, ...]
    wheels: tuple[Package, ...]
    registries: Mapping[str, Mapping[Digest, Presence]]

    @property
    def to_fetch(self) -> int:
        """Bytes of wheels and base layers that are not here."""
        layers = sum(one.size or 0 for one in self.layers if one.state == "fetch")
        return layers + sum(one.wheel.size for one in self.wheels)


def show(
    requests: Sequence[Request],
    destinations: Sequence[Destination],
    store: Store,
    progress: Progress,
    *,
    as_json: bool,
) -> None:
    """Print what would be done for each request. Raises UnreachableError for a registry."""
    outlooks = [_look(one, destinations, store, progress) for one in requests]
    if as_json:
        told = [_members(one) for one in outlooks]
        plain.print_json(told[0] if len(told) == 1 else {"images": told})
        return
    for outlook in outlooks:
        _print(outlook)


def _look(request: Request, destinations: Sequence[Destination], store: Store, progress: Progress) -> Outlook:
    """Ask the store, and each registry among ``destinations``."""
    source = request.source
    planned = plan(source.lock, lock_bytes=source.data, options=request.settings, runtime=runtime_files())
    layers = forecast(planned, source.lock, store, source.directory, request.project)
    blobs = tuple(dict.fromkeys(one.layer.blob for one in layers if one.layer is not None))
    registries = {
        str(one): _present(one.target, blobs, store, request.network.ca_bundle, progress)
        for one in destinations
        if one.kind == "registry"
    }
    return Outlook(
        planned=planned,
        platform=source.lock.platform,
        layers=layers,
        wheels=to_fetch(source.lock, store, source.directory),
        registries=registries,
    )


def _members(outlook: Outlook) -> dict[str, object]:
    """Return the outlook as JSON members."""
    return {
        "platform": outlook.platform,
        "layers": [_layer(one, outlook) for one in outlook.layers],
        "wheels-to-fetch": [one.wheel.name for one in outlook.wheels],
        "bytes-to-fetch": outlook.to_fetch,
        "labels": dict(outlook.planned.labels),
        "environment": dict(outlook.planned.environment),
    }


def _print(outlook: Outlook) -> None:
    """Print a table of the layers, and what there is to do."""
    columns = ["layer", "MB", "here", *(name.partition(":")[2] for name in outlook.registries), "holds"]
    table = Table(*columns, box=None, header_style="dim", pad_edge=False)
    for number, one in enumerate(outlook.layers, 1):
        size = "?" if one.size is None else f"{one.size / 1e6:.1f}"
        there = (_there(one, found) or "?" for found in outlook.registries.values())
        table.add_row(str(number), size, one.state, *there, escape(one.holds))
    terminal.out.print(table)
    built = sum(one.state == "build" for one in outlook.layers)
    told = [f"{outlook.platform}: {built} of {len(outlook.layers)} layers to build"]
    if outlook.to_fetch:
        told.append(f"{outlook.to_fetch / 1e6:.1f} MB to fetch")
    told += [_sending(name, outlook) for name in outlook.registries]
    terminal.out.print("; ".join(told), markup=False)


def _sending(name: str, outlook: Outlook) -> str:
    found = outlook.registries[name]
    lacking = [one for one in outlook.layers if _there(one, found) in ("send", None)]
    size = sum(one.size or 0 for one in lacking)
    more = " or more" if any(one.layer is None for one in lacking) else ""
    return f"{size / 1e6:.1f} MB{more} to send to {name.partition(':')[2]}"


def _present(
    target: str, blobs: Sequence[Digest], store: Store, ca_bundle: str | None, progress: Progress
) -> dict[Digest, Presence]:
    with (
        connected(Reference.parse(target), os.environ, ca_bundle, progress) as repository,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        found = pool.map(lambda blob: presence(blob, repository, store), blobs)
        return dict(zip(blobs, found, strict=True))


def _layer(one: Forecast, outlook: Outlook) -> dict[str, object]:
    told: dict[str, object] = {"holds": one.holds, "bytes": one.size, "state": one.state}
    if one.layer is not None:
        told["blob"] = str(one.layer.blob)
    if outlook.registries:
        told["registries"] = {name: _there(one, found) for name, found in outlook.registries.items()}
    return told


def _there(one: Forecast, found: Mapping[Digest, Presence]) -> Presence | None:
    """Return what a registry has of a layer; None when nobody knows its digest yet."""
    return None if one.layer is None else found[one.layer.blob]
