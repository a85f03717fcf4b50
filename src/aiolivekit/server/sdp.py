"""Session descriptions: reading the parts that matter here, and writing ours (RFC 8866, RFC 8829)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Attribute", "Codec", "Media", "SdpError", "Session", "parse_sdp"]

MAX_SIZE = 1024 * 1024
MAX_SECTIONS = 1024
"""Limits of what a client may send, far above what any does."""


class SdpError(ValueError):
    """The text is no session description we can use."""


@dataclass(frozen=True)
class Attribute:
    """One `a=` line."""

    name: str
    value: str = ""


@dataclass
class Codec:
    """One payload type of a media section."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    @property
    def mime(self) -> str:
        """The name in lower case, as codecs are compared."""
        return self.name.lower()

    def parameters(self) -> dict[str, str]:
        """Return the `fmtp` parameters by name."""
        result = {}
        for part in self.fmtp.split(";"):
            name, _, value = part.strip().partition("=")
            if name:
                result[name.lower()] = value
        return result


@dataclass
class Media:
    """One `m=` section."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    attributes: list[Attribute] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the value of the first attribute of that name."""
        return next((a.value for a in self.attributes if a.name == name), None)

    def all(self, name: str) -> Iterator[str]:
        """Yield the values of all attributes of that name."""
        return (a.value for a in self.attributes if a.name == name)

    @property
    def mid(self) -> str:
        """The `mid`, empty when there is none."""
        return self.get("mid") or ""

    @property
    def rejected(self) -> bool:
        """Whether the section is switched off with port 0."""
        return self.port == 0 and self.get("bundle-only") is None

    @property
    def direction(self) -> str:
        """One of sendrecv, sendonly, recvonly, inactive."""
        for attribute in self.attributes:
            if attribute.name in ("sendrecv", "sendonly", "recvonly", "inactive"):
                return attribute.name
        return "sendrecv"

    @property
    def track_id(self) -> str:
        """The client's id of the track that is sent in this section (the second word of `msid`)."""
        words = (self.get("msid") or "").split()
        if len(words) > 1:
            return words[1]
        for value in self.all("ssrc"):
            _, _, rest = value.partition(" ")
            if rest.startswith("msid:") and len(words := rest[5:].split()) > 1:
                return words[1]
        return ""

    @property
    def stream_id(self) -> str:
        """The first word of `msid`."""
        words = (self.get("msid") or "").split()
        return words[0] if words else ""

    @property
    def ssrcs(self) -> list[int]:
        """The announced SSRCs in order, without those that only repair others."""
        repair = {
            words[2] for value in self.all("ssrc-group") if (words := value.split())[:1] == ["FID"] and len(words) == 3
        }
        found: dict[int, None] = {}
        for value in self.all("ssrc"):
            word = value.split(" ", 1)[0]
            if word.isdecimal() and word not in repair:
                found[int(word) & 0xFFFFFFFF] = None
        return list(found)

    @property
    def send_rids(self) -> list[str]:
        """The rids the client sends, in its order; a paused one (`~`) too."""
        value = self.get("simulcast") or ""
        words = value.split()
        for direction, layers in zip(words[::2], words[1::2], strict=False):
            if direction == "send":
                return [layer.split(",")[0].lstrip("~") for layer in layers.split(";") if layer]
        return [words[0] for value in self.all("rid") if (words := value.split())[1:2] == ["send"]]

    @property
    def extensions(self) -> dict[str, int]:
        """Header extension ids by URI."""
        found = {}
        for value in self.all("extmap"):
            words = value.split()
            number = words[0].split("/")[0] if words else ""
            if len(words) > 1 and number.isdecimal() and 0 < int(number) < 256:
                found[words[1]] = int(number)
        return found

    @property
    def codecs(self) -> list[Codec]:
        """The codecs in the order of preference."""
        found: dict[int, Codec] = {}
        maps = dict(_numbered(self.all("rtpmap")))
        formats = dict(_numbered(self.all("fmtp")))
        for text in self.formats:
            if not text.isdecimal() or int(text) > 127:
                continue
            number = int(text)
            rtpmap = maps.get(number) or _STATIC.get(number)
            if rtpmap is None:
                continue
            name, _, rest = rtpmap.partition("/")
            rate, _, channels = rest.partition("/")
            if not rate.isdecimal():
                continue
            found[number] = Codec(
                number,
                name,
                int(rate),
                int(channels) if channels.isdecimal() else 1,
                formats.get(number, ""),
                tuple(text for pt, text in _feedback(self) if pt in (number, -1)),
            )
        return list(found.values())


_STATIC = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}


def _numbered(values: Iterator[str]) -> Iterator[tuple[int, str]]:
    for value in values:
        number, _, rest = value.partition(" ")
        if number.isdecimal():
            yield int(number), rest.strip()


def _feedback(media: Media) -> Iterator[tuple[int, str]]:
    for value in media.all("rtcp-fb"):
        number, _, rest = value.partition(" ")
        if number == "*":
            yield -1, rest.strip()
        elif number.isdecimal():
            yield int(number), rest.strip()


@dataclass
class Session:
    """A session description."""

    attributes: list[Attribute] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the value of the first attribute of that name, of the session or else of any section."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value
        for media in self.media:
            if not media.rejected and (value := media.get(name)) is not None:
                return value
        return None

    @property
    def fingerprints(self) -> list[tuple[str, str]]:
        """Pairs of algorithm and digest; those of the session, or else of the first section that has some."""
        for attributes in (self.attributes, *(m.attributes for m in self.media if not m.rejected)):
            found = [a.value.split(None, 1) for a in attributes if a.name == "fingerprint"]
            pairs = [(words[0], words[1].strip()) for words in found if len(words) == 2]
            if pairs:
                return pairs
        return []


def parse_sdp(text: str) -> Session:
    """Parse a session description; raises `SdpError` for what is none or is larger than any real one."""
    if len(text) > MAX_SIZE:
        raise SdpError("too large")
    session = Session()
    attributes = session.attributes
    lines = text.splitlines()
    if not lines or not lines[0].startswith("v="):
        raise SdpError("no session description")
    for line in lines:
        if line.startswith("m="):
            words = line[2:].split()
            port = words[1].split("/")[0] if len(words) > 2 else ""
            if not port.isdecimal() or len(session.media) >= MAX_SECTIONS:
                raise SdpError("a malformed media section")
            media = Media(words[0], int(port), words[2], words[3:])
            session.media.append(media)
            attributes = media.attributes
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.append(Attribute(name, value))
    return session
