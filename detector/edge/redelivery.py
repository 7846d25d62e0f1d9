"""Messages of QoS 1 that a broker sends again, because the connection ended before it had our word for them.

A broker sends again what was not acknowledged, under the packet id that it had, with the dup flag. Who took
it then would count it twice: a sum would be too high, and where a payload has no time, an older value of a
counter would look like a reset. So the last message that was taken under each packet id is remembered by the
hash of its topic and payload. Where it comes again in a later connection it is refused; the broker has our
word for it when the first one is done, so that a crash in between loses nothing.

Only what this process took is known: after its own end, whatever comes again is new. And of two messages with
the same topic, payload and packet id, of which the second was cut off before we had read it, one is lost.
"""

from __future__ import annotations

from array import array
from typing import Final

PACKET_IDS: Final = 1 << 16
CONNECTION_BIT: Final = 18
"""Above a packet id and how it is acknowledged, a stamped packet id has the number of its connection."""


class Redelivery:
    """What was taken under each packet id. All of it is for the thread of the connection.

    `taken` has the stamped packet id, `digest` what to know the message by; they are written for every
    message of QoS 1 and above.
    """

    def __init__(self) -> None:
        nothing = array("q", bytes(8 * PACKET_IDS))
        self.taken, self.digest, self._done = nothing[:], nothing[:], nothing[:]
        self._again: dict[int, int] = {}  # of what is still in work, as which it came again

    def begin(self) -> None:
        """A new connection: what came again in the last one comes again."""
        self._again.clear()

    def take(self, stamped: int, topic: bytes, payload: bytes) -> None:
        """Remember a message that is taken."""
        self.taken[stamped % PACKET_IDS] = stamped
        self.digest[stamped % PACKET_IDS] = hash(topic) ^ hash(payload)

    def came_before(self, stamped: int, topic: bytes, payload: bytes) -> bool:
        """Say whether a message that is sent again was taken in an earlier connection."""
        first = self.taken[stamped % PACKET_IDS]
        same = self.digest[stamped % PACKET_IDS] == hash(topic) ^ hash(payload)
        return first != 0 and first >> CONNECTION_BIT < stamped >> CONNECTION_BIT and same

    def is_done(self, stamped: int) -> bool:
        """Say whether what came before is done; if not, `word_for` will tell when it is."""
        first = self.taken[stamped % PACKET_IDS]
        if self._done[stamped % PACKET_IDS] == first:
            return True
        self._again[first] = stamped
        return False

    def word_for(self, stamped: int) -> int:
        """Note that a message is done; return as which it came again, itself if it did not."""
        if self.taken[stamped % PACKET_IDS] == stamped:
            self._done[stamped % PACKET_IDS] = stamped
        return self._again.pop(stamped, stamped)
