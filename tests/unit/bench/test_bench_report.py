from __future__ import annotations

from bench import report
from bench.runner import Samples

CONTENDERS = ("ours", "official", "bare")
ABOUT = {
    "date": "2026-01-02T03:04:05+00:00",
    "cpu": "a CPU",
    "cores": 2,
    "system": "Linux",
    "python": "CPython 3.11",
    "versions": {"livekit": "1.2.1", "numpy": None},
    "settings": {"rounds": 3},
}


def data(**values: list[float]) -> Samples:
    """Samples of `data.messages_100`; the contenders by name."""
    return {"data": {name: [{"messages_100": value} for value in rounds] for name, rounds in values.items()}}


def failing(samples: Samples, figure: str) -> list[str]:
    return [line for line in report.check(report.medians(samples), ["data"]) if line.startswith(figure)]


def test_the_median_of_the_rounds_counts() -> None:
    middle = report.medians(data(ours=[1.0, 60.0, 50.0], official=[2.0, 1.0, 1.5]))
    assert middle == {"data.messages_100": {"ours": 50.0, "official": 1.5}}


def test_a_ratio_outside_its_limit_is_named_with_its_value() -> None:
    good = data(ours=[3000.0], official=[100.0], bare=[4000.0])
    assert failing(good, "data.messages_100") == []
    slow = data(ours=[2900.0], official=[100.0], bare=[4000.0])
    assert failing(slow, "data.messages_100") == [
        "data.messages_100, ours / official: at least 30, was 29",
        "data.messages_100, ours / bare: at least 0.75, was 0.725",
    ]


def test_what_was_not_measured_does_not_pass() -> None:
    assert failing(data(ours=[3000.0], official=[]), "data.messages_100") == [
        "data.messages_100, ours / official: at least 30, was not measured",
        "data.messages_100, ours / bare: at least 0.75, was not measured",
    ]


def test_measurements_left_out_are_not_checked() -> None:
    assert report.check({}, []) == []
    assert report.check({}, ["connect"]) == ["connect.usable_ms, ours / official: at most 0.4, was not measured"]


def test_no_thread_a_room() -> None:
    def found(threads: float) -> list[str]:
        middle = {"memory.further_room_threads": {"ours": threads, "official": 12.0}}
        return [line for line in report.check(middle, ["memory"]) if "threads" in line]

    assert found(0.0) == []
    assert found(1.0) == ["memory.further_room_threads, ours: at most 0.05, was 1"]


def test_every_limit_is_about_a_row() -> None:
    rows = {figure.name for figure in report.FIGURES}
    assert {limit.figure for limit in report.LIMITS} <= rows
    assert len(rows) == len(report.FIGURES)


def test_the_tables_say_the_same() -> None:
    middle = report.medians(data(ours=[3000.0], official=[100.0]))
    plain = report.plain(middle, CONTENDERS).splitlines()
    assert plain[0].split() == ["ours", "official", "bare", "ours", "/", "official", "ours", "/", "bare"]
    assert plain[1].split()[-5:] == ["3,000", "100", "–", "30", "–"]
    marked = report.markdown(middle, CONTENDERS, ABOUT)
    assert "| messages/s at 100 B (/s) | 3,000 | 100 | – | 30 | – |" in marked
    assert "Medians over 3 rounds" in marked
    assert "numpy" not in marked


def test_without_ours_there_are_no_ratios() -> None:
    table = report.plain(report.medians(data(official=[100.0], bare=[200.0])), ("official", "bare"))
    assert "ours" not in table
