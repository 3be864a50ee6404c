# SPDX-License-Identifier: BSD-3-Clause
"""Who may ask, by what the kernel says of it, and how much the clients of one user may have together."""

import contextlib
import os
import struct
import time

import pytest
import resolverd_pb2 as pb
from conftest import INSTRUMENTED, wait_for
from wire import Client

ONE, OTHER, GROUP = 65531, 65532, 65533
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@contextlib.contextmanager
def acting_as(user, group=65534, groups=()):
    """What connects in here does so as this user."""
    os.setgroups(groups)
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


def connect(daemon, user=None, **groups):
    if user is None:
        return Client(daemon.socket)
    with acting_as(user, **groups):
        return Client(daemon.socket)


def said_at_once(client):
    """The error that comes before anything was asked; the session has ended then."""
    error = client.receive().error
    with pytest.raises(ConnectionError):
        client.receive()
    return error


def is_served(client):
    with client:
        client.submit(status=pb.StatusRequest())
        return client.receive().HasField("status")


@pytest.fixture
def make_open_daemon(public_path, make_daemon):
    """Daemons whose socket everyone can reach."""
    return lambda **keys: make_daemon(below=public_path, server__socket_mode="0666", **keys)


# ---- who may ask ----

@AS_ROOT
def test_only_users_and_groups_that_are_named_may_ask(make_open_daemon):
    daemon = make_open_daemon(server__allow_users=f"daemon,{ONE}", server__allow_groups=str(GROUP))
    assert is_served(connect(daemon, ONE))
    assert is_served(connect(daemon, 1)), "named as daemon"
    assert is_served(connect(daemon, OTHER, group=GROUP))
    assert is_served(connect(daemon, OTHER, groups=(5, GROUP, 7)))
    assert is_served(connect(daemon, OTHER, groups=(*range(1000, 1200), GROUP))), "in more groups than usual"
    assert is_served(connect(daemon)), "root may"
    for user, groups in (OTHER, ()), (OTHER, (5, 7)), (GROUP, ()):
        error = said_at_once(connect(daemon, user, groups=groups))
        assert error.code == pb.FORBIDDEN and "server.allow-users" in error.text
    assert daemon.status()["refused_clients"] == 3
    assert daemon.log().count("is refused: neither server.allow-users") == 1, "said once a minute at the most"


@AS_ROOT
def test_resolverctl_says_why_it_is_not_served(make_open_daemon):
    daemon = make_open_daemon(server__allow_users=str(ONE))
    with acting_as(OTHER):
        code, told = daemon.ctl("plan", "dane-ee.org", timeout=3)
    assert code == 75 or INSTRUMENTED  # leaks cannot be looked for across two users
    assert "server.allow-users" in told["error"]


@AS_ROOT
def test_new_rules_hold_at_once_and_for_those_who_are_there(make_open_daemon):
    daemon = make_open_daemon(config=f"server {{ allow-users = {{{ONE}, {OTHER}}} }}")
    stays, goes = connect(daemon, ONE), connect(daemon, OTHER)
    for client in stays, goes:
        client.submit(status=pb.StatusRequest())
        assert client.receive().HasField("status")
    daemon.reload(f"server {{ allow-users = {{{ONE}}} }}")
    assert said_at_once(goes).code == pb.FORBIDDEN
    assert said_at_once(connect(daemon, OTHER)).code == pb.FORBIDDEN
    assert is_served(stays)
    daemon.reload("")
    assert is_served(connect(daemon, OTHER))


def test_an_unknown_name_is_an_error(make_daemon):
    for key, name in ("server.allow-users", "nobody-of-that-name"), ("server.allow-groups", "no-such-group"):
        daemon = make_daemon(start=False)
        daemon.keys |= {key: name}
        daemon.start(wait=False)
        assert daemon.process.wait(timeout=10) == 78
        assert f"{key}: there is no" in daemon.log() and name in daemon.log()
    daemon = make_daemon()
    said = daemon.reload("server { allow-users = {nobody-of-that-name} }")
    assert "there is no user" in said and "the configuration in force stays" in said
    assert is_served(connect(daemon))


@AS_ROOT
def test_rules_outlive_a_server_that_dies(make_open_daemon):
    daemon = make_open_daemon(server__allow_users=str(ONE))
    server = daemon.roles()["server"][0]
    os.kill(server, 9)
    wait_for(lambda: daemon.roles().get("server", [server])[0] != server, 10)
    assert said_at_once(connect(daemon, OTHER)).code == pb.FORBIDDEN
    assert is_served(connect(daemon, ONE))


# ---- how much ----

@AS_ROOT
def test_one_user_cannot_take_all_connections(make_open_daemon):
    daemon = make_open_daemon(server__max_clients="10", server__max_clients_per_user="4")
    clients = [connect(daemon, ONE) for _ in range(4)]
    for client in clients:
        client.submit(status=pb.StatusRequest())
        assert client.receive().HasField("status")
    error = said_at_once(connect(daemon, ONE))
    assert error.code == pb.BUSY and "server.max-clients-per-user" in error.text
    assert is_served(connect(daemon, OTHER))
    assert is_served(Client(f"{daemon.socket}.control"))
    clients.pop().socket.close()
    wait_for(lambda: daemon.status()["clients"] <= 4, 5)  # with the one that asks for the status
    assert is_served(connect(daemon, ONE))


@AS_ROOT
@pytest.mark.skipif(INSTRUMENTED, reason="a sanitizer's memory is not measured")
def test_one_user_cannot_fill_the_memory_with_what_it_does_not_read(make_open_daemon):
    daemon = make_open_daemon(server__max_buffered_per_user="4M")
    request = pb.Request(id=1, plan=pb.PlanRequest(next_hop="dane-ee.org")).SerializeToString()
    flood = (struct.pack(">I", len(request)) + request) * 2000
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0
    before = wait_for(lambda: daemon.status()["memory_bytes"], 5)  # measured every second
    deaf = [connect(daemon, ONE) for _ in range(100)]
    for client in deaf:
        client.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                client.socket.send(flood)
    assert is_served(connect(daemon, OTHER))
    time.sleep(1.5)
    assert daemon.status()["memory_bytes"] - before < 8 << 20
    assert daemon.ctl("plan", "dane-ee.org")[0] == 0
    for client in deaf:
        client.socket.close()
    wait_for(lambda: daemon.status()["clients"] == 1, 5)
    assert is_served(connect(daemon, ONE)), "what was held is free again"
