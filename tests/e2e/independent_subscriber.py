"""A dependent of CDPM, written from docs/cdpm.md alone: nothing of it comes from the engine.

Its one argument is a JSON object: name, me and dependency (URLs of cdpm.yml), key, ca and state (paths), ref_type, ref, and
vote: "stable", "unstable" or null. It prints a JSON object a line: connected, release, answer, ended.
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
from websockets.sync.client import connect

Message = dict[str, Any]


def spelled(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Subscriber:
    def __init__(self, options: Message):
        self.me, self.peer, self.kept = options["me"], options["dependency"], Path(options["state"])
        self.about = {"caller_name": options["name"], "url": self.me, "destination": {"url": self.peer}}
        self.ref, self.opinion = {"ref_type": options["ref_type"], "ref": options["ref"]}, options["vote"]
        self.key: Any = serialization.load_pem_private_key(Path(options["key"]).read_bytes(), None)
        self.tls = ssl.create_default_context(cafile=options["ca"])
        begin: Message = {"subscription_id": None, "releases": [], "awaited": []}
        self.state: Message = json.loads(self.kept.read_bytes()) if self.kept.exists() else begin
        self.seen, self.votes, self.delay = set[str](), dict[str, Message](), 1

    def keep(self, **changes: Any) -> None:
        self.state |= changes
        self.kept.write_text(json.dumps(self.state))

    def look_up(self) -> None:
        with urllib.request.urlopen(self.peer, timeout=10, context=self.tls) as answer:  # noqa: S310
            node = yaml.safe_load(answer.read(64 * 1024))["Pipeline-node"]
        self.url, key = node["url"].rstrip("/"), base64.b64decode(node["public-key"])
        self.peer_key: Any = serialization.load_der_public_key(key)

    def sign(self, message_type: str, **message: Any) -> tuple[str, str]:
        """The message as a JWS, and its jti. What a receiver does not need it ignores."""
        header: Message = {"alg": "RS256", "typ": "cdpm", "iss": self.me, "aud": self.peer, "iat": time.time()}
        header["jti"], mine = str(uuid.uuid4()), {**self.about, "subscription_id": self.state["subscription_id"]}
        text = json.dumps({"message_type": message_type, **mine, **message})
        signed = spelled(json.dumps(header).encode()) + "." + spelled(text.encode())
        return signed + "." + spelled(self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256())), header["jti"]

    def believe(self, jws: str) -> tuple[Message, Message]:
        """Header and message of what the dependency has signed for this node. Raises an error for anything else."""
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
        is_new = -60 <= time.time() - header["iat"] <= 300 and header["jti"] not in self.seen
        if header["aud"] != self.me or message.get("url", self.peer) != self.peer or not is_new:
            raise ValueError("wrong-audience, wrong-issuer, stale, from-future or replayed")
        self.seen.add(header["jti"])
        return header, message

    def subscribe(self) -> None:
        jws, jti = self.sign("subscribe", subscriptions=[self.ref])
        protected, body, signature = jws.split(".")
        headers = {"Content-Type": "application/json", "CDPM-Signature": f"{protected}..{signature}"}
        question = urllib.request.Request(f"{self.url}/subscribe", read(body), headers)  # noqa: S310
        with urllib.request.urlopen(question, timeout=10, context=self.tls) as answer:  # noqa: S310
            protected, _, signature = answer.headers["CDPM-Signature"].split(".")
            header, message = self.believe(f"{protected}.{spelled(answer.read())}.{signature}")
        if header["irt"] != jti or message["message_type"] != "subscribed":
            raise ValueError(message)
        self.keep(**message["response"][0])

    def listen(self) -> None:
        url, limits = self.url.replace("https:", "wss:", 1) + "/cdpm", {"compression": None, "max_size": 72 * 1024}
        more: Any = {"subprotocols": ["cdpm"], "ssl": self.tls, "proxy": None, **limits}
        with connect(url, **more) as self.socket:
            self.socket.send(self.sign("open", last=(self.state["releases"] or [None])[-1])[0])
            print(json.dumps({"connected": url}), flush=True)
            self.delay, self.votes = 1, {}
            self.vote()
            for jws in self.socket:
                self.receive(*self.believe(str(jws)))

    def receive(self, header: Message, message: Message) -> None:
        if "irt" in header:
            release = self.votes.pop(header["irt"])
            if message["status_code"] in ("200", "403", "404", "409"):
                self.keep(awaited=[one for one in self.state["awaited"] if one != release])
            print(json.dumps({"answer": message}), flush=True)
        elif "project_details" in message and "deployable" in message:
            release = {key: message[key] for key in ("id", "ref", "created_at")}
            if release not in self.state["releases"]:
                is_cycle = any(link.split("#")[0] == self.me for link in message.get("chain", []))
                awaited = [release] if self.opinion and not is_cycle else []
                self.keep(releases=[*self.state["releases"], release], awaited=[*self.state["awaited"], *awaited])
                print(json.dumps({"release": message}), flush=True)
            self.socket.send(self.sign("received", id=release["id"])[0])
            self.vote()

    def vote(self) -> None:
        """Vote for every release without an answer, as after a new connection."""
        status, now = "success" if self.opinion == "stable" else "failed", datetime.now(UTC).isoformat()
        trial = {"id": str(uuid.uuid4()), "status": status, "ref": self.ref["ref"], "created_at": now}
        for release in self.state["awaited"]:
            if release not in self.votes.values():
                jws, jti = self.sign(f"vote_{self.opinion}", **release, deployable=trial)
                self.votes[jti] = release
                self.socket.send(jws)

    def run(self) -> None:
        while True:
            self.socket = SimpleNamespace(close_code=None)
            try:
                self.look_up()
                if not self.state["subscription_id"]:
                    self.subscribe()
                self.listen()
            except Exception as wrong:  # whatever it was, it begins again
                print(json.dumps({"ended": repr(wrong)}), flush=True)
            if self.socket.close_code == 4001:
                self.keep(subscription_id=None)
            time.sleep(30 if self.socket.close_code == 4000 else self.delay)
            self.delay = min(2 * self.delay, 300)


if __name__ == "__main__":
    Subscriber(json.loads(sys.argv[1])).run()
