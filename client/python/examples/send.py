#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends the message on standard input, DANE-safe: send.py [--socket PATH] [--public-key FILE] SENDER RECIPIENT…

Exit status 0: taken; 75: what is left must be tried again later; 69: what is left can't be delivered.
"""

import argparse
import smtplib
import sys

import resolverd


def send(client, sender, recipient, message):
    plan = client.plan(recipient.rpartition("@")[2])
    with resolverd.smtp.connect(plan) as session:
        session.sendmail(sender, [recipient], message)
    return session.verdict


def main():
    parser = argparse.ArgumentParser(description="Send a message on standard input.")
    parser.add_argument("--socket", default=resolverd.DEFAULT_SOCKET)
    parser.add_argument("--public-key", default=resolverd.DEFAULT_PUBLIC_KEY)
    parser.add_argument("sender")
    parser.add_argument("recipients", nargs="+")
    arguments = parser.parse_args()
    message, code = sys.stdin.buffer.read(), 0
    with resolverd.Client(arguments.socket, arguments.public_key) as client:
        for recipient in arguments.recipients:
            try:
                verdict = send(client, arguments.sender, recipient, message)
                print(f"{recipient}: delivered, {verdict.reason}")
            except resolverd.smtp.UndeliverableError as error:
                print(f"{recipient}: {'failed' if error.is_permanent else 'delayed'}, {error}")
                code = max(code, 69 if error.is_permanent else 75)
            except (resolverd.Error, smtplib.SMTPException, OSError) as error:
                print(f"{recipient}: delayed, {error}")
                code = max(code, 75)
    return code


if __name__ == "__main__":
    sys.exit(main())
