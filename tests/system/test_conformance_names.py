# SPDX-License-Identifier: BSD-3-Clause
"""Names as people write them and as the protocol has them, through resolverctl and straight to the daemon."""

import pytest
import resolverd_pb2 as pb
from wire import Client

DELIVER, NO_SUCH, USAGE = 0, 68, 64
A63 = "a" * 63
LONGEST = f"{A63}.{A63}.{A63}.{'a' * 57}.org"  # 255 octets

ONE_NAME = {
    "dane-ee.org": ["dane-ee.org", "DANE-EE.ORG", "dane-ee.org.", "Dane-EE.Org.", "dane\\045ee.org", "\\068ane-ee.org",
                    "\\DANE-EE.org", "dane-ee。org", "ｄａｎｅ-ee．org｡"],
    "xn--bcher-kva.nl": ["bücher.nl", "BÜCHER.nl.", "bu\u0308cher.NL", "xn--bcher-kva.nl", "XN--BCHER-KVA.NL.", "bücher。nl"],
    "dot\\.ted.escaped.org": ["dot\\.ted.escaped.org", "dot\\046ted.escaped.org", "DOT\\.TED.escaped.org."],
    "[mx.dane-ee.org]": ["[mx.dane-ee.org]", "[MX.Dane-EE.org.]", "[\\mx.dane-ee.org]", "[mx。dane-ee。org]"],
    "[192.0.2.1]": ["[192.0.2.1]", "[１９２.0.2.1]"],
    "[2001:db8::1]": ["[2001:db8::1]", "[IPv6:2001:DB8:0:0::1]", "[ipv6:2001:db8::1]"],
    "[::ffff:192.0.2.1]": ["[::ffff:192.0.2.1]", "[IPv6:::FFFF:c000:201]"],
}


@pytest.mark.parametrize("written, canonical", [(w, name) for name, all_of in ONE_NAME.items() for w in all_of], ids=str)
def test_i15_however_it_is_written_it_is_one_name(daemon, written, canonical):
    code, plan = daemon.ctl("plan", written)
    assert (code, plan.get("next_hop")) == (DELIVER, canonical), plan


def test_i15_one_name_is_one_answer(daemon):
    for all_of in ONE_NAME.values():
        plans = [daemon.ctl("plan", written)[1] for written in all_of]
        assert len({plan["validated_at"] for plan in plans if plan["mx"]}) <= 1


@pytest.mark.parametrize("name", ["1.2.3", "127.1", "0x7f.1", "192\\.0\\.2\\.1", f"{A63}.org", LONGEST], ids=lambda n: n[:20])
def test_d13_what_is_no_address_is_a_name_and_the_dns_denies_it(daemon, name):
    code, plan = daemon.ctl("plan", name)
    assert (code, plan["outcome"], plan["next_hop"]) == (NO_SUCH, "no-such-domain", name)


REFUSED = {
    "192.0.2.1": "in brackets", "192.0.2.1.": "in brackets", "2001:db8::1": "in brackets", "１９２.0.2.1": "in brackets",
    "dane-ee.org:25": "colon", "[192.0.2.256]": "neither an IP address", "[127.1]": "neither an IP address",
    "[192.0.2.1.]": "neither an IP address", "[2001:db8::1%eth0]": "neither an IP address", "[IPv6:192.0.2.1]": "neither",
    "[[::1]]": "brackets", "[mx.dane-ee.org": "brackets", "": "empty", "a..org": "empty label", ".org": "empty label",
    "a\\25.org": "escape", "a\\256.org": "escape", "org\\": "escape", "dane ee.org": "blank",
    f"a{A63}.org": "63", f"a{LONGEST}": "63", LONGEST.replace("a.org", "aa.org"): "255",
    "ü" * 60 + ".org": "", "a\u200db.org": "", "abא.org": "", "☕.org": "", "ü-.org": "", "ü\\046.org": "escapes",
    b"b\xfccher.nl".decode("utf-8", "surrogateescape"): "b?cher.nl",
}


@pytest.mark.parametrize("name, why", REFUSED.items(), ids=lambda text: ascii(text)[:24])
def test_what_is_no_next_hop_is_wrong_usage_and_it_is_said_why(daemon, name, why):
    code, output = daemon.ctl("plan", name)
    assert code == USAGE and why in output["error"] and "cannot ask for" in output["error"], output


ASCII_REFUSED = [name for name in REFUSED if name.isascii()]


@pytest.mark.parametrize("name", [*ASCII_REFUSED, "bücher.nl", "dane-ee。org"], ids=lambda text: ascii(text)[:24])
def test_the_daemon_itself_refuses_it_too_and_wants_a_labels(daemon, name):
    with Client(daemon.socket) as client:
        response = client.ask(plan=pb.PlanRequest(next_hop=name))
    assert response.error.code == pb.BAD_REQUEST and "next_hop" in response.error.text


@pytest.mark.parametrize("sent, asked", [("DANE-EE.org.", "dane-ee.org"), ("dane\\045ee.org", "dane-ee.org"),
                                         ("[MX.dane-ee.org]", "[mx.dane-ee.org]"), ("[IPv6:0:0::1]", "[::1]")])
def test_i15_the_answer_of_the_daemon_is_to_the_canonical_question(daemon, sent, asked):
    with Client(daemon.socket) as client:
        response = client.ask(plan=pb.PlanRequest(next_hop=sent))
    assert pb.Answer.FromString(response.answers[0].answer).question.name == asked


def test_i15_hosts_and_records_take_the_same_names(daemon):
    for name in ("MX.bücher.nl.", "mx.xn--bcher-kva.nl"):
        code, host = daemon.ctl("host", name)
        assert (code, host["name"], host["policy"]) == (0, "mx.xn--bcher-kva.nl", "dane")
    code, records = daemon.ctl("lookup", "_25._TCP.mx.bücher.nl", "TLSA")
    assert (code, records["status"], len(records["answer"])) == (0, "secure", 1)
