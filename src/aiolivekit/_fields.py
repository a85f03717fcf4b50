"""Options with the manners of protobuf messages, which they are in the official SDK."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

__all__ = ["Fields"]


class Fields:
    """A dataclass of which each field may be set or not, with the methods of a protobuf message.

    An unset field is `None`, or empty. A number is taken for a member of an enum, and a mapping for a record, as a
    message takes them.
    """

    _kinds: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """What values of certain fields are turned into when they are set."""

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self._kinds.get(name)
        if kind is not None and value is not None:
            value = kind(value)
        super().__setattr__(name, value)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return a record with the fields that are set in another one, a message or a mapping; one of ours as it is.

        Raises:
            TypeError: If the value is none of these, or names fields that there are not.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return cls(**value)
        if not hasattr(value, "ListFields"):
            raise TypeError(f"{type(value).__name__} is no {cls.__name__}")
        return cls(**{field.name: item for field, item in value.ListFields()})

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's spelling
        """Whether the field was set; raises `ValueError` for a name that is no field."""
        self._check(name)
        value = getattr(self, name)
        return value.is_set if isinstance(value, Fields) else value is not None

    def ClearField(self, name: str) -> None:  # noqa: N802 - protobuf's spelling
        """Set the field back to its default; raises `ValueError` for a name that is no field."""
        self._check(name)
        setattr(self, name, getattr(type(self)(), name))

    def Clear(self) -> None:  # noqa: N802 - protobuf's spelling
        """Set all fields back to their defaults."""
        for name in self._names():
            self.ClearField(name)

    def CopyFrom(self, other: Self) -> None:  # noqa: N802 - protobuf's spelling
        """Have the fields that another record has, and no others."""
        if other is not self:
            self.Clear()
            self.MergeFrom(other)

    def MergeFrom(self, other: Self) -> None:  # noqa: N802 - protobuf's spelling
        """Take over what is set in another record: lists are added to, records are merged, all else is replaced."""
        if not isinstance(other, type(self)):
            raise TypeError(f"{type(other).__name__} is no {type(self).__name__}")
        for name in self._names():
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Fields):
                mine.MergeFrom(theirs)
            elif isinstance(mine, list):
                mine.extend(copy.deepcopy(theirs))
            elif theirs is not None:
                setattr(self, name, copy.deepcopy(theirs))

    @property
    def is_set(self) -> bool:
        """Whether any field was set."""
        return any(self.HasField(name) for name in self._names())

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def _check(self, name: str) -> None:
        if name not in self._names():
            raise ValueError(f"{type(self).__name__} has no field {name!r}")
