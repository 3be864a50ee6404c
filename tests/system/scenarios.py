# SPDX-License-Identifier: BSD-3-Clause
"""The world's scenarios (tests/world/README.md), and by name the mail domains that many tests send to."""

import json

from conftest import WORLD

FACTS = json.loads((WORLD / "world.json").read_text()) if WORLD else {"scenarios": [], "hosts": {}, "servers": {}}
SCENARIOS = FACTS["scenarios"]
EXIT = {"deliver": 0, "delay": 75, "no-such-domain": 68, "no-host": 68, "no-mail": 69}  # of a plan, by its outcome

# Domains with one mail host each, by what that has: usage 3, usage 2, none, none usable, one that it never matches.
DANE, TA, PLAIN, NO_AUTH, MISMATCH = "dane-ee.org", "dane-ta.com", "plain.net", "unusable-usage.com", "tlsa-mismatch.org"


def mx(domain):
    """Its mail host."""
    return f"mx.{domain}"
