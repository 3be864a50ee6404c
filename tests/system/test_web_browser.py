# SPDX-License-Identifier: BSD-3-Clause
"""The page of resolverd-web in the real Chromium: make web-test installs what this needs, and without it is skipped."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
from scenarios import DANE, PLAIN, TA
from web import Web

BROWSER = pathlib.Path(__file__).resolve().parents[1] / "browser"
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM or not (BROWSER / "node_modules").exists(), reason="no chromium, or no playwright-core: make web-test")


def test_the_page_in_a_browser(make_daemon, tmp_path):
    """SCREENSHOTS=FOLDER keeps pictures of it."""
    daemon = make_daemon()
    for name in (DANE, TA, PLAIN, "mx-servfail.org", "address-bogus.net", "one-address-fails.com", "host-no-address.org", "null-mx.org"):
        daemon.ctl("plan", name)
    daemon.ctl("plan", "mx-servfail.org")
    with Web(tmp_path, daemon) as web:
        done = subprocess.run(["node", str(BROWSER / "page.mjs"), f"http://127.0.0.1:{web.port}", CHROMIUM, os.environ.get("SCREENSHOTS", "")],
                              capture_output=True, text=True, timeout=120, cwd=BROWSER)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert len(shown["rows"]) == 4 and any("mx-servfail.org" in row and "MX lookup failed" in row for row in shown["rows"])
