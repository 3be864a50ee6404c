# SPDX-License-Identifier: BSD-3-Clause
"""docs/SECURITY.md: what it names as holding a claim is there."""

import re

import pytest
from conftest import HERE

TOP = HERE.parent.parent
CLAIMS = sorted(set(re.findall(r"`([\w./-]+\.(?:c|h|py|json)):([^`]+)`", (TOP / "docs" / "SECURITY.md").read_text())))


@pytest.mark.parametrize("path, name", CLAIMS)
def test_what_holds_a_claim_exists(path, name):
    assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", (TOP / path).read_text()), "renamed or gone"


def test_claims_are_found():
    assert len(CLAIMS) > 50
