"""The example, and other ways in which strangers write their tests."""

from __future__ import annotations

from pathlib import Path

from .strangers import project, run

EXAMPLE = Path(__file__).parents[2] / "examples" / "testing_an_app"


def test_the_example(official: object) -> None:
    printed = run(EXAMPLE, "--livekit-server=embedded")
    assert "1 passed" in printed, printed


STYLES = """
import asyncio
import urllib.request

import pytest
import aiolivekit.testing


def test_plain(livekit_server, room_pair):
    async def go():
        async with room_pair("ann", "ben") as (ann, ben):
            assert list(ann.remote_participants) == ["ben"]
    asyncio.run(go())
    assert livekit_server.room().participants == {}


class TestOfOneKind:
    pytestmark = pytest.mark.parametrize("livekit_server_kind", ["embedded"], indirect=True)

    def test_kind(self, livekit_server, livekit_server_kind):
        assert livekit_server.kind == livekit_server_kind == "embedded"


def test_asked_for_late(request):
    assert request.getfixturevalue("livekit_server").kind == "embedded"


@pytest.fixture(scope="module")
def shared():
    with aiolivekit.testing.EmbeddedServer(room="shared") as server:
        yield server


@pytest.mark.parametrize("who", ["ann", "ben"])
def test_one_server_for_a_module(shared, who, seen=set()):
    seen.add(shared.url)
    with urllib.request.urlopen(f"{shared.http_url}/rtc/validate?access_token={shared.token(who)}") as answer:
        assert answer.read() == b"success"
    assert len(seen) == 1


class TestWithAServerOfItsOwn:
    @pytest.fixture
    def livekit_server(self):
        return "mine"

    def test_it(self, livekit_server):
        assert livekit_server == "mine"
"""

MARKED = """
@pytest.mark.asyncio
async def test_marked(livekit_server, livekit_room):
    async with livekit_room("ann") as ann:
        assert ann.name == livekit_server.room_name
"""


def test_without_an_asyncio_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(STYLES)
    printed = run(tmp_path, "-p", "no:asyncio", "-W", "error", "--livekit-server=embedded")
    assert "6 passed" in printed, printed


def test_in_strict_mode(tmp_path: Path) -> None:
    printed = run(project(tmp_path, STYLES + MARKED), "--livekit-server=embedded")
    assert "7 passed" in printed, printed


OFFICIAL = """
    import pytest

    @pytest.fixture(scope="session")
    def livekit_rtc():
        from livekit import rtc
        return rtc
"""
TALK = """
    import asyncio
    import sys

    async def test_it(room_pair):
        async with room_pair() as (alice, bob):
            assert type(alice).__module__ == "livekit.rtc.room"
            heard = asyncio.get_running_loop().create_future()
            bob.on("data_received", lambda packet: heard.done() or heard.set_result(packet.data))
            await alice.local_participant.publish_data(b"hello")
            assert await asyncio.wait_for(heard, 10) == b"hello"
        assert "webrtc" not in sys.modules
"""


def test_the_official_sdk_is_the_client(official: object, tmp_path: Path) -> None:
    printed = run(project(tmp_path, TALK, mode="auto", conftest=OFFICIAL), "-W", "default", "--livekit-server=embedded")
    assert "1 passed" in printed, printed


FAILING = """
    import asyncio
    import pytest

    def test_it(livekit_server, livekit_token, livekit_faults, livekit_room):
        async def go():
            async with livekit_room("ann"):
                livekit_faults.no_pong(livekit_token("ann"))
                livekit_faults.close_signal("ann")
        asyncio.run(go())
        pytest.fail("it went wrong")
"""


def test_a_failure_shows_the_faults_and_no_token(tmp_path: Path) -> None:
    printed = run(project(tmp_path, FAILING), "--livekit-server=both")
    assert "1 failed" in printed, printed
    assert "test_it[real]" not in printed, printed
    _, _, shown = printed.partition("- faults of the LiveKit server -")
    assert "close_signal ann" in shown, printed
    _, _, shown = printed.partition("- faults of the LiveKit server that never fired -")
    assert "<no_pong for •••: fired 0 times>" in shown, printed
    assert "eyJ" not in printed, printed


def test_who_uses_none_of_it_pays_nothing(tmp_path: Path) -> None:
    test = """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("aiolivekit")
            assert not {"webrtc", "aiohttp", "livekit", "jwt", "google.protobuf"} & set(sys.modules)
            assert {name for name in sys.modules if name.startswith("aiolivekit.testing.")} == {
                "aiolivekit.testing.plugin", "aiolivekit.testing.server_under_test"
            }
    """
    printed = run(project(tmp_path, test))
    assert "1 passed" in printed, printed


def test_without_the_extra(tmp_path: Path) -> None:
    conftest = "import sys\nsys.modules['pylibsrtp'] = None\n"
    test = project(tmp_path, "def test_it(livekit_server): pass\n", conftest=conftest)
    printed = run(test, "--livekit-server=embedded")
    assert "1 skipped" in printed, printed
    assert "needs the extra aiolivekit[testing]" in printed, printed
    assert "because CI is set" in run(test, "--livekit-server=embedded", CI="true")
