"""The official Python SDK's own tests, with the official package and with ours as `livekit.rtc`.

`python -m tests.compat.official_tests CHECKOUT` takes a checkout of `livekit/python-sdks` and fetches nothing. It runs
the tests of `livekit.rtc` against a real server, in a copy, first with the installed official package and then with the
drop-in's overlay switched on, and writes a table; it ends with 1 if a test that passes with the official package does
not pass with ours.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from aiolivekit.compat.overlay import SWITCH, install
from aiolivekit.peer.openh264 import VARIABLE
from aiolivekit.testing import RealServer
from tests.compat.official_excluded import excluded, ignored_files, reason_for
from tests.compat.official_fixtures import fill_in
from tests.compat.official_report import OFFICIAL, OURS, Outcome, Run, markdown
from tests.openh264 import OpenH264UnavailableError, build_openh264

ROOT = Path(__file__).parent.parent.parent

# Where the checkout has the tests of `livekit.rtc`. Those of `livekit.api` are not run: that package stays as it is.
FOLDERS = ("tests/rtc", "livekit-rtc/tests")

TRIES = 3

_CONFIG = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = --import-mode=importlib -p no:cacheprovider -p no:aiolivekit
"""


def run(package: str, tests: Path, server: RealServer, only: str | None, log: Path) -> Run:
    """Run the tests with one package as `livekit.rtc`."""
    arguments = [*FOLDERS] if only is None else [*FOLDERS, "-k", only]
    if package == OURS:
        arguments += [f"--ignore={name}" for name in ignored_files()]
        arguments += [f"--deselect={name}" for name in excluded()]
    begun = time.monotonic()
    log.unlink(missing_ok=True)
    found = Run(package, 0.0, run_once(package, tests, server, arguments, log))
    for number in range(2, TRIES + 1):
        for name in [name for name, outcome in found.outcomes.items() if outcome.result == "failed"]:
            again = run_once(package, tests, server, [name], log).get(name)
            if again is not None:
                again.tries = number
                found.outcomes[name] = again
    found.seconds = time.monotonic() - begun
    return found


def run_once(package: str, tests: Path, server: RealServer, arguments: Sequence[str], log: Path) -> dict[str, Outcome]:
    """Run some tests once."""
    report = tests / f"{package}.xml"
    report.unlink(missing_ok=True)
    with log.open("a", encoding="utf-8") as output:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments],
            cwd=tests,
            env=environment_of(package, tests, server),
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=1800,
            check=False,
        )
    return {outcome.name: outcome for outcome in outcomes_in(report)} if report.exists() else {}


def environment_of(package: str, tests: Path, server: RealServer) -> dict[str, str]:
    """Return the environment variables of a run; the overlay is found as in an environment it is installed in."""
    site = tests / "site"
    path = [str(tests / "start")] if package == OURS else []
    if package == OURS and not site.exists():
        site.mkdir()
        install(site)
        (tests / "start").mkdir()
        (tests / "start" / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(site)!r})\n")
    codec = {VARIABLE: str(openh264)} if (openh264 := _openh264()) is not None else {}
    return {
        **{name: value for name, value in os.environ.items() if name not in (SWITCH, "PYTHONPATH")},
        "PYTHONPATH": os.pathsep.join(path),
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
        "RUN_DATA_TRACK_TESTS": "1",
        **codec,
    }


@cache
def _openh264() -> Path | None:
    """Return a library for H.264, which the official package has built in and ours takes from its user."""
    try:
        return build_openh264()
    except OpenH264UnavailableError as error:
        print(f"without H.264: {error}")
        return None


def outcomes_in(report: Path) -> list[Outcome]:
    """Read a report of pytest's."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        name = name_of(case.get("classname", ""), case.get("name", ""))
        result, detail = "passed", ""
        for kind in ("failure", "error", "skipped"):
            child = case.find(kind)
            if child is not None:
                result = "skipped" if kind == "skipped" else "failed"
                detail = (child.get("message") or "").splitlines()[0] if child.get("message") else ""
        found.append(Outcome(name, result, float(case.get("time", 0)), detail))
    return found


def name_of(place: str, test: str) -> str:
    """Return the name that pytest takes on its command line: `file.py::Class::test`."""
    parts = place.split(".")
    file = next((i for i, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
    return "::".join(["/".join(parts[: file + 1]) + ".py", *parts[file + 1 :], test])


def regressions(official: Run, ours: Run) -> list[str]:
    """Return the tests that pass with the official package, not with ours, and are not excluded."""
    return [
        name
        for name, outcome in sorted(official.outcomes.items())
        if outcome.result == "passed"
        and reason_for(name) is None
        and (name not in ours.outcomes or ours.outcomes[name].result != "passed")
    ]


def commit() -> str:
    """Return the commit that is tested."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of livekit/python-sdks")
    parser.add_argument("--package", choices=(OFFICIAL, OURS), help="run with this one only")
    parser.add_argument("--record", action="store_true", help="write docs/results/official-tests.md")
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()), help="where pytest's output goes")
    parser.add_argument("--only", metavar="EXPRESSION", help="run these tests only (pytest's -k)")
    given = parser.parse_args(arguments)
    packages = [given.package] if given.package else [OFFICIAL, OURS]
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(prefix="official-tests-") as folder, RealServer() as server:
        tests = Path(folder)
        for name in FOLDERS:
            shutil.copytree(given.checkout / name, tests / name)
        fill_in(tests / "tests/rtc/fixtures")
        (tests / "pytest.ini").write_text(_CONFIG)
        for package in packages:
            log = given.log / f"official-tests-{package}.log"
            print(f"{package} … (output in {log})", flush=True)
            runs[package] = run(package, tests, server, given.only, log)
            counts = ", ".join(f"{runs[package].count(r)} {r}" for r in ("passed", "failed", "skipped"))
            print(f"{package}: {counts} in {runs[package].seconds:.0f} s", flush=True)
            for outcome in runs[package].outcomes.values():
                if outcome.result == "failed":
                    note = " (excluded)" if package == OURS and reason_for(outcome.name) else ""
                    print(f"  failed{note}: {outcome.name}: {outcome.detail[:160]}")
    version_file = given.checkout / "livekit-rtc/livekit/rtc/version.py"
    version = version_file.read_text().split('"')[1] if version_file.exists() else "unknown"
    if given.record:
        (ROOT / "docs/results/official-tests.md").write_text(markdown(runs, version, commit()), encoding="utf-8")
    if len(runs) < 2:
        return 0
    lost = regressions(runs[OFFICIAL], runs[OURS])
    print(f"{len(lost)} pass with the official package and not with ours", *lost, sep="\n  ")
    return 1 if lost or not runs[OURS].outcomes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
