"""Finding and building the server, with scripts in the place of Go and of the server."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aiolivekit.testing import ServerUnavailableError, find_server
from aiolivekit.testing.server_binary import SERVER_VERSION, build_server, cache_directory, server_version

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def server(path: Path, version: str = SERVER_VERSION) -> Path:
    return script(path, f"echo livekit-server version {version}")


def go(directory: Path, version: str = SERVER_VERSION, before: str = "") -> None:
    """A `go` that notes how it was called and installs a server of that version."""
    script(
        directory / "go",
        f"""echo "$@" >> {directory}/calls
{before}
printf '#!/bin/sh\\necho livekit-server version {version}\\n' > "$GOBIN/server"
chmod +x "$GOBIN/server"
echo "the output of go" >&2""",
    )


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in `cache`, and `bin` in front on the PATH, with neither Go nor a server elsewhere on it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("AIOLIVEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AIOLIVEKIT_LIVEKIT_SERVER", raising=False)
    which = __import__("shutil").which
    monkeypatch.setattr("shutil.which", lambda name: which(name, path=str(tmp_path / "bin")))
    return tmp_path


def left_in_cache(places: Path) -> set[str]:
    return {path.name for path in (places / "cache").iterdir()}


COMPLETE = {f"livekit-server-{SERVER_VERSION}", f"livekit-server-{SERVER_VERSION}.lock"}


def test_takes_the_one_named_if_its_version_is_right(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = server(places / "named")
    monkeypatch.setenv("AIOLIVEKIT_LIVEKIT_SERVER", str(named))
    assert find_server() == named


@pytest.mark.parametrize("text", ["echo livekit-server version 1.0.0", "echo something else", "exit 1"])
def test_refuses_the_one_named_if_it_is_another(places: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    go(places / "bin")
    monkeypatch.setenv("AIOLIVEKIT_LIVEKIT_SERVER", str(script(places / "named", text)))
    with pytest.raises(ServerUnavailableError, match="AIOLIVEKIT_LIVEKIT_SERVER"):
        find_server()
    assert not (places / "bin" / "calls").exists()


def test_refuses_the_one_named_if_it_is_missing(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOLIVEKIT_LIVEKIT_SERVER", str(places / "nothing"))
    with pytest.raises(ServerUnavailableError):
        find_server()


def test_takes_the_one_on_the_path(places: Path) -> None:
    found = server(places / "bin" / "livekit-server")
    assert find_server() == found


def test_passes_over_one_on_the_path_of_another_version(places: Path) -> None:
    server(places / "bin" / "livekit-server", "1.9.0")
    go(places / "bin")
    assert find_server().parent.parent == places / "cache"


def test_builds_once(places: Path) -> None:
    go(places / "bin")
    first = find_server()
    assert first == find_server()
    assert server_version(first) == SERVER_VERSION
    expected = f"install github.com/livekit/livekit-server/cmd/server@v{SERVER_VERSION}\n"
    assert (places / "bin" / "calls").read_text() == expected
    assert left_in_cache(places) == COMPLETE


def test_of_several_at_once_one_builds(places: Path) -> None:
    go(places / "bin", before="sleep 0.2")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: build_server(), range(4)))
    assert len(found) == 1
    assert (places / "bin" / "calls").read_text().count("install") == 1
    assert left_in_cache(places) == COMPLETE


def test_a_failed_build_says_what_go_said_and_leaves_nothing(places: Path) -> None:
    go(places / "bin", before="echo no such module; exit 1")
    with pytest.raises(ServerUnavailableError, match="no such module"):
        find_server()
    assert left_in_cache(places) == {f"livekit-server-{SERVER_VERSION}.lock"}


def test_a_build_of_another_version_is_not_kept(places: Path) -> None:
    go(places / "bin", version="1.0.0")
    with pytest.raises(ServerUnavailableError, match="could not be built"):
        find_server()
    assert left_in_cache(places) == {f"livekit-server-{SERVER_VERSION}.lock"}


def test_without_go_it_says_so(places: Path) -> None:
    with pytest.raises(ServerUnavailableError, match="nor is Go"):
        find_server()


def test_a_cache_that_cannot_be_written_is_named(places: Path) -> None:
    go(places / "bin")
    (places / "cache").write_text("a file in the way")
    with pytest.raises(ServerUnavailableError, match="cannot be written"):
        find_server()


def test_cancelling_ends_the_build_and_the_compilers(places: Path) -> None:
    # The child of `go` would outlive it: it holds the pipe open until it ends or is killed.
    pipe = places / "pipe"
    os.mkfifo(pipe)
    go(places / "bin", before=f"(exec 3> {pipe}; sleep 600) & wait")
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(find_server, cancelled=cancelled)
        with pipe.open("rb") as held:  # returns when the child has opened the other end
            cancelled.set()
            assert held.read() == b""
        with pytest.raises(ServerUnavailableError):
            building.result(timeout=10)
    assert left_in_cache(places) == {f"livekit-server-{SERVER_VERSION}.lock"}


def test_cancelling_ends_the_wait_for_anothers_build(places: Path) -> None:
    go(places / "bin", before="sleep 600")
    first, second = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        building = pool.submit(find_server, cancelled=first)
        deadline = time.monotonic() + 10
        while not (places / "bin" / "calls").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        waiting = pool.submit(find_server, cancelled=second)
        second.set()
        with pytest.raises(ServerUnavailableError, match="another process"):
            waiting.result(timeout=10)
        assert not building.done()
        first.set()
        with pytest.raises(ServerUnavailableError):
            building.result(timeout=10)


def test_the_cache_is_the_users_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIOLIVEKIT_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("AIOLIVEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory().name == "aiolivekit"
    assert tmp_path in cache_directory().parents
