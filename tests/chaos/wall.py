# SPDX-License-Identifier: BSD-3-Clause
"""The daemon's clock during a run: what it showed when. Real times are seconds since the epoch, its own are milliseconds."""

import threading
import time

SEEN_WITHIN_S = 1  # a step of the clock, by every role of the daemon


class Wall:
    def __init__(self):
        self.lock = threading.Lock()
        self.steps = [(0.0, 0)]  # from this real time on: seconds ahead
        self.clock = None        # of a daemon under faketime

    def move_to(self, offset):
        with self.lock:
            self.steps.append((time.time(), offset))
            self.clock.move_to(offset)

    @property
    def offset(self):
        return self.steps[-1][1]

    def _spans(self):
        steps = list(self.steps)
        ends = [start + SEEN_WITHIN_S for start, _ in steps[1:]] + [float("inf")]
        return [(start, end, offset) for (start, offset), end in zip(steps, ends)]

    def offsets(self, begin, end):
        """Those that some role may still have seen or seen already between two real times."""
        return sorted({offset for start, over, offset in self._spans() if start <= end and begin <= over})

    def instants(self, shown_ms):
        """The real times, none of them ahead, at which the clock may have shown that."""
        now = time.time()
        return [at for start, over, offset in self._spans() if start - 0.01 <= (at := shown_ms / 1000 - offset) <= min(over, now)]

    def stepped_since(self, real):
        return len(self.steps) > 1 and self.steps[-1][0] >= real
