# SPDX-License-Identifier: BSD-3-Clause
"""Two witnesses beside the verdicts: what resolverd's `records` answers, and what a real unbound, say to each lookup of the reference."""

import base64
import concurrent.futures
import tempfile

import dns.rcode
import dns.rdatatype
from dns.rdatatype import CNAME, DNAME

import oracle
import resolverd_pb2 as pb
import test_oracle
from reference import canonical
from wire import Client

IN_FLIGHT = 200
FAILED = "failed"  # bogus and error look alike from outside


def compare(validator, who, ask):
    """Prints where a witness says what the validator's model does not allow; returns how many times."""
    questions = list(validator.known)
    differing = 0
    for (name, rdtype), opinion in zip(questions, ask(questions)):
        allowed = [opinion_of_result(result) for result in validator.known[name, rdtype]]
        if rdtype == CNAME and validator.zones.of(name).answer(name, rdtype).rdtype == DNAME:
            allowed.append(FAILED)  # unbound 1.17.1 fails where the DNAME leads to unsigned data: "DS got DNAME answer"
        if opinion not in allowed:
            differing += 1
            print(f"DISAGREEMENT {name} {dns.rdatatype.to_text(rdtype)}: {who} {opinion}, reference {' or '.join(map(str, allowed))}")
    print(f"{len(questions)} lookups compared with {who}, {differing} disagreements")
    return differing


def opinion_of_result(result):
    """(status, whether the name exists, number of records)"""
    return FAILED if result.has_failed else (min(result.status), result.exists, len(result.records))


# ---- resolverd ----


class Resolverd:
    def __init__(self, daemon):
        self.socket = daemon.socket
        self.trusted = [base64.b64decode(line) for line in open(daemon.public_key, encoding="ascii")]

    def ask(self, questions):
        """The opinions in order, some hundred requests in flight."""
        remaining, asked, opinions = list(reversed(questions)), {}, {}
        with Client(self.socket, self.trusted, timeout=60) as client:
            client.learn_delegations()
            while len(opinions) < len(questions):
                while remaining and len(asked) - len(opinions) < IN_FLIGHT:
                    name, rdtype = remaining.pop()
                    request_id = client.submit(records=pb.RecordsRequest(name=canonical(name), type=rdtype))
                    asked[request_id] = pb.Question(kind=pb.RECORDS, name=canonical(name), type=rdtype)
                response = client.receive()
                records = client.verify(response.answers[0], asked[response.id]).records
                opinions[response.id] = opinion_of_records(records)
        return [opinions[request_id] for request_id in asked]


def opinion_of_records(records):
    status = {pb.SECURE: "secure", pb.INSECURE: "insecure"}.get(records.status)
    count = sum(len(rrset.rdata) for rrset in records.answer)
    return (status, records.rcode != dns.rcode.NXDOMAIN, count) if status else FAILED


# ---- unbound ----


def ask_unbound(questions):
    with (
        tempfile.TemporaryDirectory() as directory,
        oracle.Unbound(test_oracle.WORLD_DIR, directory, test_oracle.RESOLVER) as unbound,
        concurrent.futures.ThreadPoolExecutor(test_oracle.PARALLEL) as pool,
    ):
        replies = pool.map(lambda question: test_oracle.ask(unbound.address, question[0].to_text(), question[1]), questions)
        return [opinion_of_reply(reply, rdtype) for reply, (_name, rdtype) in zip(replies, questions)]


def opinion_of_reply(reply, rdtype):
    status = test_oracle.status_of(reply, dns.rdatatype.to_text(rdtype))
    if status == test_oracle.FAILED:
        return FAILED
    counts = [len(rrset) for rrset in reply.answer if rrset.rdtype == rdtype]
    return ("insecure" if status == {"insecure"} else "secure", reply.rcode() != dns.rcode.NXDOMAIN, counts[-1] if counts else 0)
