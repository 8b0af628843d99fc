"""Secrets of every place, and steps that say them everywhere. Must not know what engine they run on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tests.services.openbao import OpenBao
from tests.services.recipe import Place
from tests.services.sops import KEY_FILE, encrypt, link, new_key

#: name -> value; each is kept in another place
VALUES = {
    "tests/file": "f1les/+p4ss'w\"ord&<x>",
    "tests/credential": "cr3dential:with=colons;and more",
    "tests/variable": "v4riable secret 100%",
    "tests/sops": "s0ps-" + "qwertz-" * 100 + "end",
    "tests/vault": "v4ult\\back\\slash{brace}$dollar",
    "tests/store": "st0re-täglich-ßecret",
    # of notifiers: never given to a step
    "ops/chat": "appr1se-t0ken-of-a-chat",
    "ops/hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
OF_STEPS = [name for name in VALUES if name.startswith("tests/")]

#: code of a step that does what careless code does
LEAKY = r"""
import base64, html, json, logging, sys, threading, urllib.parse
from re_workers import Context, Failed, Worker, step

class Leaky(Worker):
    @step
    def Say(self, ctx: Context, values: dict[str, str], how: str) -> object:
        for value in values.values():
            data = value.encode()
            for text in (value, base64.b64encode(b"user:" + data).decode(), data.hex(), json.dumps(value), repr(value),
                         urllib.parse.quote(value), html.escape(value), "x" * 16000 + value * 3, f"a {value}\nb {value}"):
                ctx.output(text)
            ctx.progress(1, 2, f"at {value}")
            print("printed", value, flush=True)
            print(value, file=sys.stderr, flush=True)
            logging.getLogger("leaky").error("logged %s", value, extra={"deployment_id": ctx.deployment})
            thread = threading.Thread(target=self.crash, args=(value,))
            thread.start()
            thread.join()
            for transport, target in (("email", "a@example.com"), ("irc", "#team"), ("webhook", "hook"), ("webhook", "nowhere"),
                                      ("apprise", "chat"), ("console", "all")):
                ctx.notify(transport, [target], f"slug {value}" if len(value) < 70 else "slug", f"message {value}", "failed")
        if how == "large":
            return {"values": list(values.values()), "more": "so that it is stored as an artifact " * 10000}
        if how == "data":
            return {"values": dict(values), **{value: [value] for value in values.values()}}
        if how == "raise":
            raise RuntimeError(f"raised {values}")
        raise Failed(f"failed {values}", {"its": values})

    def crash(self, value):
        raise ValueError(f"a thread with {value}")
"""


def sources(own: Path, bao: OpenBao) -> list[Any]:
    """The setting `secrets` for what `keep` has written below `own`."""
    return [
        "credentials",
        {"files": str(own / "files")},
        {"environment": {"tests/variable": "MY_SECRET_VARIABLE"}},
        {"sops": str(own / "secrets.sops.yaml")},
        {"vault": {"url": bao.url, "token_file": str(own / "token"), "ca_file": str(bao.ca_file)}},
        "engine",
    ]


def keep(own: Path, bao: OpenBao, sops: Place, chat: str) -> dict[str, str]:
    """Each value into its place, but for that of the engine's store; the variables that the processes need for them.

    `chat`: the URL with the token of the chat. The code of the steps is in `workers`, and sops in `bin`, which the PATH has to begin with.
    """
    for directory in ("files/tests", "files/ops", "credentials", "workers"):
        (own / directory).mkdir(parents=True)
    for name, value in {**VALUES, "ops/chat": chat}.items():
        if name in ("tests/file", "ops/chat", "ops/hook"):
            (own / "files" / name).write_text(value)
    (own / "credentials/tests~credential").write_text(VALUES["tests/credential"])
    (own / "workers/leaky.py").write_text(LEAKY)
    key = new_key(own)
    encrypt(sops, key, yaml.safe_dump({"tests": {"sops": VALUES["tests/sops"]}}), own / "secrets.sops.yaml")
    link(sops, own / "bin")
    bao.client().secrets.kv.v2.create_or_update_secret(
        "tests/vault", {"value": VALUES["tests/vault"]}, mount_point="secret"
    )
    (own / "token").write_text(bao.token)
    return {
        "CREDENTIALS_DIRECTORY": str(own / "credentials"),
        "MY_SECRET_VARIABLE": VALUES["tests/variable"],
        KEY_FILE: str(key.private),
        "PATH": f"{own / 'bin'}{os.pathsep}",
    }


def files_below(place: Path) -> list[Path]:
    """All below it, but for what a program has printed in its record: that is for its own user alone, until the record is swept."""
    found = [path for path in place.rglob("*") if path.is_file()]
    printed = [path for path in found if path.name == "out" and path.parent.parent.name == "records"]
    assert all(path.parent.stat().st_mode & 0o077 == 0 for path in printed)
    return [path for path in found if path not in printed]
