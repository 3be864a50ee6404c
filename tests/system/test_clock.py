# SPDX-License-Identifier: BSD-3-Clause
"""The clock jumps."""

import pytest
from conftest import BUILD, wait_for
from faketime import HOUR, Clock


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path, BUILD / "resolverd")


@pytest.fixture
def make_clocked(make_daemon, clock):
    def make(**keys):
        daemon = make_daemon(start=False, **keys)
        daemon.prefix = clock.prefix
        return daemon.start()

    return make


def test_a_step_right_after_the_start_is_seen(make_clocked, clock):
    daemon = make_clocked()
    clock.move_to(-HOUR)
    wait_for(lambda: "the clock was stepped by -" in daemon.log(), 5, daemon.log)
