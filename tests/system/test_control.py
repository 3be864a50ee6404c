# SPDX-License-Identifier: BSD-3-Clause
"""What is asked on the control socket: dump, flush and reload, on the real daemon."""
import json
import signal
import subprocess
import threading

import pytest
import resolverd_pb2 as pb
from conftest import BUILD, wait_for
from scenarios import DANE
from servers import Scripted
from wire import Client

CTL = str(BUILD / "resolverctl")


def run(daemon, *words):
    return subprocess.run([CTL, "--socket", daemon.socket, "--public-key", str(daemon.public_key), *words], capture_output=True, text=True,
                          timeout=60)


def dump(daemon, *words):
    done = run(daemon, "--json", "dump", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()


# ---- dump ----

def test_dump_shows_what_is_cached(daemon):
    assert dump(daemon) == []
    daemon.ctl("plan", DANE)
    daemon.ctl("lookup", DANE, "MX")
    shown = dump(daemon)
    assert sorted({one["kind"] for one in shown}) == ["host", "records", "route"]
    route = next(one for one in shown if one["kind"] == "route")
    assert (route["name"], route["port"], route["type"]) == (DANE, 25, None)
    _, plan = daemon.ctl("plan", DANE)
    timeless = lambda hosts: [{key: value for key, value in host.items() if key != "expires_in"} for host in hosts]
    assert timeless(route["answer"]["hosts"]) == timeless(plan["hosts"]) and route["answer"]["outcome"] == "deliver"
    records = next(one for one in shown if one["kind"] == "records")
    assert (records["name"], records["type"], records["answer"]["status"]) == (DANE, 15, "secure")
    host = next(one for one in shown if one["kind"] == "host")
    assert host["port"] == 25 and host["answer"]["policy"] == "dane" and host["failed_refreshes"] == 0


def test_dump_of_one_kind_or_in_use(daemon):
    daemon.ctl("plan", DANE)
    assert {one["kind"] for one in dump(daemon, "--kind", "host")} == {"host"}
    assert {one["kind"] for one in dump(daemon, "--kind", "route")} == {"route"}
    assert dump(daemon, "--kind", "records") == []
    assert dump(daemon, "--in-use") == []
    with Client(daemon.socket) as client:
        client.ask(watch=pb.WatchRequest(next_hop=DANE))
        kept = dump(daemon, "--in-use")
    assert {one["kind"] for one in kept} == {"route", "host"} and all(one["in_use"] and one["kept_until"] for one in kept)


def test_dump_pages_through_many(daemon):
    names = {f"n{number}.wildcard-mx.org" for number in range(700)}
    with Client(daemon.socket) as client:
        for name in names:
            client.submit(records=pb.RecordsRequest(name=name, type=15))
        for _ in names:
            client.receive()
    assert {one["name"] for one in dump(daemon, "--kind", "records")} == names


def test_dump_of_trouble(daemon):
    daemon.ctl("plan", DANE)
    daemon.ctl("plan", "address-bogus.net")
    daemon.ctl("plan", "mx-servfail.org")
    assert sorted(one["name"] for one in dump(daemon, "--trouble")) == ["address-bogus.net", "mx-servfail.org"]
    text = run(daemon, "dump").stdout
    assert f"route   {DANE} " in text and "deliver, dane" in text


def test_the_cursor_may_be_anything(daemon):
    daemon.ctl("plan", DANE)
    with Client(f"{daemon.socket}.control") as client:
        for cursor in (1, 255, 2**31, 2**32 - 1, 2**63):
            assert client.ask(dump=pb.DumpRequest(cursor=cursor, limit=2**31)).HasField("dump")
        assert not client.ask(dump=pb.DumpRequest(kind=99)).dump.entries


# ---- flush ----

def test_flush_looks_up_anew_past_all_caches(make_daemon):
    """The old TLSA record would live for an hour, in the daemon and in its workers."""
    zone = "scripted.biz"
    daemon = make_daemon()
    with Scripted(zone) as server:
        server.answers[zone, "MX"] = (3600, [f"10 mx.{zone}."])
        server.answers[f"mx.{zone}", "A"] = (3600, ["127.0.0.9"])
        _, before = daemon.ctl("plan", zone)
        daemon.ctl("lookup", f"mx.{zone}", "A")
        server.answers[f"mx.{zone}", "A"] = (3600, ["127.0.0.10"])
        assert daemon.ctl("plan", zone)[1]["hosts"][0]["addresses"] == before["hosts"][0]["addresses"]
        done = run(daemon, "--json", "flush", zone)
        told = json.loads(done.stdout)
        assert done.returncode == 0 and told["plan"]["hosts"][0]["addresses"][0]["ip"] == "127.0.0.10"
        after = daemon.ctl("plan", zone)[1]
        assert after["hosts"][0]["addresses"][0]["ip"] == "127.0.0.10"
        assert daemon.ctl("lookup", f"mx.{zone}", "A")[1]["answer"][0]["data"] == ["127.0.0.10"]
        assert "addresses" in {change["what"] for change in told["changes"]}
        assert "changed" in run(daemon, "flush", zone).stdout or "nothing else" in run(daemon, "flush", zone).stdout


def test_what_fails_takes_nothing_away(make_daemon):
    zone = "scripted.biz"
    daemon = make_daemon(resolver__deadline="2s")
    with Scripted(zone) as server:
        server.answers[zone, "MX"] = (3600, [f"10 mx.{zone}."])
        server.answers[f"mx.{zone}", "A"] = (3600, ["127.0.0.9"])
        assert daemon.ctl("plan", zone)[0] == 0
    done = run(daemon, "flush", zone)  # nobody answers for the zone any more
    assert done.returncode == 75
    assert daemon.ctl("plan", zone)[0] == 0


def test_flush_all_empties_the_cache_and_the_workers(daemon):
    daemon.ctl("plan", DANE)
    workers = set(daemon.roles()["worker"])
    cached = len(dump(daemon))
    done = run(daemon, "--json", "flush", "--all")
    assert done.returncode == 0 and json.loads(done.stdout) == {"dropped": cached}
    assert dump(daemon) == []
    wait_for(lambda: len(set(daemon.roles().get("worker", [])) - workers) == 2, 20)
    assert daemon.ctl("plan", DANE)[0] == 0


# ---- reload ----

def test_reload_tells_whether_it_took(daemon):
    done = run(daemon, "--json", "reload")
    assert done.returncode == 0 and json.loads(done.stdout) == {"in_force": True, "text": f"{daemon.config_path} is in force"}
    good = daemon.config_path.read_text()
    daemon.config_path.write_text(good + f'override "{DANE}" {{ requirement = mandatory }}\n')
    assert run(daemon, "reload").returncode == 0
    assert daemon.ctl("plan", DANE)[1]["requirement"] == "mandatory"
    daemon.config_path.write_text(good + 'override "x" { requirement = never }\n')
    done = run(daemon, "--json", "reload")
    told = json.loads(done.stdout)
    assert done.returncode == 78 and not told["in_force"]
    assert str(daemon.config_path) in told["text"] and "requirement" in told["text"] and "stays" in told["text"]
    assert daemon.ctl("plan", DANE)[1]["requirement"] == "mandatory"
    assert "requirement" in daemon.log()


def test_reload_names_what_needs_a_restart(daemon):
    daemon.config_path.write_text(daemon.config_path.read_text() + "cache { snapshot-interval = 7m }\n")
    done = run(daemon, "reload")
    assert done.returncode == 0 and "after a restart only" in done.stdout and "snapshot-interval" in done.stdout


def test_reloads_side_by_side_are_each_answered(daemon):
    results = []
    threads = [threading.Thread(target=lambda: results.append(run(daemon, "reload").returncode)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 6


def test_who_asked_may_be_gone_before_the_answer(daemon):
    for _ in range(5):
        with Client(f"{daemon.socket}.control") as client:
            client.submit(reload=pb.ReloadRequest())
    assert run(daemon, "reload").returncode == 0


# ---- who may ----

@pytest.mark.parametrize("body", [{"dump": pb.DumpRequest()}, {"flush": pb.FlushRequest()}, {"reload": pb.ReloadRequest()}],
                         ids=["dump", "flush", "reload"])
def test_not_on_the_clients_socket(daemon, body):
    daemon.ctl("plan", DANE)
    with Client(daemon.socket) as client:
        answer = client.ask(**body)
        assert answer.error.code == pb.BAD_REQUEST and "control socket" in answer.error.text
    assert dump(daemon)


@pytest.mark.parametrize("words", [["dump", "--kind", "x"], ["dump", "x"], ["flush"], ["flush", "a", "b"], ["flush", "--all", "a"],
                                   ["reload", "x"], ["flush", "a..b"]])
def test_usage(daemon, words):
    assert run(daemon, *words).returncode == 64


def test_signal_and_command_do_the_same(daemon):
    before = daemon.log().count("is in force")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.log().count("is in force") == before + 1, 10)
    run(daemon, "reload")
    assert daemon.log().count("is in force") == before + 2
