# SPDX-License-Identifier: BSD-3-Clause
"""docs/kubernetes: its manifests against the Kubernetes API's own types, and the pod at work, as far as that goes without a cluster."""

import base64
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess

import kubernetes.client.models as models
import pytest
import yaml
from conftest import BUILD, HERE, WORLD, wait_for
from fleet import Store
from kubelet import Pod, end
from mta import Postfix, why_no_postfix
from smtp import Server
from test_sandbox import status_of

TOP = HERE.parent.parent
FOLDER = TOP / "docs" / "kubernetes"
CONTAINERFILE = FOLDER / "Containerfile"
READY_TIMEOUT_S = 30
USER = 65532
INSTRUMENTED = BUILD.name in ("asan", "cov")


def documents(path):
    return list(yaml.safe_load_all(path.read_text()))


def document(path, kind):
    (found,) = [each for each in documents(path) if each["kind"] == kind]
    return found


CONFIG_MAP, POD = (document(FOLDER / "pod.yaml", kind) for kind in ("ConfigMap", "Pod"))
DEPLOYMENT = document(FOLDER / "base" / "deployment.yaml", "Deployment")
POLICY = document(FOLDER / "base" / "networkpolicy.yaml", "NetworkPolicy")
SIDECARS = [each for each in POD["spec"]["initContainers"] if "restartPolicy" in each]

# ---- manifests ----

SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}
# Of a version later than Debian's package: {model: {field: type}}.
NEWER = {"V1Container": {"restartPolicy": "str"}}  # 1.28


def complaints(value, kind, path):
    """What in value is not as the API's type of that name wants it: unknown fields, wrong types, what is missing."""
    if kind in SCALARS:
        if not isinstance(value, SCALARS[kind]) or (kind == "int" and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {kind}"
    elif kind.startswith("list["):
        assert isinstance(value, list), path
        for i, each in enumerate(value):
            yield from complaints(each, kind[5:-1], f"{path}[{i}]")
    elif kind.startswith("dict("):
        of_key, of_value = kind[5:-1].split(", ")
        for key, each in value.items():
            yield from complaints(key, of_key, f"{path} (key)")
            yield from complaints(each, of_value, f"{path}.{key}")
    else:
        yield from model_complaints(value, kind, path)


def model_complaints(value, kind, path):
    model = getattr(models, kind)
    fields = {external: (internal, model.openapi_types[internal]) for internal, external in model.attribute_map.items()}
    known = {}
    for name, each in value.items():
        if name in fields:
            known[fields[name][0]] = each
            yield from complaints(each, fields[name][1], f"{path}.{name}")
        elif name in NEWER.get(kind, {}):
            yield from complaints(each, NEWER[kind][name], f"{path}.{name}")
        else:
            yield f"{path}.{name}: {kind} has no such field"
    try:
        model(**known)  # which is there and which of some values it has to be
    except ValueError as error:
        yield f"{path}: {error}"


@pytest.mark.parametrize("value, kind", [
    (CONFIG_MAP, "V1ConfigMap"), (POD, "V1Pod"), (DEPLOYMENT, "V1Deployment"), (POLICY, "V1NetworkPolicy"),
], ids=lambda each: each if isinstance(each, str) else "")
def test_manifests_are_as_the_api_wants_them(value, kind):
    assert value["apiVersion"] == {"V1Deployment": "apps/v1", "V1NetworkPolicy": "networking.k8s.io/v1"}.get(kind, "v1")
    assert not list(complaints(value, kind, value["kind"]))


@pytest.mark.parametrize("change, complaint", [
    (lambda pod: pod["spec"].update(hostNetwrok=True), "no such field"),
    (lambda pod: pod["spec"].update(enableServiceLinks="no"), "is no bool"),
    (lambda pod: pod["spec"]["containers"][0].pop("name"), "`name`"),
])
def test_a_mistake_in_a_manifest_is_seen(change, complaint):
    pod = json.loads(json.dumps(POD))
    change(pod)
    assert any(complaint in each for each in complaints(pod, "V1Pod", "Pod"))


def test_the_deployment_is_that_pod():
    template = DEPLOYMENT["spec"]["template"]
    assert template["spec"] == POD["spec"] and template["metadata"]["labels"] == POD["metadata"]["labels"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert POLICY["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_the_kustomization_names_what_is_there():
    base = FOLDER / "base"
    kustomization = document(base / "kustomization.yaml", "Kustomization")
    assert set(kustomization) == {"apiVersion", "kind", "resources", "configMapGenerator"}
    assert {"deployment.yaml", "networkpolicy.yaml"} == set(kustomization["resources"])
    (generated,) = kustomization["configMapGenerator"]
    assert generated == {"name": CONFIG_MAP["metadata"]["name"], "files": ["resolverd.conf"]}
    assert CONFIG_MAP["data"] == {"resolverd.conf": (base / "resolverd.conf").read_text()}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl")
def test_kustomize_takes_the_base():
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER / "base")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    made = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    (config,) = [each for each in made["Deployment"]["spec"]["template"]["spec"]["volumes"] if each["name"] == "config"]
    assert config["configMap"]["name"] == made["ConfigMap"]["metadata"]["name"] != "resolverd"


def test_each_sidecar_can_do_little():
    for container in POD["spec"]["initContainers"]:
        security = container["securityContext"]
        assert security == {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "readOnlyRootFilesystem": True,
                            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, container["name"]
        assert "memory" in container["resources"]["limits"] and container["resources"]["requests"]
    assert POD["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["spec"]["automountServiceAccountToken"] is False
    with_key = {each["name"] for each in POD["spec"]["initContainers"] + POD["spec"]["containers"]
                for volume in each.get("volumeMounts", []) if volume["name"] in ("key", "secret")}
    assert with_key == {"resolverd-key", "resolverd"}, "the long-term key is nobody else's"


def test_an_outage_of_the_dns_takes_no_running_pod_away():
    (resolverd,) = [each for each in SIDECARS if each["name"] == "resolverd"]
    assert resolverd["startupProbe"]["exec"]["command"][-2:] == ["status", "--ready"]
    assert resolverd["readinessProbe"]["exec"]["command"][-1] == "status"
    assert "livenessProbe" not in resolverd
    for name in "startupProbe", "readinessProbe":
        command, timeout_s = resolverd[name]["exec"]["command"], resolverd[name]["timeoutSeconds"]
        assert float(command[command.index("--timeout") + 1]) < timeout_s, "the program says why before it is killed"


def test_dns_is_all_that_resolverd_needs_of_the_network():
    ports = [(port["protocol"], port["port"]) for rule in POLICY["spec"]["egress"] for port in rule["ports"]]
    assert sorted(ports) == [("TCP", 25), ("TCP", 53), ("UDP", 53)] and POLICY["spec"]["policyTypes"] == ["Egress"]


# ---- the image ----


def instructions():
    """[(INSTRUCTION, arguments), …] of the Containerfile, lines joined."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def last_stage():
    all_of_it = instructions()
    begin = max(i for i, (name, _) in enumerate(all_of_it) if name == "FROM")
    return all_of_it[begin:]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image's file tree, made by the Containerfile's own steps from what is built already."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount and become other users")
    if INSTRUMENTED:
        pytest.skip("an image holds a release")
    directory = tmp_path_factory.mktemp("image")
    directory.chmod(0o755)
    directory.parent.chmod(0o755)
    stage, tree = directory / "stage", directory / "tree"
    steps = [arguments for name, arguments in instructions() if name == "RUN"]
    assert steps[0] == "tests/deps.sh build"
    for step in steps[1:]:
        step = step.replace("/stage", str(stage)).replace("/image ", f"{tree} ")
        step = re.sub(r"/image$", str(tree), step).replace("make ", f"make -s MODE={BUILD.name} ")
        subprocess.run(["sh", "-ec", step], cwd=TOP, check=True, stdout=subprocess.DEVNULL, timeout=600)
    (entrypoint,) = [json.loads(arguments) for name, arguments in last_stage() if name == "ENTRYPOINT"]
    return {"tree": tree, "entrypoint": entrypoint}


def test_the_image_is_from_nothing_and_not_roots():
    stage = last_stage()
    assert stage[0] == ("FROM", "scratch") and ("COPY", "--from=build /image/ /") in stage
    assert ("USER", f"{USER}:{USER}") in stage


def test_the_image_holds_what_it_needs_and_no_shell(image):
    tree = image["tree"]
    programs = {str(path.relative_to(tree)) for path in tree.rglob("*")
                if path.is_file() and os.access(path, os.X_OK) and ".so" not in path.name}
    assert programs == {"usr/sbin/resolverd", "usr/sbin/resolverd-stub", "usr/sbin/resolverd-postfix", "usr/bin/resolverctl",
                        "usr/bin/install"}
    assert sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) < 32 << 20
    assert not [path for path in tree.rglob("*") if path.is_file() and path.stat().st_mode & 0o6022]


# ---- the pod ----


@pytest.fixture
def make_pod(image, public_path):
    """Pods with a key in their Secret, a new one or this, made as the README says."""
    numbers = itertools.count()

    def make(manifest=POD, key=None):
        key = key or base64.b64encode(os.urandom(32)) + b"\n"
        directory = public_path / f"pod{next(numbers)}"
        directory.mkdir(mode=0o755)
        pod = Pod(directory, manifest, {SIDECARS[0]["image"]: image},
                  {"resolverd": {name: text.encode() for name, text in CONFIG_MAP["data"].items()}},
                  {"resolverd-key": {"signing.key": key}})
        for file in ("root.hints", "root.key"):  # the world's in place of the Internet's
            shutil.copy(WORLD / file, pod.volumes["state"] / file)
            (pod.volumes["state"] / file).chmod(0o644)
        return pod

    return make


@pytest.fixture
def pod(make_pod):
    return make_pod()


OF_THE_WORLD = ("--set=resolver.root-hints=/var/lib/resolverd/root.hints",
                "--set=resolver.trust-anchor-file=/var/lib/resolverd/root.key", "--set=unbound.do-not-query-localhost=no")


@pytest.fixture
def resolverd(pod):
    """The sidecar resolverd, ready: (process, log)."""
    done = pod.run("resolverd-key")
    assert done.returncode == 0, done.stderr
    with pod.running("resolverd", *OF_THE_WORLD) as (process, log):
        wait_for(lambda: pod.probe("resolverd", "startupProbe").returncode == 0, READY_TIMEOUT_S, log.read_text, every_s=0.3)
        yield process, log


def ask(pod, *question):
    """resolverctl's exit code and JSON, from inside the container."""
    done = pod.run("resolverd", ["/usr/bin/resolverctl", "--json", *question], 30)
    return done.returncode, json.loads(done.stdout)


def processes_of(container):
    """Process ids of all that runs below this one."""
    found, look_at = [], [container.pid]
    while look_at:
        pid = look_at.pop()
        children = [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        found += children
        look_at += children
    return found


def test_resolverd_works_in_the_pod_and_is_confined(pod, resolverd):
    process, log = resolverd
    pids = processes_of(process)
    assert len(pids) >= 4, "supervisor, server and two workers"
    for pid in pids:
        status = status_of(pid)
        said = {key: status[key] for key in ("Seccomp", "NoNewPrivs", "CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")}
        assert said == {"Seccomp": "2", "NoNewPrivs": "1"} | dict.fromkeys(
            ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd"), "0" * 16)
        assert (status["Uid"].split(), status["Gid"].split()) == ([str(USER)] * 4, [str(USER)] * 4)
    assert ask(pod, "plan", "dane-ee.org")[0] == 0
    assert [host["policy"] for host in ask(pod, "plan", "dane-ee.org")[1]["hosts"]] == ["dane"]
    assert ask(pod, "plan", "wrong-ds.com")[1]["outcome"] == "delay"
    assert pod.probe("resolverd", "readinessProbe").returncode == 0
    assert "less confined" not in log.read_text() and "ERROR" not in log.read_text()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")
def test_pods_with_one_key_are_a_fleet(make_pod, tmp_path, queries):
    (line,) = re.findall(r"fleet \{.*\}", (FOLDER / "README.md").read_text())
    ring = re.search('trusted-keys = "(.*?)"', line).group(1)
    store, key = Store(tmp_path / "store", port=6411), base64.b64encode(os.urandom(32)) + b"\n"
    fleet = "--set=fleet.redis=redis://127.0.0.1:6411", f"--set=fleet.trusted-keys={ring}"
    pods = [make_pod(key=key) for _ in range(2)]
    try:
        for number, pod in enumerate(pods):
            assert pod.run("resolverd-key").returncode == 0
            with pod.running("resolverd", *OF_THE_WORLD, *fleet, f"--set=signing.member=mail-{number}") as (process, log):
                wait_for(lambda: "fleet: connected" in log.read_text() and pod.probe("resolverd", "startupProbe").returncode == 0,
                         READY_TIMEOUT_S, log.read_text, every_s=0.3)
                queries.mark()
                assert ask(pod, "plan", "dane-ee.org")[1]["origin"] == [None, "mail-0"][number]
                assert bool([query for query in queries.seen() if query.name.rstrip(".") == "dane-ee.org"]) == (number == 0)
                assert "less confined" not in log.read_text() and "nobody of the fleet" not in log.read_text()
    finally:
        store.stop()


def test_the_key_is_the_secrets_and_its_owners_alone(pod, resolverd):
    status = (pod.volumes["key"] / "signing.key").stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o600, USER)
    assert not (pod.volumes["state"] / "signing.key").exists()
    assert ask(pod, "status")[1]["delegations"][0]["trusted"]


def test_the_daemon_takes_no_key_from_the_secret_itself(make_pod):
    """As a kubelet mounts it, it is behind a link, and with fsGroup the group may read it: hence the container that copies it."""
    manifest = json.loads(json.dumps(POD))
    (container,) = [each for each in manifest["spec"]["initContainers"] if each["name"] == "resolverd"]
    container["volumeMounts"].append({"name": "secret", "mountPath": "/secret", "readOnly": True})
    pod = make_pod(manifest)
    for path, complaint in ("/secret/signing.key", "cannot read the key"), ("/secret/..1/signing.key", "may be read by others"):
        with pod.running("resolverd", *OF_THE_WORLD, f"--set=signing.key-file={path}") as (process, log):
            assert process.wait(timeout=10) != 0
            assert complaint in log.read_text()


def test_the_image_cannot_be_written(pod):
    done = pod.run("resolverd-key", ["/usr/bin/install", "-m", "0600", "/secret/signing.key", "/etc/resolverd/other.key"])
    assert done.returncode != 0 and "Read-only file system" in done.stderr


def test_an_outage_of_the_dns_leaves_the_pod_ready_to_serve(pod):
    assert pod.run("resolverd-key").returncode == 0
    with pod.running("resolverd", *OF_THE_WORLD, "--set=resolver.forward=127.0.0.99", "--set=resolver.deadline=1s") as (_, log):
        wait_for(lambda: pod.probe("resolverd", "readinessProbe").returncode == 0, READY_TIMEOUT_S, log.read_text, every_s=0.3)
        probed = pod.probe("resolverd", "startupProbe")
        assert probed.returncode == 75 and "not ready" in probed.stdout


@pytest.fixture
def low_ports():
    """The pod's sysctl, in the network of this world."""
    path = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    before = path.read_text()
    (sysctl,) = POD["spec"]["securityContext"]["sysctls"]
    assert sysctl["name"] == "net.ipv4.ip_unprivileged_port_start"
    path.write_text(sysctl["value"])
    yield
    path.write_text(before)


@pytest.fixture
def sidecars(pod, resolverd, low_ports):
    """All of the pod but its mail server."""
    with pod.running("resolverd-stub") as (_, stub_log), pod.running("resolverd-postfix") as (_, map_log):
        wait_for(lambda: stub_log.read_text().count("listening on") == 2, 10, stub_log.read_text)
        wait_for(lambda: "Postfix's resolver validates" in map_log.read_text(), 20, map_log.read_text)
        yield pod


def test_the_stub_answers_where_the_pods_resolv_conf_says(sidecars):
    (server,) = POD["spec"]["dnsConfig"]["nameservers"]
    said = subprocess.run(["dig", f"@{server}", "dane-ee.org", "MX"], capture_output=True, text=True, timeout=20, check=True)
    assert re.search(r"flags:[^;]* ad[ ;]", said.stdout), said.stdout


@pytest.mark.skipif(why_no_postfix() is not None, reason=str(why_no_postfix()))
def test_postfix_as_the_document_says(sidecars, resolverd):
    """As the pod's mail server: its resolv.conf, and main.cf of the document."""
    text = re.search(r"```main.cf\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL).group(1)
    settings = dict(line.split(" = ") for line in text.splitlines())
    with Postfix(settings, resolv_conf=sidecars.resolv_conf.read_text()) as postfix:
        with Server("mx.dane-ee.org", "by-sni"), Server("mx.tlsa-mismatch.org", "by-sni") as wrong:
            assert_sent(postfix.deliver("user@dane-ee.org"))
            assert (postfix.deliver("user@tlsa-mismatch.org").status, wrong.messages()) == ("deferred", [])
            end(resolverd[0])
            assert postfix.deliver("user@dane-ee.org").status == "deferred"


def assert_sent(delivery):
    assert (delivery.status, delivery.tls) == ("sent", ["Verified"]), delivery.text
