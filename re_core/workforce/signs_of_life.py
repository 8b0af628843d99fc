"""Which other processes of one kind live, by numbers in the store that rise: gateways of forest, cores that hold links.

Must not know what they do. A silence counts in own beats that were stored, not in seconds: while the store is away no process can
show that it lives, and none may conclude anything of another.
"""

from __future__ import annotations

from re_core.ports import Releases

#: own beats without a change of another one's number after which that one is gone
SILENT_BEATS = 4

#: own beats after which one that is gone is forgotten
FORGOTTEN_BEATS = 40


class SignsOfLife:
    """What one process knows of the others. One thread."""

    def __init__(self, me: str, kind: str = "") -> None:
        """`me`: its id; `kind`: what the ids of its kind begin with."""
        self._me, self._kind = me, kind
        self._beats = 0
        #: id -> its last number, and the own beat at which that was first read
        self._numbers: dict[str, tuple[int, int]] = {}
        #: those that do not answer
        self.gone: set[str] = set()

    def beat(self, store: Releases) -> list[str]:
        """Show that this one lives; those that are found to be gone by that. Raises StoreUnavailable."""
        store.beat_gateway(self._me, self._beats + 1)
        self._beats += 1
        read = {id: number for id, number in store.gateways().items() if id.startswith(self._kind)}
        new = []
        for id, number in read.items():
            known = self._numbers.get(id)
            if id == self._me:
                continue
            if known is None or known[0] != number:
                self._numbers[id] = number, self._beats
                self.gone.discard(id)
            elif self._beats - known[1] >= SILENT_BEATS and id not in self.gone:
                self.gone.add(id)
                new.append(id)
        for id in [one for one in self._numbers if one not in read]:
            del self._numbers[id]
            self.gone.discard(id)
        return new

    def living(self) -> set[str]:
        """This one, and those that were read with the last beat and are not gone."""
        return {self._me, *self._numbers} - self.gone

    def forgettable(self) -> list[str]:
        """Those that have been gone for so long that nothing of them is left."""
        return [id for id in self.gone if self._beats - self._numbers[id][1] >= FORGOTTEN_BEATS]
