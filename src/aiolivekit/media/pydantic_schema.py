"""Schemas of frames for pydantic, which a program that uses it brings along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic_core import core_schema  # type: ignore[import-not-found,unused-ignore]

__all__ = ["frame_schema"]


FrameT = TypeVar("FrameT")


def frame_schema(
    frame_class: type[FrameT],
    fields: dict[str, type[int] | type[str]],
    *,
    load: Callable[[dict[str, Any]], FrameT],
    dump: Callable[[FrameT], dict[str, Any]],
) -> Any:
    """Return the schema of a class of frames.

    In Python a frame, or the dict of its fields, is accepted; in JSON it is that dict.

    Args:
        frame_class: The class.
        fields: The names and types of the fields.
        load: Makes a frame of the fields.
        dump: Makes the fields of a frame.
    """

    def validate(value: Any) -> FrameT:
        if isinstance(value, tuple):  # what the model-fields schema makes of a JSON object
            value = value[0]
        if isinstance(value, frame_class):
            return value
        if isinstance(value, dict):
            try:
                return load(value)
            except (KeyError, TypeError) as error:
                raise ValueError(f"no {frame_class.__name__}: {error!r}") from error
        raise ValueError(f"no {frame_class.__name__}, and no dict of its fields")

    from_python = core_schema.no_info_plain_validator_function(validate)
    from_json = core_schema.chain_schema(
        [
            core_schema.model_fields_schema(
                {
                    name: core_schema.model_field(core_schema.int_schema() if kind is int else core_schema.str_schema())
                    for name, kind in fields.items()
                }
            ),
            from_python,
        ]
    )
    return core_schema.json_or_python_schema(
        json_schema=from_json,
        python_schema=from_python,
        serialization=core_schema.plain_serializer_function_ser_schema(dump),
    )
