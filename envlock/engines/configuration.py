"""The part of an OCI image config that says how to run it (OCI image-spec, config.md)."""

import json
from dataclasses import dataclass
from typing import cast

from envlock.runtime.errors import InputError

ENVIRONMENT_ID_LABEL = "dev.envlock.environment-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfiguration:
    """``config`` of an image: what starts, with which variables, as whom, where."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    working_directory: str = "/"
    labels: tuple[tuple[str, str], ...] = ()
    platform: str = ""
    """``linux/arm64``; empty where the config does not say."""

    @property
    def environment_id(self) -> str | None:
        """The captured environment's identity, or None when envlock did not build the image."""
        return dict(self.labels).get(ENVIRONMENT_ID_LABEL)

    def argv(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Return the whole command: ``arguments`` replace the image's default ones, as in Docker."""
        return self.entrypoint + (arguments or self.command)


def parse(document: bytes, where: str) -> ImageConfiguration:
    """Read an image config. Raises InputError when it is none."""
    try:
        whole: object = json.loads(document)
    except ValueError as error:
        raise InputError("not an image config", where=where, expected="JSON", found=str(error)) from error
    config = whole.get("config") if isinstance(whole, dict) else None
    fields = cast("dict[str, object]", config) if isinstance(config, dict) else {}
    return ImageConfiguration(
        entrypoint=_strings(fields, "Entrypoint", where),
        command=_strings(fields, "Cmd", where),
        environment=tuple(_variable(text, where) for text in _strings(fields, "Env", where)),
        user=_string(fields, "User", where),
        working_directory=_string(fields, "WorkingDir", where) or "/",
        labels=_labels(fields.get("Labels")),
        platform=_platform(whole),
    )


def _strings(fields: dict[str, object], name: str, where: str) -> tuple[str, ...]:
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError("bad image config", where=f"{where}: config.{name}", expected="a list of strings")
    return tuple(value)


def _string(fields: dict[str, object], name: str, where: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise InputError("bad image config", where=f"{where}: config.{name}", expected="a string")
    return value


def _variable(text: str, where: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(
            "bad image config", where=f"{where}: config.Env", expected="NAME=VALUE", found=repr(text)
        )
    return name, value


def _platform(whole: object) -> str:
    members = whole if isinstance(whole, dict) else {}
    parts = (members.get("os"), members.get("architecture"))
    return "/".join(str(part) for part in parts) if all(parts) else ""


def _labels(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        return ()
    return tuple((name, text) for name, text in value.items() if isinstance(text, str))
