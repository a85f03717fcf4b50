from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import aiolivekit


@pytest.mark.parametrize("name", aiolivekit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(aiolivekit, name) is not None
    assert name in dir(aiolivekit)


def test_no_name_twice() -> None:
    assert len(set(aiolivekit.__all__)) == len(aiolivekit.__all__)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Rome'"):
        _ = aiolivekit.Rome


def test_type_checkers_see_what_is_loaded() -> None:
    tree = ast.parse(inspect.getsource(aiolivekit))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        node.module: tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert seen == aiolivekit._LAZY


def test_importing_the_package_does_not_load_libwebrtc() -> None:
    code = "import sys, aiolivekit; aiolivekit.RoomOptions(); print('webrtc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
