"""A session description reduced to its meaning.

What a session happens to choose is left out: session id and version, user fragments and passwords, digests of
certificates, numbers of SSRCs and of header extensions; candidates, which are compared where they are trickled; and
where clients offer, spare sections, of which they keep as many as they like. What remains is what the other acts on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["candidate_meaning", "sdp_meaning", "section_labels", "trickle_meaning", "without_mids"]

Replace = Callable[[str], str]

_SPARE = ("recvonly", "sendonly", "inactive")


def candidate_meaning(candidate: str) -> str:
    """Return transport and type of a candidate; addresses, ports and priorities belong to the machine."""
    words = candidate.split()
    if len(words) < 8:
        return "none" if not words else "unreadable"
    kind = words[words.index("typ") + 1] if "typ" in words[:-1] else "?"
    flavour = f" {words[words.index('tcptype') + 1]}" if "tcptype" in words[:-1] else ""
    return f"{words[2].lower()} {kind}{flavour}"


def trickle_meaning(candidate_init: str) -> str:
    """Return the meaning of a trickled candidate."""
    try:
        return candidate_meaning(json.loads(candidate_init)["candidate"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def sdp_meaning(
    sdp: str,
    replace: Replace,
    *,
    spare: bool = True,
    tracks: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the meaning of a session description.

    Args:
        sdp: The description.
        replace: Names what is made up at run time.
        spare: Whether to keep sections for receiving that nothing is received in.
        tracks: Sids of tracks by mid, as the message beside the description says.
        labels: What the sections of the offer that is answered are called, by mid (`section_labels` of it).
    """
    session: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    lines = session
    for line in sdp.splitlines():
        if line.startswith("m=") and len(line.split()) > 2:
            lines = []
            sections.append((line[2:], lines))
        elif line.startswith("a="):
            lines.append(line[2:])
    head = _attributes(session)
    tree: dict[str, Any] = {
        "ice-lite": "ice-lite" in head,
        "extmap-allow-mixed": "extmap-allow-mixed" in head,
    }
    transports = [_transport({**head, **_attributes(body)}) for media, body in sections if media.split()[1] != "0"]
    tree["transport"] = transports[0] if transports else None
    parsed = [_section(media, _attributes(body), replace) for media, body in sections]
    bundled = {mid for value in head.get("group", []) for mid in value.split()[1:]}
    tree["bundled"] = all(s["mid"] in bundled for s in parsed if "rejected" not in s)
    tree["sections"] = {}
    for section in parsed:
        if spare or not _is_spare(section):
            mid = section["mid"]
            if tracks and mid in tracks:
                section["track"] = replace(tracks[mid])
            tree["sections"][(labels or {}).get(mid) or _label(section)] = section
    return tree


def _label(section: dict[str, Any]) -> str:
    """Return what a section is called: in which of the free ones a track or the data travels means nothing."""
    if section["kind"] == "application":
        return "data"
    return str(section["msid"] if "track" in section else section["mid"])


def section_labels(tree: dict[str, Any]) -> dict[str, str]:
    """Return what the sections of a description are called, by mid."""
    return {section["mid"]: label for label, section in tree["sections"].items()}


def without_mids(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a description's meaning without the mids, which only name sections."""
    sections = {
        label: {name: value for name, value in section.items() if name != "mid"}
        for label, section in tree["sections"].items()
    }
    return tree | {"sections": sections}


def _is_spare(section: dict[str, Any]) -> bool:
    return section.get("direction") in _SPARE and "msid" not in section


def _attributes(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name, []).append(value)
    return found


def _transport(attributes: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "setup": attributes.get("setup", [""])[0],
        "fingerprint": attributes.get("fingerprint", [""])[0].split(" ")[0],
        "ice-options": attributes.get("ice-options", [""])[0],
    }


def _section(media: str, attributes: dict[str, list[str]], replace: Replace) -> dict[str, Any]:
    kind, port, _, *formats = media.split()
    direction = next((d for d in ("sendrecv", "sendonly", "recvonly", "inactive") if d in attributes), "sendrecv")
    tree: dict[str, Any] = {"kind": kind, "mid": attributes.get("mid", [""])[0]}
    if port == "0":
        return tree | {"rejected": True}
    if kind == "application":
        for name in ("sctp-port", "max-message-size"):
            tree[name] = attributes.get(name, [""])[0]
        return tree
    tree["direction"] = direction
    tree["codecs"] = _codecs(formats, attributes)
    tree[f"{kind} codec order"] = [name for number in formats if (name := _codec_name(number, attributes))]
    # Each number in a range of header extensions means the same URI once.
    tree["extensions"] = sorted({words[1] for v in attributes.get("extmap", []) if len(words := v.split()) > 1})
    tree["rtcp"] = sorted(name for name in ("rtcp-mux", "rtcp-rsize") if name in attributes)
    if "msid" in attributes:
        tree["msid"] = " ".join(_track_name(word, replace) for word in attributes["msid"][0].split())
    ssrcs = {value.split(" ")[0] for value in attributes.get("ssrc", [])}
    if ssrcs:
        tree["ssrcs"] = len(ssrcs)
        tree["ssrc groups"] = [value.split(" ")[0] for value in attributes.get("ssrc-group", [])]
    if "rid" in attributes:
        tree["rids"] = [" ".join(value.split(" ")[:2]) for value in attributes["rid"]]
        tree["simulcast"] = attributes.get("simulcast", [""])[0]
    return tree


def _track_name(word: str, replace: Replace) -> str:
    stream, pipe, rest = word.partition("|")
    named = [replace(part) for part in (stream, rest)]
    # What no message named was made up by the client.
    return (
        pipe.join(part if part.startswith("<") or part in ("camera", "screen_share", "-") else "*" for part in named)
        if pipe
        else (named[0] if named[0].startswith("<") or word == "-" else "*")
    )


def _codec_name(number: str, attributes: dict[str, list[str]]) -> str:
    return next((v.partition(" ")[2] for v in attributes.get("rtpmap", []) if v.split(" ")[0] == number), "")


def _codecs(formats: list[str], attributes: dict[str, list[str]]) -> dict[str, Any]:
    codecs: dict[str, Any] = {}
    for number in formats:
        parameters = [v.partition(" ")[2] for v in attributes.get("fmtp", []) if v.split(" ")[0] == number]
        feedback = [v.partition(" ")[2] for v in attributes.get("rtcp-fb", []) if v.split(" ")[0] in (number, "*")]
        codecs[f"{number} {_codec_name(number, attributes)}"] = {
            "parameters": sorted(part.strip() for text in parameters for part in text.split(";") if part.strip()),
            "feedback": sorted(feedback),
        }
    return codecs
