"""Which addresses a URL stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.errors import InvalidUrlError
from aiolivekit.signalling.url import Endpoints

GOOD = [
    ("wss://livekit.example", "wss://livekit.example/rtc/v1?q=1", "https://livekit.example/rtc/v1/validate?q=1"),
    ("https://livekit.example", "wss://livekit.example/rtc/v1?q=1", "https://livekit.example/rtc/v1/validate?q=1"),
    ("ws://livekit.example/", "ws://livekit.example/rtc/v1?q=1", "http://livekit.example/rtc/v1/validate?q=1"),
    ("HTTP://Livekit.Example", "ws://livekit.example/rtc/v1?q=1", "http://livekit.example/rtc/v1/validate?q=1"),
    ("ws://127.0.0.1:7880", "ws://127.0.0.1:7880/rtc/v1?q=1", "http://127.0.0.1:7880/rtc/v1/validate?q=1"),
    ("wss://h:443", "wss://h/rtc/v1?q=1", "https://h/rtc/v1/validate?q=1"),
    ("ws://[::1]:7880", "ws://[::1]:7880/rtc/v1?q=1", "http://[::1]:7880/rtc/v1/validate?q=1"),
    ("ws://h/a/b", "ws://h/a/b/rtc/v1?q=1", "http://h/a/b/rtc/v1/validate?q=1"),
    ("ws://h/a/b/", "ws://h/a/b/rtc/v1?q=1", "http://h/a/b/rtc/v1/validate?q=1"),
    ("ws://h/a%2Fb", "ws://h/a%2Fb/rtc/v1?q=1", "http://h/a%2Fb/rtc/v1/validate?q=1"),
    ("ws://h/a?x=%20y&z=1#part", "ws://h/a/rtc/v1?x=%20y&z=1&q=1", "http://h/a/rtc/v1/validate?x=%20y&z=1&q=1"),
    ("  ws://h \n", "ws://h/rtc/v1?q=1", "http://h/rtc/v1/validate?q=1"),
    ("wss://münchen.example", "wss://xn--mnchen-3ya.example/rtc/v1?q=1", None),
]

BAD = [
    "",
    " ",
    "nonsense",
    "livekit.example",
    "localhost:7880",
    "//livekit.example",
    "ftp://livekit.example",
    "file:///etc/passwd",
    "ws://",
    "ws:///path",
    "http:h",
    "ws://h:port",
    "ws://h:0",
    "ws://h:70000",
    "ws://h:-1",
    "ws://[::1",
    "ws://a b",
    "ws://h\\x",
    "ws://h/\x00",
    "ws://h/a\nb",
    "wss://key:secret@livekit.example",
    "wss://key@livekit.example",
    None,
    b"ws://h",
    42,
]


@pytest.mark.parametrize(("url", "websocket", "validate"), GOOD)
def test_endpoints(url: str, websocket: str, validate: str | None) -> None:
    endpoints = Endpoints.of(url)
    assert str(endpoints.signal("v1", "q=1")) == websocket
    assert str(endpoints.signal("v0", "q=1")) == websocket.replace("/rtc/v1", "/rtc")
    if validate is not None:
        assert str(endpoints.validate("v1", "q=1")) == validate
        assert str(endpoints.validate("v0", "q=1")) == validate.replace("/rtc/v1", "/rtc")


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_server(url: object) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        Endpoints.of(url)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    assert not caught.value.retryable


@given(st.text() | st.builds("ws://{}".format, st.text()) | st.builds("wss://h{}".format, st.text()))
def test_any_text_is_read_or_refused(url: str) -> None:
    try:
        endpoints = Endpoints.of(url)
    except InvalidUrlError:
        return
    address = endpoints.signal("v1", "q=1")
    assert address.scheme in ("ws", "wss")
    assert address.raw_host
    assert address.raw_path.endswith("/rtc/v1")
    assert endpoints.validate("v0", "q=1").raw_path.endswith("/rtc/validate")
