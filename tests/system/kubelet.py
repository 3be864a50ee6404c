#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the containers of a pod manifest, without a cluster: what a kubelet and a container engine would do of it.

A container gets a mount and a process namespace of its own and shares the network of the caller. Its root is the image, read-only;
its volumes are folders, laid out as a kubelet lays them out. User, groups, capabilities and no-new-privs are those of the manifest.
resolv.conf is that of dnsConfig. Not there: limits of memory and CPU, the engine's seccomp profile, the pod's sysctls.

As a program it is the inside of a container: it reads from its first argument what to enter, and runs the rest.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES = 64
DEVICES = ("null", "zero", "random", "urandom")


class Pod:
    """A pod's volumes, and its containers by name. config_maps and secrets: {name: {file: bytes}}."""

    def __init__(self, directory, manifest, images, config_maps, secrets):
        self.directory = pathlib.Path(directory)
        self.spec = manifest["spec"]
        self.images = images
        self.group = self.spec["securityContext"]["fsGroup"]
        self.containers = {one["name"]: one for one in self.spec["initContainers"] + self.spec["containers"]}
        self.resolv_conf = self.directory / "resolv.conf"
        self.resolv_conf.write_text(
            "".join(f"nameserver {address}\n" for address in self.spec["dnsConfig"]["nameservers"]) +
            "".join(f"options {option['name']}\n" for option in self.spec["dnsConfig"]["options"]))
        self.volumes = {}
        for volume in self.spec["volumes"]:
            path = self.volumes[volume["name"]] = self.directory / "volumes" / volume["name"]
            path.mkdir(parents=True)
            if "emptyDir" in volume:
                os.chown(path, 0, self.group)
                path.chmod(0o2777)
            elif "secret" in volume:
                # fsGroup adds the right to read for the group, whatever defaultMode says.
                self._project(path, secrets[volume["secret"]["secretName"]], volume["secret"]["defaultMode"] | 0o440)
            else:
                self._project(path, config_maps[volume["configMap"]["name"]], 0o644)

    def _project(self, path, files, mode):
        """Behind two symbolic links, so that all files can be replaced at once."""
        (path / "..1").mkdir(mode=0o755)
        (path / "..data").symlink_to("..1")
        for name, content in files.items():
            file = path / "..1" / name
            file.write_bytes(content)
            os.chown(file, 0, self.group)
            file.chmod(mode)
            (path / name).symlink_to(f"..data/{name}")

    def command(self, name, command=None, extra=()):
        """The command line that runs this container; command: another program in it, as a probe does."""
        container = self.containers[name]
        image = self.images[container["image"]]
        security = container["securityContext"]
        inside = {
            "root": str(image["tree"]),
            "mounts": [{"source": str(self.volumes[mount["name"]]), "target": mount["mountPath"],
                        "read_only": mount.get("readOnly", False)} for mount in container["volumeMounts"]] +
                      [{"source": str(self.resolv_conf), "target": "/etc/resolv.conf", "read_only": True}],
            "read_only": security["readOnlyRootFilesystem"],
            "user": security["runAsUser"], "group": security["runAsGroup"], "groups": [self.group],
            "capabilities": security["capabilities"] != {"drop": ["ALL"]},
            "privileges": security["allowPrivilegeEscalation"],
        }
        program = command or [*container.get("command", image["entrypoint"]), *container.get("args", [])]
        return ["unshare", "--mount", "--pid", "--fork", sys.executable, __file__, json.dumps(inside),
                *program, *extra]

    def run(self, name, command=None, timeout_s=15):
        """What a container, or another program in it, says and how it ends."""
        return subprocess.run(self.command(name, command), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout_s, check=False)

    def probe(self, name, kind):
        probe = self.containers[name][kind]
        return self.run(name, probe["exec"]["command"], probe["timeoutSeconds"] + 5)

    @contextlib.contextmanager
    def running(self, name, *extra):
        """This container, until the end of the block; (process, its log)."""
        log = self.directory / f"{name}.log"
        with open(log, "ab") as file:
            process = subprocess.Popen(self.command(name, extra=extra), stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            yield process, log
        finally:
            end(process)


def end(process):
    """A container at once, with all that runs in it: its first process is that of a namespace."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for pid in children.read_text().split() if process.poll() is None else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    process.kill()  # unshare, if it had not come so far
    process.wait(timeout=10)


# ---- inside ----


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def bind(source, target, read_only):
    mount("--bind", source, target)
    if read_only:
        mount("-o", "remount,bind,ro", target)


def enter(inside):
    root = inside["root"]
    bind(root, root, inside["read_only"])
    for each in inside["mounts"]:
        bind(each["source"], root + each["target"], each["read_only"])
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("-t", "tmpfs", "tmpfs", f"{root}/dev")
    for device in DEVICES:
        pathlib.Path(f"{root}/dev/{device}").touch()
        bind(f"/dev/{device}", f"{root}/dev/{device}", False)
    os.chroot(root)
    os.chdir("/")


def give_up_rights(inside):
    libc = ctypes.CDLL(None, use_errno=True)
    if not inside["capabilities"]:
        for capability in range(CAPABILITIES):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(inside["groups"])
    os.setresgid(*[inside["group"]] * 3)
    os.setresuid(*[inside["user"]] * 3)
    if not inside["privileges"]:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    what = json.loads(sys.argv[1])
    enter(what)
    give_up_rights(what)
    os.execve(sys.argv[2], sys.argv[2:], {"PATH": "/usr/sbin:/usr/bin", "HOSTNAME": "mail-0"})
