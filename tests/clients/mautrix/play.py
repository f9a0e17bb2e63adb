"""Plays the story of `tests/clients` with mautrix: see `main.rs` there."""

import asyncio
import hashlib
import importlib.util
import json
import secrets
import socket
import sys
from pathlib import Path

import aiohttp
import mautrix
from aiohttp.abc import AbstractResolver
from mautrix.client import ClientAPI
from mautrix.types import ContentURI, LoginType, MatrixUserIdentifier

THUMBNAIL = {"width": 96, "height": 96, "resize_method": "crop"}
ASYNCHRONOUS_PATIENCE_MS = 20_000
CHUNK_BYTES = 65_536
# The local runtime closes idle connections after some seconds, which may be while one is taken up again.
KEEPALIVE_SECS = 1


def load_attachments():
    """`mautrix.crypto.attachments`, without its package, which wants libolm for more than that."""
    path = Path(mautrix.__file__).parent / "crypto" / "attachments" / "attachments.py"
    spec = importlib.util.spec_from_file_location("attachments", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


attachments = load_attachments()


async def main() -> None:
    world = json.loads(sys.argv[1])
    connector = aiohttp.TCPConnector(
        resolver=Names(world["edges"]), ssl=False, keepalive_timeout=KEEPALIVE_SECS
    )
    async with aiohttp.ClientSession(connector=connector) as session:
        told = {}
        for name, setting in world["settings"].items():
            told[name] = await Story(world, setting, session).play()
    print(json.dumps(told))


class Names(AbstractResolver):
    """Finds an edge by its domain, and by all names below that."""

    def __init__(self, edges: dict[str, str]) -> None:
        self.edges = edges

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict]:
        for domain, address in self.edges.items():
            if host == domain or host.endswith(f".{domain}"):
                ip, port = address.split(":")
                return [{
                    "hostname": host, "host": ip, "port": int(port),
                    "family": socket.AF_INET, "proto": 0, "flags": socket.AI_NUMERICHOST,
                }]
        raise OSError(f"{host} is no name of an edge")

    async def close(self) -> None:
        pass


class User:
    """mautrix's client of the homeserver, and the one that moves media: its base URL may be another."""

    def __init__(self, home: ClientAPI, media: ClientAPI) -> None:
        self.home, self.media = home, media

    async def read(self, uri: ContentURI) -> dict:
        return tell(await self.media.download_media(uri))


class Story:
    def __init__(self, world: dict, setting: dict, session: aiohttp.ClientSession) -> None:
        self.world, self.setting, self.session = world, setting, session

    async def play(self) -> dict:
        discovered = await ClientAPI.discover(self.setting["domain"], self.session)
        alice, bob = await self.log_in("alice"), await self.log_in("bob")
        file = await self.play_file(alice, bob)
        told = {
            "discovered": {"homeserver": str(discovered)},
            "file": file,
            "squares": await self.play_squares(alice, bob),
            "encrypted": await self.play_encrypted(alice, bob),
            "asynchronous": await self.play_asynchronous(alice, bob),
        }
        await bob.home.logout()
        try:
            told["afterLogout"] = await bob.read(file["uri"])
        except aiohttp.ClientResponseError as error:
            told["afterLogout"] = {"status": error.status}
        return told

    async def log_in(self, user: str) -> User:
        home = ClientAPI(base_url=self.setting["homeserver"], client_session=self.session)
        await home.login(
            MatrixUserIdentifier(user=user),
            login_type=LoginType.PASSWORD,
            password=self.world["passwords"][user],
        )
        media = ClientAPI(home.mxid, base_url=self.setting["media"], client_session=self.session)
        media.api.token = home.api.token
        # The media domain serves no /versions.
        media.versions_cache = await home.versions()
        return User(home, media)

    async def play_file(self, alice: User, bob: User) -> dict:
        data = secrets.token_bytes(self.world["sizes"]["file"])
        uri = await alice.media.upload_media(data, "video/mp4", "noise.mp4")
        reads = [await bob.read(uri) for _ in range(self.world["reads"])]
        return {"uri": uri, **tell(data), "reads": reads}

    async def play_squares(self, alice: User, bob: User) -> dict:
        data = Path(self.world["picture"]).read_bytes()
        uri = await alice.media.upload_media(data, "image/png", "squares.png")
        thumbnail = await bob.media.download_thumbnail(uri, **THUMBNAIL)
        return {"uri": uri, **tell(data), "thumbnail": tell(thumbnail)}

    async def play_encrypted(self, alice: User, bob: User) -> dict:
        data = secrets.token_bytes(self.world["sizes"]["encrypted"])
        ciphertext, file = attachments.encrypt_attachment(data)
        uri = await alice.media.upload_media(ciphertext, "application/octet-stream")
        read = await bob.media.download_media(uri)
        opened = attachments.decrypt_attachment(
            read, file.key.key, file.hashes["sha256"], file.iv
        )
        return {"file": {"url": uri}, **tell(data), "read": tell(opened)}

    async def play_asynchronous(self, alice: User, bob: User) -> dict:
        """The upload's body comes when a reader waits for it already."""
        data = secrets.token_bytes(self.world["sizes"]["asynchronous"])
        is_waited_for = asyncio.Event()

        async def body():
            await is_waited_for.wait()
            for at in range(0, len(data), CHUNK_BYTES):
                yield data[at : at + CHUNK_BYTES]

        uri = await alice.media.upload_media(
            body(), "image/webp", size=len(data), async_upload=True
        )
        reading = bob.media.download_media(uri, timeout_ms=ASYNCHRONOUS_PATIENCE_MS)
        waiting = asyncio.create_task(reading)
        await asyncio.sleep(0.5)
        is_waited_for.set()
        return {**tell(data), "read": tell(await waiting)}


def tell(data: bytes) -> dict:
    return {"status": 200, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


asyncio.run(main())
