# SPDX-License-Identifier: BSD-3-Clause
"""The page of resolverd-web: what it shows, to whom, and that nothing from outside becomes markup. In a browser: test_web_browser.py."""

import html.parser
import re
import time

import pytest
from conftest import wait_for
from scenarios import DANE, PLAIN
from web import Web

VOID = {"meta", "link", "br", "rect", "line", "polyline"}
CSP = ("default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


class Page(html.parser.HTMLParser):
    """The text by section, tables, links; every element must be closed in order, every id unique, every table have a caption and heads."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.cells, self.rows, self.text, self.tags = [], [], [], [], [], "", []
        self.feed(text)
        assert self.open == [] and len(self.ids) == len(set(self.ids))
        assert self.tags[:2] == ["html", "head"] and self.tags.count("main") == self.tags.count("h1") == 1
        assert self.tags.count("table") == self.tags.count("caption")
        assert not {"script", "style", "iframe", "form", "object"} & set(self.tags)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        assert not any(name.startswith("on") or name == "style" for name in attrs), attrs
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "svg":
            assert attrs.get("aria-label") or attrs.get("aria-hidden") == "true"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.rows and self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, first):
        return next((row for row in self.rows if row and row[0] == first), None)


def page(web, path="/", status=200, **given):
    got, headers, body = web.get(path, **given)
    assert got == status and headers["Content-Type"] == "text/html; charset=utf-8" and headers["Content-Security-Policy"] == CSP
    return Page(body)


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(config='override "relay.example" { requirement = off  reason = "ticket <12> & \\"more\\"" }\n')


@pytest.fixture
def web(daemon, tmp_path):
    with Web(tmp_path, daemon) as web:
        yield web


def test_the_page_shows_state_shares_and_trouble(web, daemon):
    for name in (DANE, PLAIN, "mx-servfail.org", "address-bogus.net", "null-mx.org"):
        daemon.ctl("plan", name)
    daemon.ctl("plan", "mx-servfail.org")
    shown = page(web)
    assert "Validation works." in shown.text and shown.row("root")[1] == "good"
    assert re.search(r"DANE at every host: 1\b", shown.text) and re.search(r"or opportunistic: 1\b", shown.text) and "delayed: 2" in shown.text
    servfail, bogus = shown.row("mx-servfail.org"), shown.row("address-bogus.net")
    assert "MX lookup failed" in servfail[2] and servfail[3].startswith("the operator of the domain")
    assert "address lookup failed" in bogus[2]
    assert shown.row(DANE) is None and shown.row(PLAIN) is None
    assert "/destination?next_hop=mx-servfail.org" in shown.links
    assert 'ticket <12> & "more"' in shown.text


def test_nothing_to_show_yet(web):
    shown = page(web)
    assert "None." in shown.text and "nothing yet" in shown.text


def test_the_cache_is_looked_through_once_a_minute(web, daemon):
    assert DANE not in page(web).text and "0 destinations" in page(web).text
    daemon.ctl("plan", DANE)
    assert "0 destinations" in page(web).text


def test_not_ready_and_no_daemon_are_said(web, daemon):
    daemon.stop()
    time.sleep(1.1)
    assert "The daemon does not answer." in page(web).text
    daemon.start()
    wait_for(lambda: "Validation works." in page(web).text, 10)


def test_a_destination_and_why(web, daemon):
    shown = page(web, f"/destination?next_hop={DANE}")
    assert "deliver" in shown.text and shown.row(f"mx.{DANE}")[2] == "dane" and "RFC 7672" in shown.text
    assert f"/destination?next_hop={DANE}&explain=1" in shown.links
    explained = page(web, f"/destination?next_hop={DANE}&explain=1")
    assert "Looked up just now" in explained.text and any(row[:3] and row[1] == "TLSA" and row[2].startswith("secure") for row in explained.rows
                                                          if len(row) > 2)
    delayed = page(web, "/destination?next_hop=mx-servfail.org")
    assert "delay" in delayed.text and "MX lookup failed" in delayed.text


@pytest.mark.parametrize("query, status", [("next_hop=a..b", 400), ("next_hop=%3Cscript%3Ealert(1)%3C/script%3E", 200), ("next_hop=%22%3E%3Cb%3E", 200),
                                           ("next_hop=" + "a." * 400 + "b", 400), ("next_hop=%00", 400), ("next_hop=%ff%fe", 200)])
def test_nothing_from_outside_becomes_markup(web, query, status):
    got, headers, body = web.get(f"/destination?{query}")
    assert got == status
    if headers["Content-Type"].startswith("text/html"):
        Page(body)  # no script, nothing open
        assert "<script" not in body and "<b>" not in body


def test_a_destination_at_another_port(web):
    assert f"/destination?next_hop={DANE}&port=587&explain=1" in page(web, f"/destination?next_hop={DANE}&port=587").links


@pytest.mark.parametrize("path", ["/destination", "/destination?x=y", f"/destination?next_hop={DANE}&port=0", f"/destination?next_hop={DANE}&port=x",
                                  f"/destination?next_hop={DANE}&port=65536", "/destination?next_hop=" + "a" * 1100])
def test_what_is_no_destination(web, path):
    assert web.get(path)[0] == 400


def test_not_to_pages_of_other_sites(web):
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert web.get(f"/destination?next_hop={DANE}", headers={"Host": "localhost", "Sec-Fetch-Site": site})[0] == status


def test_destinations_can_be_left_out(daemon, tmp_path):
    daemon.ctl("plan", "mx-servfail.org")
    with Web(tmp_path, daemon, "--no-destinations") as web:
        shown = page(web)
        assert "mx-servfail.org" not in shown.text and "Destinations are left out" in shown.text
        assert web.get("/destination?next_hop=mx-servfail.org")[0] == 403


def test_the_style_comes_from_here(web):
    status, headers, body = web.get("/style.css")
    assert status == 200 and headers["Content-Type"].startswith("text/css") and "prefers-color-scheme: dark" in body and "url(" not in body
    assert web.get("/nothing")[0] == 404
