"""Tokens that must open nothing."""

from __future__ import annotations

import base64
import json

import aiohttp

from .attacks import Target

__all__ = ["forged_tokens", "tokens"]


def forged_tokens(target: Target) -> dict[str, str]:
    """Return tokens that open nothing, by what is wrong with them."""
    good = target.token("thief")
    head, body, signature = good.split(".")

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    other = part({**claims, "sub": "admin", "video": {**claims["video"], "roomAdmin": True}})
    broken = ("A" if signature[0] != "A" else "B") + signature[1:]
    return {
        "nothing": "",
        "noise": "x",
        "dots": "..",
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "other claims": f"{head}.{other}.{signature}",
        "other signature": f"{head}.{body}.{broken}",
        "cut signature": good[:-4],
        "deep header": f"{base64.urlsafe_b64encode(b'[' * 5000).decode().rstrip('=')}.{body}.{signature}",
        "deep claims": f"{head}.{base64.urlsafe_b64encode(b'[' * 5000).decode().rstrip('=')}.{signature}",
        "header of a list": f"{part([])}.{body}.{signature}",
        "not base64": f"{head}!.{body}.{signature}",
        **{
            f"alg {name!r}": f"{part({**header, 'alg': name})}.{body}.{end}"
            for name in ("none", "None", "NONE", "nOnE", "", None, 1, [], "HS1", "HS384", "RS256", "ES256")
            for end in ("", signature)
        },
        "no alg": f"{part({'typ': 'JWT'})}.{body}.{signature}",
        **{f"bit {bit} of the claims": f"{head}.{_flipped(body, bit)}.{signature}" for bit in range(0, len(body), 17)},
        **{f"bit {bit} of the header": f"{_flipped(head, bit)}.{body}.{signature}" for bit in range(0, len(head), 5)},
    }


def _flipped(text: str, position: int) -> str:
    return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]


async def tokens(target: Target) -> list[str]:
    """Try every forged token on every door; return what let one in or failed."""
    found = []
    forged = forged_tokens(target)
    async with aiohttp.ClientSession() as session:
        for what, token in forged.items():
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("/rtc/validate", "/rtc/v1/validate"):
                async with session.get(target.http_url + path, headers=headers) as response:
                    if response.status not in (400, 401):
                        found.append(f"{what}: {path} answered {response.status}")
                async with session.get(target.http_url + path, params={"access_token": token}) as response:
                    if response.status not in (400, 401):
                        found.append(f"{what} in the query: {path} answered {response.status}")
            for path in ("/rtc", "/rtc/v1"):
                try:
                    connection = await session.ws_connect(target.http_url + path, headers=headers)
                except aiohttp.WSServerHandshakeError as error:
                    if error.status not in (400, 401):
                        found.append(f"{what}: {path} answered {error.status}")
                else:
                    await connection.close()
                    found.append(f"{what}: {path} let it in")
            url = f"{target.http_url}/twirp/livekit.RoomService/ListRooms"
            async with session.post(url, json={}, headers=headers) as response:
                if response.status != 401:
                    found.append(f"{what}: the API answered {response.status}")
    return found
