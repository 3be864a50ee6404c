# SPDX-License-Identifier: BSD-3-Clause
"""What resolverctl completes in the real shells, and that what it lists is what it takes."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CTL = Path(os.environ["BUILD_DIR"]) / "resolverctl"


def run(*arguments, **options):
    return subprocess.run([str(word) for word in arguments], capture_output=True, text=True, timeout=60, **options)


def script(shell):
    return run(CTL, "completion", shell, check=True).stdout


def commands():
    listed = re.search(r"Commands:\n(.*?)\n\n", run(CTL, "--help").stdout, re.S)[1]
    return re.findall(r"^  ([a-z]+)", listed, re.M)


def options_of(text):
    return re.findall(r"^  --([a-z-]+)(?: ([A-Z]+))?", text, re.M)


def in_bash(*words):
    """What bash offers for the last of these words."""
    ask = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; _resolverctl; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = run("bash", "--norc", "-c", script("bash") + "\n" + ask)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split("\n")) - {""}


def in_fish(line):
    done = run("fish", "--no-config", "-c", script("fish") + f"\ncomplete -C {line!r}")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return {offered.split("\t")[0] for offered in done.stdout.splitlines()}


def test_bash_offers_commands_and_options():
    assert in_bash("resolverctl", "").issuperset(commands())
    assert in_bash("resolverctl", "pl") == {"plan"}
    assert in_bash("resolverctl", "--json", "--timeout", "3", "ch") == {"check"}
    assert in_bash("resolverctl", "check", "--") == {"--port", "--host", "--insecure-ok", "--evidence", "--json", "--help"}
    assert in_bash("resolverctl", "completion", "") == {"bash", "zsh", "fish", "--json", "--help"}
    assert in_bash("resolverctl", "plan", "--port", "") == set()


def test_bash_offers_files_where_one_is_wanted(tmp_path):
    (tmp_path / "a file").touch()
    prefix = str(tmp_path / "a")
    for words in (["verify"], ["warm", "--keep", "4h"], ["--public-key"], ["check", "example.org", "--evidence"]):
        assert in_bash("resolverctl", *words, prefix) == {str(tmp_path / "a file")}, words
    assert in_bash("resolverctl", "plan", prefix) == set()


@pytest.mark.parametrize("command", commands())
def test_bash_offers_each_option_of_a_command(command):
    named = {f"--{name}" for name, _ in options_of(run(CTL, command, "--help").stdout)}
    assert in_bash("resolverctl", command, "--") == named | {"--json", "--help"}


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers_the_same():
    assert in_fish("resolverctl ").issuperset(commands())
    for command in commands():
        named = {f"--{name}" for name, _ in options_of(run(CTL, command, "--help").stdout)}
        assert in_fish(f"resolverctl {command} --") >= named | {"--json"}
    assert in_fish("resolverctl completion ") >= {"bash", "zsh", "fish"}


def in_zsh(directory, pause_s):
    """Through a terminal, as zsh completes nowhere else: all that it shows for some lines."""
    (directory / "ask").write_text(f"""
        zmodload zsh/zpty
        zpty shell 'zsh -f -i'
        zpty -w shell 'PS1=; fpath=({directory} $fpath); autoload -U compinit; compinit -u; LISTMAX=10000; COLUMNS=200; setopt nobeep; echo up'
        for line in 'resolverctl ' 'resolverctl check --' 'resolverctl completion '; do
            sleep {pause_s}
            zpty -w -n shell "$line"$'\\t'$'\\t'
            sleep {pause_s}
            zpty -w -n shell $'\\C-u'
        done
        zpty -w shell 'echo; exit'
        while zpty -r shell line; do print -r -- "$line"; done
    """)
    home = {"ZDOTDIR": str(directory), "HOME": str(directory), "PATH": f"{CTL.parent}:/usr/bin:/bin", "TERM": "dumb"}
    return run("zsh", "-f", directory / "ask", env=home).stdout


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_offers_the_same(tmp_path):
    (tmp_path / "_resolverctl").write_text(script("zsh"))
    assert run("zsh", "-n", tmp_path / "_resolverctl").stderr == ""
    wanted = [*commands(), "--insecure-ok", "--evidence", "fish"]
    for pause_s in (0.5, 2, 6):  # a busy machine takes longer
        shown = in_zsh(tmp_path, pause_s)
        if all(word in shown for word in wanted):
            return
    pytest.fail(f"{[word for word in wanted if word not in shown]} is missing in:\n{shown}")


@pytest.mark.parametrize("command", commands())
def test_what_is_listed_is_taken(command):
    for name, argument in options_of(run(CTL, command, "--help").stdout):
        done = run(CTL, "--socket", "/nowhere", command, f"--{name}", *["25"] * bool(argument))
        assert "wrong option" not in done.stderr and "see --help" not in done.stderr, (name, done.stderr)
    assert run(CTL, "--socket", "/nowhere", command, "--nonsense").returncode == 64


def test_common_options_are_taken():
    for name, argument in options_of(run(CTL, "--help").stdout):
        done = run(CTL, f"--{name}", *["25"] * bool(argument), "plan", "a b")
        assert "wrong option" not in done.stderr, name


def test_usage():
    for words in (["completion"], ["completion", "csh"], ["completion", "bash", "zsh"]):
        assert run(CTL, *words).returncode == 64
