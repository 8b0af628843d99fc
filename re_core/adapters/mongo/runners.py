"""Enrolled forest runners. Must not know their protocol."""

from __future__ import annotations

from re_core.adapters.mongo.database import Database, Document, foreign
from re_core.errors import StoreRefused
from re_core.rows import Runner

#: the fields that are text, and those that are whole numbers
_TEXTS = ("_id", "digest", "user", "connected", "peer")
_NUMBERS = ("created", "parallel", "active", "offered")


class RunnersPart:
    """See ports.Runners."""

    _database: Database

    def enroll_runner(self, runner: Runner) -> bool:
        """See ports.Runners."""
        document: Document = {"_id": runner.name, **runner._asdict(), "capabilities": list(runner.capabilities)}
        del document["name"]
        stands = self._database.add_or_find(self._database.runners, document)
        return bool(stands.get("digest") == runner.digest)

    def runner(self, name: str) -> Runner | None:
        """See ports.Runners. Raises StoreRefused for a document that is none of ours: its name is not free."""
        with self._database.translating_errors():
            found = self._database.runners.find_one({"_id": name})
        if found is None:
            return None
        try:
            return runner_of(found)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreRefused(f"store {self._database.where}: {foreign('runners', found)}; remove it") from error

    def runners(self) -> list[Runner]:
        """See ports.Runners."""
        with self._database.translating_errors():
            found = list(self._database.runners.find().sort("_id", 1))
        return [runner for _, runner in self._database.readable("runners", found, runner_of)]

    def set_parallel(self, name: str, parallel: int) -> bool:
        """See ports.Runners."""
        return self._change({"_id": name}, {"parallel": parallel})

    def revoke_runner(self, name: str, at: int) -> bool:
        """See ports.Runners."""
        return self._change({"_id": name, "revoked": None}, {"revoked": at})

    def forget_runner(self, name: str) -> bool:
        """See ports.Runners."""
        with self._database.translating_errors():
            return self._database.runners.delete_one({"_id": name, "revoked": {"$ne": None}}).deleted_count == 1

    def note_runner(
        self,
        name: str,
        *,
        seen: int,
        connected: str,
        peer: str,
        capabilities: tuple[str, ...],
        active: int,
        offered: int,
        held: str | None = None,
    ) -> None:
        """See ports.Runners."""
        which = {"_id": name} if held is None else {"_id": name, "connected": held}
        seen_so = {"seen": seen, "connected": connected, "peer": peer, "capabilities": list(capabilities)}
        self._change(which, {**seen_so, "active": active, "offered": offered})

    def _change(self, which: Document, new: Document) -> bool:
        with self._database.translating_errors():
            return self._database.runners.update_one(which, {"$set": new}).matched_count == 1


def runner_of(document: Document) -> Runner:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    if not all(isinstance(document[name], str) for name in _TEXTS):
        raise TypeError("no runner")
    numbers = {name: int(document[name]) for name in _NUMBERS}
    revoked, seen = document["revoked"], document["seen"]
    if not isinstance(revoked, int | None) or not isinstance(seen, int | None):
        raise TypeError("no runner")
    return Runner(
        name=document["_id"],
        digest=document["digest"],
        user=document["user"],
        revoked=revoked,
        seen=seen,
        connected=document["connected"],
        peer=document["peer"],
        capabilities=tuple(map(str, document["capabilities"])),
        **numbers,
    )
