"""What of one surface is not as in another: `Difference`s, by name.

Ours may have more than theirs: names, members, values, events, and parameters with defaults after theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "differences"]


@dataclass(frozen=True, order=True)
class Difference:
    """One thing that is not as there.

    Args:
        where: `Class`, `Class.member`, or `module.Class` for what only a module offers.
        what: What is different about it.
    """

    where: str
    what: str


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[Difference]:
    """Return what of their surface ours does not have, or has otherwise."""
    found: set[Difference] = set()
    seen: set[str] = set()
    for module, names in theirs["modules"].items():
        for name, value in names.items():
            if not module:
                seen.add(name)
            elif name in seen and name in ours["modules"].get(module, {}):
                continue  # compared already, under the package
            where = f"{module}.{name}" if module else name
            mine = ours["modules"].get(module, {}).get(name)
            found.update([Difference(where, "missing")] if mine is None else of_values(where, value, mine))
    found.update(Difference(event, "no such event") for event in set(theirs["events"]) - set(ours["events"]))
    return sorted(found)


def of_values(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[Difference]:
    """Compare what two names stand for."""
    if theirs["kind"] == "message":
        yield from of_message(where, theirs, ours)
        return
    if theirs["kind"] != ours["kind"]:
        yield Difference(where, f"{theirs['kind']} there, {ours['kind']} here")
        return
    for name, value in theirs.get("values", {}).items():
        if ours["values"].get(name) != value:
            yield Difference(f"{where}.{name}", f"{value!r} there, {ours['values'].get(name)!r} here")
    if "signature" in theirs:
        yield from of_signatures(where, theirs["signature"], ours["signature"])
    if theirs.get("doc") and not ours.get("doc"):
        yield Difference(where, "no documentation")
    for name, member in theirs.get("members", {}).items():
        mine = ours["members"].get(name)
        place = f"{where}.{name}"
        yield from [Difference(place, "missing")] if mine is None else of_members(place, member, mine)


def of_message(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[Difference]:
    """Compare a message with a dataclass that has its fields and methods."""
    parameters = {each["name"] for each in ours.get("signature") or ()}
    for name in theirs["fields"]:
        if name not in parameters:
            yield Difference(f"{where}.{name}", "missing")
    for method in ("HasField", "ClearField", "Clear", "CopyFrom", "MergeFrom"):
        if method not in ours["members"]:
            yield Difference(f"{where}.{method}", "missing")


def of_members(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[Difference]:
    """Compare two members of classes."""
    if theirs["kind"] != ours["kind"]:
        yield Difference(where, f"{theirs['kind']} there, {ours['kind']} here")
        return
    if theirs.get("async", False) != ours.get("async", False):
        yield Difference(where, "coroutine function there or here, not both")
    if theirs.get("settable") and not ours.get("settable", True):
        yield Difference(where, "cannot be set")
    if "signature" in theirs:
        yield from of_signatures(where, theirs["signature"], ours["signature"])
    if theirs.get("doc") and not ours.get("doc", True):
        yield Difference(where, "no documentation")


def of_signatures(
    where: str, theirs: list[dict[str, str]] | None, ours: list[dict[str, str]] | None
) -> Iterator[Difference]:
    """Compare how two functions are called: whatever can be passed there can be passed here, and means the same."""
    if theirs is None:
        return  # Python cannot tell, as of exceptions without an `__init__` of their own
    if ours is None:
        yield Difference(where, "called otherwise")
        return
    positional = [each["name"] for each in theirs if each["kind"] == "POSITIONAL_OR_KEYWORD"]
    if [each["name"] for each in ours if each["kind"] == "POSITIONAL_OR_KEYWORD"][: len(positional)] != positional:
        yield Difference(where, "called otherwise")
        return
    mine = {each["name"]: each for each in ours}
    for each in theirs:
        if each["name"] not in mine:
            yield Difference(where, f"no parameter {each['name']}")
        elif each["default"] and mine[each["name"]]["default"] != each["default"]:
            yield Difference(where, f"{each['name']}={each['default']} there, {mine[each['name']]['default']} here")
    known = {each["name"] for each in theirs}
    for each in ours:
        if each["name"] not in known and not each["default"] and not each["kind"].startswith("VAR_"):
            yield Difference(where, f"needs {each['name']}")
