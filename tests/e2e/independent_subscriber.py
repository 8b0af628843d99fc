"""A dependent of CDPM, written from docs/cdpm.md alone: nothing of it comes from the engine.

Its one argument is a JSON object: name, me and dependency (URLs of cdpm.yml), key, ca and state (paths), ref_type, ref, and
vote: "stable", "unstable" or null. It prints a JSON object a line: subscribed, connected, release, answer, refused, closed.
"""

import base64
import json
import ssl
import sys
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

Message = dict[str, Any]
NOT_BELIEVED = ValueError, LookupError, InvalidSignature


def spelled(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Subscriber:
    def __init__(self, options: SimpleNamespace):
        self.me, self.peer, self.options, self.kept = options.me, options.dependency, options, Path(options.state)
        self.key: Any = serialization.load_pem_private_key(Path(options.key).read_bytes(), None)
        self.tls = ssl.create_default_context(cafile=options.ca)
        web = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        self.web = urllib.request.build_opener(*web)
        self.state: Message = {"subscription_id": None, "releases": [], "settled": []}
        if self.kept.exists():
            self.state = json.loads(self.kept.read_bytes())
        self.seen: set[str] = set()
        self.votes: dict[str, Message] = {}

    def keep(self, **changes: Any) -> None:
        self.state |= changes
        self.kept.write_text(json.dumps(self.state))

    def look_up(self) -> None:
        with self.web.open(self.peer, timeout=10) as answer:
            node = yaml.safe_load(answer.read(64 * 1024))["Pipeline-node"]
        self.url, key = node["url"].rstrip("/"), base64.b64decode(node["public-key"])
        self.peer_key: Any = serialization.load_der_public_key(key)

    def sign(self, message_type: str, **message: Any) -> tuple[str, str]:
        """The message as a JWS, and its jti."""
        header = {"alg": "RS256", "typ": "cdpm", "iss": self.me, "aud": self.peer, "iat": time.time()}
        header["jti"] = str(uuid.uuid4())
        payload = {"message_type": message_type, **message}
        signed = spelled(json.dumps(header).encode()) + "." + spelled(json.dumps(payload).encode())
        return signed + "." + spelled(self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256())), header["jti"]

    def believe(self, jws: str) -> tuple[Message, Message]:
        """Header and message of what the dependency has signed for this node. Raises NOT_BELIEVED for anything else."""
        protected, payload, signature = jws.split(".")
        header, message = json.loads(read(protected)), json.loads(read(payload))
        if (header["alg"], header["typ"], header["iss"]) != ("RS256", "cdpm", self.peer):
            raise ValueError("bad-alg, bad-message or unknown-sender")
        signed = read(signature), f"{protected}.{payload}".encode(), padding.PKCS1v15(), SHA256()
        try:
            self.peer_key.verify(*signed)
        except InvalidSignature:
            self.look_up()
            self.peer_key.verify(*signed)
        if header["aud"] != self.me or message.get("url", self.peer) != self.peer:
            raise ValueError("wrong-audience or wrong-issuer")
        if not -60 <= time.time() - header["iat"] <= 300 or header["jti"] in self.seen:
            raise ValueError("stale, from-future or replayed")
        self.seen.add(header["jti"])
        return header, message

    def questions(self) -> Message:
        return {"caller_name": self.options.name, "url": self.me, "destination": {"url": self.peer}}

    def subscribe(self) -> None:
        subscriptions = [{"ref_type": self.options.ref_type, "ref": self.options.ref}]
        jws, jti = self.sign("subscribe", subscriptions=subscriptions, **self.questions())
        protected, body, signature = jws.split(".")
        headers = {"Content-Type": "application/json", "CDPM-Signature": f"{protected}..{signature}"}
        question = urllib.request.Request(f"{self.url}/subscribe", read(body), headers)  # noqa: S310
        with self.web.open(question, timeout=10) as answer:
            protected, _, signature = answer.headers["CDPM-Signature"].split(".")
            header, message = self.believe(f"{protected}.{spelled(answer.read())}.{signature}")
        if header["irt"] != jti or message["message_type"] != "subscribed":
            raise ValueError(message)
        self.keep(**message["response"][0])
        tell(subscribed=self.state["subscription_id"])

    def listen(self) -> Any:
        """Until the connection ends; the code of its end."""
        url, subscription_id = self.url.replace("https:", "wss:", 1) + "/cdpm", self.state["subscription_id"]
        limits: Any = {"compression": None, "max_size": 72 * 1024, "ping_interval": 25, "ping_timeout": 50}
        with connect(url, subprotocols=[Subprotocol("cdpm")], ssl=self.tls, proxy=None, **limits) as socket:
            last = [{"id": known["id"], "created_at": known["created_at"]} for known in self.state["releases"]][-1:]
            socket.send(self.sign("open", subscription_id=subscription_id, last=last[0] if last else None)[0])
            tell(connected=url)
            self.vote(socket)
            for jws in socket:
                try:
                    self.receive(socket, *self.believe(str(jws)))
                except NOT_BELIEVED as wrong:
                    tell(refused=repr(wrong))
        tell(closed=socket.close_code)
        self.keep(subscription_id=None if socket.close_code == 4001 else subscription_id)
        return socket.close_code

    def receive(self, socket: Any, header: Message, message: Message) -> None:
        if "irt" in header:
            release = self.votes.pop(header["irt"])
            if message["status_code"] in ("200", "403", "404", "409"):
                self.keep(settled=[*self.state["settled"], release])
            tell(answer=message, vote=release)
        elif "project_details" in message and "deployable" in message:
            release = {key: message[key] for key in ("id", "ref", "created_at")}
            if release not in self.state["releases"]:
                cycle = any(link.split("#")[0] == self.me for link in message.get("chain", []))
                settled = [release] if cycle or not self.options.vote else []
                self.keep(releases=[*self.state["releases"], release], settled=[*self.state["settled"], *settled])
                tell(release=message)
            socket.send(self.sign("received", subscription_id=self.state["subscription_id"], id=release["id"])[0])
            self.vote(socket)

    def vote(self, socket: Any) -> None:
        """Vote for every release without an answer, as after a new connection."""
        status = {"status": {"stable": "success"}.get(self.options.vote, "failed"), "ref": self.options.ref}
        trial = {"id": str(uuid.uuid4()), **status, "created_at": datetime.now(UTC).isoformat()}
        for release in self.state["releases"]:
            if release not in [*self.state["settled"], *self.votes.values()]:
                vote = {**self.questions(), **release, "deployable": trial}
                jws, jti = self.sign(f"vote_{self.options.vote}", subscription_id=self.state["subscription_id"], **vote)
                self.votes[jti] = release
                socket.send(jws)

    def run(self) -> None:
        delay = 1
        while True:
            try:
                self.look_up()
                if not self.state["subscription_id"]:
                    self.subscribe()
                delay = 30 if self.listen() == 4000 else 1
            except (OSError, WebSocketException, *NOT_BELIEVED) as wrong:
                tell(refused=repr(wrong))
            self.votes.clear()
            time.sleep(delay)
            delay = min(2 * delay, 300)


if __name__ == "__main__":
    Subscriber(SimpleNamespace(**json.loads(sys.argv[1]))).run()
