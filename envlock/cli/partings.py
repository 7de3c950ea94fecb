"""What a person is told of where traced runs part."""

from collections.abc import Iterator

from rich.markup import escape

from envlock.cli import terminal
from envlock.core.printable import printable
from envlock.replay.trace.parting import Parting
from envlock.runtime.trace.event import Event

_MOST = 5
_PAIR = 2


def partings(found: tuple[Parting, ...], titles: tuple[str, ...]) -> Iterator[str]:
    """Yield a line with markup for each process, those that are alike last; ``titles`` are the runs'."""
    ordered = sorted(found, key=lambda one: one.how == "alike")
    for one in ordered[:_MOST]:
        of = f" in {titles[one.run]}" if len(titles) > _PAIR else ""
        told = f"{one.process or 'all processes'}{of}: {_parting(one, titles)}"
        yield f"[bold]trace[/]  {escape(printable(told))}"
    if len(ordered) > _MOST:
        yield f"       and {len(ordered) - _MOST} more processes: --json lists them all"


def _parting(found: Parting, titles: tuple[str, ...]) -> str:
    if found.how == "unread":
        return f"not compared: {found.reason}"
    alike = terminal.count(found.compared, "tensor")
    if found.how == "alike":
        return f"all {alike} alike: what differs comes after them, or is no part of a trace"
    if found.how == "values" and found.first is not None:
        return f"after {alike} alike, step {found.first.step}: {_told(found.first)}, differs"
    first, second = (
        f"{title} has {'nothing' if event is None else f'step {event.step}, {_told(event)}'}"
        for title, event in ((titles[0], found.first), (titles[found.run], found.second))
    )
    return f"after {alike} alike, {first}; {second}"


def _told(event: Event) -> str:
    """Return which tensor the event is."""
    of = f" of {event.where}" if event.where else ""
    told = {
        "input": f"input {event.name}{of}",
        "op": f"{event.name} in {event.where or 'no module'}",
        "module": f"result {event.name}{of}" if event.name else f"the result{of}",
        "gradient": f"the gradient of {event.name} before the step{of}",
        "parameter": f"{event.name} after the step{of}",
    }
    return f"{told[event.kind]}, {event.shape}"
