# SPDX-License-Identifier: BSD-3-Clause
"""
The man pages of docs/man against the programs: each option of --help stands in its page, once, and no other does; so do the exit statuses,
the keys of the configuration with their defaults, and the functions of the library.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/man"
BUILD = Path(os.environ["BUILD_DIR"])
PROGRAMS = {path.stem: path for path in PAGES.glob("*.[18]")}


def test_each_program_has_a_page():
    makefile = (ROOT / "Makefile").read_text()
    installed = set(re.findall(r"\$\(BUILD\)/([a-z-]+)", re.search(r"^install:.*?\n\n", makefile, re.S | re.M)[0]))
    assert installed == set(PROGRAMS)


@pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
def test_the_page_is_well_formed(page):
    found = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, timeout=30)
    assert (found.stdout, found.returncode) == ("", 0)


@pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
def test_what_the_page_refers_to_exists(page):
    ours = {f"{p.stem} {p.suffix[1:]}" for p in PAGES.iterdir()}
    elsewhere = {"fork 2", "poll 2", "getaddrinfo 3", "resolv.conf 5", "unbound.conf 5", "ld.so 8"}
    assert set(re.findall(r"^\.Xr (\S+ \d)", page.read_text(), re.M)) <= ours | elsewhere


def help_of(program):
    """What --help says, of its commands too."""
    def said(*words):
        return subprocess.run([BUILD / program, *words, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    text = said()
    commands = re.search(r"^Commands:\n(.*?)\n\n", text, re.S | re.M)
    return text + "".join(said(name) for name in re.findall(r"^  ([a-z]+)", commands[1], re.M)) if commands else text


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_the_page_has_the_options_of_help(program):
    page = PROGRAMS[program].read_text()
    text = help_of(program)
    assert set(re.findall(r"Fl \\-([a-z][a-z-]*)", page)) == set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text))
    listed = re.findall(r"^\.It Fl \\-([a-z-]+)", page, re.M)
    assert len(listed) == len(set(listed))
    # What is no option of a command stands in the list.
    common = text.split("Usage: resolverctl ")[1] if program == "resolverctl" else text
    assert set(re.findall(r"^ {2,4}--([a-z-]+)", common, re.M)) <= set(listed)


def test_the_page_has_the_commands_of_help():
    commands = re.search(r"Commands:\n(.*?)\n\n", help_of("resolverctl"), re.S)[1]
    names = re.findall(r"^  ([a-z]+)", commands, re.M)
    page = PROGRAMS["resolverctl"].read_text()
    assert names == list(dict.fromkeys(re.findall(r"^\.It Ic ([a-z]+)", page, re.M))), "in the same order; keys has several"


@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - {"resolverd"}))
def test_the_page_has_the_exit_statuses_of_help(program):
    told = {status for said in re.findall(r"Exit status(?: for all)?:(.*?)(?:\n\n|\Z)", help_of(program), re.S)
            for status in re.findall(r"\b(?:[012]|6\d|7\d)\b", said)}
    listed = re.search(r"^\.Sh EXIT STATUS\n(.*?)^\.Sh", PROGRAMS[program].read_text(), re.S | re.M)[1]
    page = set(re.findall(r"^\.It (\d+)", listed, re.M))
    assert told == page


def keys_of_the_source():
    source = (ROOT / "resolverd/base/config.c").read_text()
    for section, key, default, rest in re.findall(r'^    \{"([a-z]+)", "([a-z-]+)", (NULL|\w+|"[^"]*")(.*)\},$', source, re.M):
        if default == "CONFIG_SOCKET":
            default = '"/run/resolverd/resolverd.sock"'
        yield section, key, default.strip('"'), rest.endswith("true")


def keys_of_the_page():
    page = (PAGES / "resolverd.conf.5").read_text()
    for section, text in re.findall(r"^\.Sh ([A-Z]+)\n(.*?)(?=^\.Sh)", page, re.S | re.M):
        for key, default, said in re.findall(r"^\.It Cm ([a-z-]+) No = (.*)\n((?:(?!\.It|\.El).*\n)*)", text, re.M):
            yield section.lower(), key, re.sub(r"^Qq ", "", default).replace("\\&", ""), "(restart)" in said


def test_the_page_has_the_keys_of_the_configuration():
    source, page = list(keys_of_the_source()), list(keys_of_the_page())
    assert len(source) > 40 and len(page) == len({entry[:2] for entry in page})
    assert {entry[:2] for entry in source} == {entry[:2] for entry in page}
    told = {entry[:2]: entry[2:] for entry in page}
    for section, key, default, restart in source:
        assert told[section, key][1] == restart, (section, key)
        if default != "NULL":
            assert told[section, key][0] == default, (section, key)
        else:  # a list, or what has no default
            assert told[section, key][0] in ("{}", "date", "word"), (section, key)


def test_the_page_has_the_options_of_libunbound():
    source = (ROOT / "resolverd/base/config.c").read_text()
    allowed = re.findall(r'"([^"]+)"', re.search(r"unbound_allowed\[\] = \{(.*?)NULL\}", source, re.S)[1])
    page = re.search(r"^\.Sh UNBOUND\n(.*?)^\.Sh", (PAGES / "resolverd.conf.5").read_text(), re.S | re.M)[1]
    assert sorted(allowed) == re.findall(r"^\.Cm (\S+)", page, re.M)


def test_the_page_has_the_functions_of_the_library():
    header = (ROOT / "client/resolverd.h").read_text()
    declared = re.findall(r"^RESOLVERD_API.*?\b(resolverd_\w+)\(", header, re.S | re.M)
    page = (PAGES / "libresolverd.3").read_text()
    synopsis = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh", page, re.S | re.M)[1]
    shown = dict(re.findall(r"^\.Fn (resolverd_\w+) (.*)", synopsis, re.M))
    assert sorted(declared) == sorted(re.findall(r"^\.Fn (resolverd_\w+)", synopsis, re.M)) == sorted(shown)
    for name, arguments in shown.items():
        taken = re.search(r"\b%s\(\s*([^)]*)\)" % name, header[header.index("RESOLVERD_API const") :])[1]
        assert ", ".join(re.findall(r'"([^"]*)"', arguments)) == " ".join(taken.split()), name


def test_the_page_has_the_errors_of_the_library():
    declared = re.findall(r"^\t(RESOLVERD_ERROR_\w+) = -", (ROOT / "client/resolverd.h").read_text(), re.M)
    assert declared == re.findall(r"^\.It Dv (RESOLVERD_ERROR_\w+)", (PAGES / "libresolverd.3").read_text(), re.M)
