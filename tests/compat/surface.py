"""What a package like `livekit.rtc` offers: names, signatures, defaults, properties, documentation, as plain data.

`python -m tests.compat.surface livekit.rtc` prints it as JSON for the package that Python finds under that name; the
stored surfaces in `tests/compat/surfaces/` were made so, in an environment with that version of the official package.
"""

from __future__ import annotations

import argparse
import enum
import functools
import importlib
import inspect
import json
import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

# The modules of the official package that have no underscore, as users import them.
MODULES = (
    "apm",
    "audio_filter",
    "audio_frame",
    "audio_mixer",
    "audio_resampler",
    "audio_source",
    "audio_stream",
    "data_stream",
    "data_track",
    "e2ee",
    "encoded_video",
    "event_emitter",
    "frame_processor",
    "log",
    "media_devices",
    "participant",
    "platform_audio",
    "room",
    "rpc",
    "synchronizer",
    "track",
    "track_publication",
    "transcription",
    "utils",
    "version",
    "video_frame",
    "video_source",
    "video_stream",
)

# What every class, exception, dataclass or protobuf message has anyway.
_ORDINARY = {*dir(object), *dir(BaseException), *dir(enum.IntEnum)}


def of_package(name: str) -> dict[str, Any]:
    """Return the surface of a package and its modules."""
    package = importlib.import_module(name)
    surface = {"": of_module(package, package.__all__)}
    for module_name in MODULES:
        module = importlib.import_module(f"{name}.{module_name}")
        surface[module_name] = of_module(module, names_of(module, name))
    return surface


def names_of(module: ModuleType, package: str) -> list[str]:
    """Return the public names a module defines itself."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return list(declared)
    return [name for name, value in vars(module).items() if not name.startswith("_") and is_own(name, value, module)]


def is_own(name: str, value: Any, module: ModuleType) -> bool:
    """Whether a module defines a name, or only imports it."""
    if inspect.ismodule(value) or isinstance(value, typing.TypeVar) or name in typing.__all__:
        return False
    return getattr(value, "__module__", "") in (module.__name__, "typing", "") or isinstance(value, (int, str, bytes))


def of_module(module: ModuleType, names: list[str]) -> dict[str, Any]:
    """Return what some names of a module stand for; those that cannot be had are left out."""
    found = {}
    for name in sorted(set(names)):
        try:
            found[name] = of_value(getattr(module, name))
        except (AttributeError, ImportError):
            continue
    return found


def of_value(value: Any) -> dict[str, Any]:
    """Return what a name stands for."""
    if inspect.ismodule(value):
        return {"kind": "module"}
    if isinstance(value, type):
        return of_class(value)
    if is_enum_wrapper(value):
        return {"kind": "enum", "values": dict(value.items())}
    if callable(value) and inspect.isroutine(value):
        return {"kind": "function", "signature": signature_of(value), "doc": bool(inspect.getdoc(value))}
    return {"kind": "value"}


def of_class(cls: type) -> dict[str, Any]:
    """Return the kind of a class, how it is made, and its members."""
    if issubclass(cls, enum.Enum):
        return {"kind": "enum", "values": {name: member.value for name, member in cls.__members__.items()}}
    if hasattr(cls, "DESCRIPTOR") and "ListFields" in dir(cls):
        return {"kind": "message", "fields": {field.name: field.type for field in cls.DESCRIPTOR.fields}}
    found: dict[str, Any] = {
        "kind": "exception" if issubclass(cls, BaseException) else "class",
        "signature": signature_of(cls),
        "doc": bool(cls.__doc__),
        "members": {},
    }
    for name in sorted(set(dir(cls)) | set(getattr(cls, "__annotations__", ()))):
        if name.startswith("_") and name not in ("__aiter__", "__anext__", "__aenter__", "__aexit__", "__enter__"):
            continue
        if name in _ORDINARY:
            continue
        found["members"][name] = of_member(cls, name)
    return found


def of_member(cls: type, name: str) -> dict[str, Any]:
    """Return what a member of a class is."""
    try:
        static = inspect.getattr_static(cls, name)
    except AttributeError:
        return {"kind": "attribute"}
    if isinstance(static, (property, functools.cached_property)):
        settable = isinstance(static, property) and static.fset is not None
        getter = static.fget if isinstance(static, property) else static.func
        doc = bool(getter is not None and getter.__doc__)
        return {"kind": "attribute", "settable": settable, "doc": doc}
    function = static.__func__ if isinstance(static, (staticmethod, classmethod)) else static
    if inspect.isfunction(function):
        return {
            "kind": "method",
            "async": inspect.iscoroutinefunction(function),
            "bound": "static"
            if isinstance(static, staticmethod)
            else "class"
            if isinstance(static, classmethod)
            else "",
            "signature": signature_of(getattr(cls, name)),
            "doc": bool(inspect.getdoc(function)),
        }
    return {"kind": "attribute"}


def signature_of(function: Callable[..., Any]) -> list[dict[str, str]] | None:
    """Return the parameters: name, kind and default; `None` if Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        {"name": p.name, "kind": p.kind.name, "default": "" if p.default is p.empty else default_of(p.default)}
        for p in parameters
        if p.name != "self"
    ]


def default_of(value: Any) -> str:
    """Return a default as text; enum members as their numbers, objects by their class."""
    if isinstance(value, enum.IntEnum):
        return str(int(value))
    if value is None or isinstance(value, (bool, int, float, str, bytes, list, tuple, dict)):
        return repr(value)
    if type(value).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
        return "<factory>"
    return f"{type(value).__name__}(…)"


def is_enum_wrapper(value: Any) -> bool:
    """Whether it is protobuf's stand-in for an enum."""
    return type(value).__name__ == "EnumTypeWrapper"


def event_names(package: str) -> list[str]:
    """Return the names of the room's events."""
    module = importlib.import_module(f"{package}.room")
    return sorted(typing.get_args(module.EventTypes))


def surface_of(package: str) -> dict[str, Any]:
    """Return all of it."""
    version = importlib.import_module(f"{package}.version").__version__
    return {"version": version, "modules": of_package(package), "events": event_names(package)}


def main(arguments: list[str]) -> None:
    """Print the surface of a package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", nargs="?", default="livekit.rtc")
    package = parser.parse_args(arguments).package
    json.dump(surface_of(package), sys.stdout, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
