"""Headers of steps that are recorded on their host (docs/wire-format.md, Recorded steps). Pure; must not know who sends them."""

from __future__ import annotations

#: of a step message: `1` where another worker has begun the attempt, and the one that gets this goes on with it
ADOPT = "re-adopt"
#: of `started`: `1` where what the attempt runs is recorded on its host, so that another worker can go on with it
RECORDED = "re-recorded"
#: of the `go` for a claim that moves: milliseconds since it was made
CLAIMED = "re-claimed"
#: of output of a recorded attempt, beside the attempt's id: which of the attempt's lines the first one is, from 0
PLACE = "re-place"
#: stands in the id of such a message, between what names the process that sends it and the number of lines up to its end
LINES = "/lines/"
