"""What every command has in common: usage, masked secrets, missing extras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aiolivekit import __version__
from aiolivekit.cli.connection import allow_loopback, resolve
from aiolivekit.cli.masking import Secrets
from aiolivekit.cli.output import UsageProblem, clip, describe_error, printable
from aiolivekit.cli.send import split_arguments
from aiolivekit.errors import (
    InvalidUrlError,
    LiveKitError,
    PacketTooLargeError,
    ProtocolError,
    TlsError,
    TokenExpiredError,
    UnreachableError,
)
from aiolivekit.testing import access_token

from .running import Cli

SECRET = "a-secret-that-is-long-enough-for-hs256"


@pytest.mark.parametrize("command", [(), ("join",), ("send",), ("token",), ("demo",), ("codecs",)])
def test_help(cli: Cli, command: tuple[str, ...]) -> None:
    done = cli(*command, "--help")
    assert (done.status, done.err) == (0, "")
    assert "Usage: aiolivekit" in done.out


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"aiolivekit {__version__}\n"


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    done = cli()
    assert "join" in done.out + done.err
    assert done.status in (0, 2)  # Typer's versions differ


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "No such command"),
        (("join", "--nothing"), "No such option"),
        (("join",), "the URL of the server is missing"),
        (("join", "ws://127.0.0.1"), "a token is missing"),
        (("join", "ws://127.0.0.1", "--api-key", "k"), "a token is missing"),
        (("join", "ws://127.0.0.1", "--api-key", "k", "--api-secret", SECRET), "the room is missing"),
        (("join", "ws://127.0.0.1", "--token", "t", "--room", "r"), "--room and --identity need a key"),
        (("join", "ws://127.0.0.1", "--token", "t", "--duration", "-1"), "duration"),
        (("join", "ws://127.0.0.1", "--token", "t", "--duration", "x"), "duration"),
        (("send",), "TEXT"),
        (("send", "hello"), "the URL of the server is missing"),
        (("send", "ws://127.0.0.1"), "the text is missing"),
        (("send", "ws://127.0.0.1", "hello"), "a token is missing"),
        (("demo", "--url", "ws://127.0.0.1"), "--url needs --api-key and --api-secret"),
    ],
)
def test_wrong_usage(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert done.err.startswith("aiolivekit: ")
    assert done.err.count("\n") == 1
    assert SECRET not in done.err


def test_a_url_that_is_none_is_one_line(cli: Cli) -> None:
    done = cli("join", "ftp://example.org", "--token", "t")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("aiolivekit: could not join (invalid URL): ")
    assert done.err.count("\n") == 1


# -- secrets ------------------------------------------------------------------------------------------------


def test_a_token_in_the_wrong_place_is_not_quoted(cli: Cli) -> None:
    token = access_token("key", SECRET, "bob", room="lab")
    for arguments in (("join", "ws://127.0.0.1", token), ("--nothing", token), (token,), ("token", "x", token)):
        done = cli(*arguments)
        assert done.status == 2
        for part in token.split("."):
            assert part not in done.out + done.err


def test_a_given_secret_is_not_quoted(cli: Cli) -> None:
    done = cli("join", "ws://127.0.0.1", SECRET, "--api-secret", SECRET)
    assert done.status == 2
    assert "•••" in done.err
    assert SECRET not in done.err


def test_secrets_are_found_in_arguments_and_environment() -> None:
    secrets = Secrets()
    secrets.add_given(
        ["join", "--token", "first-token-of-some-length", "--api-secret=second", "--token"],
        {"LIVEKIT_TOKEN": "third", "LIVEKIT_API_SECRET": "fourth", "LIVEKIT_API_KEY": "key"},
    )
    text = "first-token-of-some-length second third fourth key"
    assert secrets.mask(text) == "••• ••• ••• ••• key"


def test_a_long_secret_is_masked_inside_words_and_a_short_one_by_itself() -> None:
    secrets = Secrets()
    secrets.add("0123456789abcdef", "secret", None, "")
    assert secrets.mask("x0123456789abcdefx") == "x•••x"
    assert secrets.mask("--api-secret is secret, secrets=secret&") == "--api-secret is •••, secrets=•••&"


def test_one_secret_may_be_part_of_another() -> None:
    secrets = Secrets()
    secrets.add("0123456789abcdef", "0123456789abcdef0123456789abcdef")
    assert secrets.mask("0123456789abcdef0123456789abcdef!") == "•••!"


def test_tokens_nobody_told_of_are_masked() -> None:
    token = access_token("key", SECRET, "bob", room="lab")
    assert Secrets().mask(f"?access_token={token}&x") == "?access_token=•••&x"


# -- where to, and with what --------------------------------------------------------------------------------


def test_a_given_token_is_used_as_it_is() -> None:
    target = resolve("wss://example.org", "the-token", None, None, None, None)
    assert (target.url, target.token) == ("wss://example.org", "the-token")
    assert "the-token" not in repr(target)


def test_a_token_is_made_for_a_room() -> None:
    import jwt

    # A token in the environment is not the one for the room that was asked for.
    target = resolve("wss://example.org", "other", "key", SECRET, "lab", "bob")
    claims = jwt.decode(target.token, SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["video"]["room"]) == ("bob", "lab")


def test_guests_differ() -> None:
    import jwt

    names = set()
    for _ in range(20):
        target = resolve("wss://example.org", None, "key", SECRET, "lab", None)
        names.add(jwt.decode(target.token, SECRET, algorithms=["HS256"])["sub"])
    assert len(names) == 20
    assert all(name.startswith("guest-") for name in names)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("ws://127.0.0.1:7880", True),
        ("http://localhost", True),
        ("ws://[::1]:7880", True),
        ("wss://example.org", False),
        ("ws://192.0.2.1", False),
        ("ws://[broken", False),
        ("", False),
    ],
)
def test_loopback_is_used_for_servers_that_are_there(monkeypatch: pytest.MonkeyPatch, url: str, allowed: bool) -> None:
    monkeypatch.delenv("WRTC_ALLOW_LOOPBACK")
    allow_loopback(url)
    assert (os.environ.get("WRTC_ALLOW_LOOPBACK") == "1") is allowed


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["ws://a", "hello"], None, ("ws://a", ["hello"])),
        (["https://a", "hello", "you"], None, ("https://a", ["hello", "you"])),
        (["hello", "you"], "ws://b", ("ws://b", ["hello", "you"])),
        (["ws://a", "hello"], "ws://b", ("ws://a", ["hello"])),
        (["https://a"], "ws://b", ("ws://b", ["https://a"])),
        (["-"], "ws://b", ("ws://b", ["-"])),
    ],
)
def test_url_and_text_are_told_apart(
    arguments: list[str], environment: str | None, expected: tuple[str, list[str]]
) -> None:
    assert split_arguments(arguments, environment) == expected


@pytest.mark.parametrize(("arguments", "environment"), [(["hello"], None), (["ws://a"], None), ([], "ws://b")])
def test_url_or_text_is_missing(arguments: list[str], environment: str | None) -> None:
    with pytest.raises(UsageProblem):
        split_arguments(arguments, environment)


# -- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TokenExpiredError("the token has expired"), "(token expired): the token has expired"),
        (InvalidUrlError("no host"), "(invalid URL): no host"),
        (TlsError("bad", detail="certificate"), "(TLS error): bad: certificate"),
        (ProtocolError("garbage"), "(protocol error): garbage"),
        (UnreachableError("nobody there"), "(unreachable): nobody there"),
        (PacketTooLargeError(9, 5), "(packet too large): the packet has 9 bytes serialised, the limit is 5"),
        (UnreachableError(""), "(unreachable)"),
        (LiveKitError("x"), "(live kit): x"),
    ],
)
def test_errors_in_words(error: LiveKitError, words: str) -> None:
    assert describe_error(error) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße 你好 👋", "Grüße 你好 👋"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_what_others_write_does_not_steer_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_long_texts_are_clipped() -> None:
    assert clip("12345", 5) == "12345"
    assert clip("123456", 5) == "1234…"


# -- processes ----------------------------------------------------------------------------------------------


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("module", "package", "arguments"),
    [
        ("typer", "typer", ("--help",)),
        ("rich", "rich", ("demo",)),
        ("jwt", "pyjwt", ("token",)),
        ("numpy", "numpy", ("demo",)),
        ("PIL", "pillow", ("demo", "--url", "ws://127.0.0.1:1", "--api-key", "k", "--api-secret", "s")),
    ],
)
def test_a_missing_extra_is_one_sentence(module: str, package: str, arguments: tuple[str, ...]) -> None:
    # What is `None` here is not found by an import.
    code = f"import sys; sys.modules[{module!r}] = None; from aiolivekit.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run_python(code, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"aiolivekit: the command line needs {package}; install it with: pip install 'aiolivekit[cli]'\n"
    )


@pytest.mark.parametrize(
    ("module", "package", "command"),
    [("OpenSSL", "pyopenssl", ("demo",)), ("google_crc32c", "google-crc32c", ("server", "--port", "0"))],
)
def test_the_dev_server_has_an_extra_of_its_own(module: str, package: str, command: tuple[str, ...]) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from aiolivekit.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run_python(code, *command)
    assert (done.returncode, done.stdout) == (2, "")
    # The demo says first what it is about to do.
    assert done.stderr.splitlines()[-1] == (
        f"aiolivekit: the dev server needs {package}; install it with: pip install 'aiolivekit[cli,server]'"
    )


def test_all_that_an_extra_brings_is_known() -> None:
    from aiolivekit.cli import _EXTRAS

    metadata = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    for extra, packages in _EXTRAS.items():
        wanted = metadata["project"]["optional-dependencies"][extra]
        assert sorted(re.split(r"[<>=\[]", each)[0] for each in wanted) == sorted(packages.values())


def test_another_missing_module_is_no_missing_extra() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; from aiolivekit.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run_python(code, "join", "ws://127.0.0.1:1", "--token", "t")
    assert "aiolivekit[cli]" not in done.stderr
    assert "aiohttp" in done.stderr


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aiolivekit", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"aiolivekit {__version__}\n"


def test_the_log_of_libwebrtc_is_dropped_and_nothing_else() -> None:
    code = """
import os, sys
from aiolivekit.cli.native_log import without_native_log
with without_native_log():
    os.write(2, b"(sdp_offer_answer.cc:578): A BUNDLE group\\n")
    print("from Python", file=sys.stderr)
    os.write(2, b"# Fatal error in: file.cc, line 1\\n")
    os.write(2, b"without an end")
print("afterwards", file=sys.stderr)
os.write(2, b"(x.cc:1): natively afterwards\\n")
"""
    done = run_python(code)
    assert done.returncode == 0
    # Python's own lines do not go through the filter, so their place among the others is open.
    assert sorted(done.stderr.splitlines()) == sorted(
        [
            "from Python",
            "# Fatal error in: file.cc, line 1",
            "without an endafterwards",
            "(x.cc:1): natively afterwards",
        ]
    )
    assert done.stderr.endswith("afterwards\n(x.cc:1): natively afterwards\n")


def test_the_commands_load_no_more_than_they_need() -> None:
    code = (
        "import sys, aiolivekit.cli.app;print(*[m for m in ('numpy', 'PIL', 'webrtc', 'aiohttp') if m in sys.modules])"
    )
    done = run_python(code)
    assert done.stdout.split() == [], done.stderr
