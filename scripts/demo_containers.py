"""`make demo-containers`: a department's containers on a real Kubernetes, told with the `chutian` command.

A control plane and one real node are started on this machine; the cluster's people let the controller in, with no more rights than it
needs; an operator enrols it; a department applies for six containers with `examples/containers.yaml`, gets them, reads a log, runs a
command, and gives them back. It shares the controller of `make demo`, whether that is up or not, and `make down` takes both away.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from pathlib import Path

from scripts import demo
from scripts import demo_machine as machine
from scripts.demo import chutian, ensure, say, tell
from scripts.demo_machine import CLONE, LOG, STATE, DemoError

PROJECT = "hubei/transport"
CLERK = "transport-clerk"
ACCOUNT = ("-n", "chutian-system", "get", "secret", "chutian-token", "-o", "json")
CREDENTIALS = STATE / "cluster-credentials"


def main() -> None:
    """Tell it."""
    say("A Kubernetes cluster with one real node, and a controller")
    url = machine.settings()
    kubectl = machine.cluster_up()
    tell(f"the cluster's administrator: export KUBECONFIG={os.environ['KUBECONFIG']}; alias kubectl={kubectl}")
    machine.controller_up()
    tell(f"the controller answers at {url}; its log is {LOG}")
    demo.administrator(url)
    say("The cluster's people let the controller in, with no more rights than it needs")
    server = _let_in(kubectl)
    say("The operator: what may be used, and where")
    _enrol(server)
    say("The operator: who may use how much")
    demo.people(url, PROJECT, "Provincial department of transport", "instances=8 vcpus=8 memory_mib=1024 disk_gib=16", CLERK)
    _story(kubectl)


def _let_in(kubectl: Path) -> str:
    """Apply the shipped rights, and keep what the controller proves itself by; the API server's address."""
    manifest = STATE / "rights.yaml"
    tell("[admin] $ chutian endpoint rbac > rights.yaml")
    manifest.write_text(chutian("endpoint", "rbac", json_=True, quiet=True)["manifest"])
    _kubectl(kubectl, "apply", "-f", str(manifest))
    for _ in range(50):
        data = json.loads(_kubectl(kubectl, *ACCOUNT, quiet=True)).get("data", {})
        if "token" in data:
            break
        time.sleep(0.2)
    else:
        raise DemoError("the cluster gave the account no token")
    config = json.loads(_kubectl(kubectl, "config", "view", "--raw", "-o", "json", quiet=True))
    config["users"][0]["user"] = {"token": base64.b64decode(data["token"]).decode()}
    machine.private(CREDENTIALS, json.dumps(config))
    return str(config["clusters"][0]["cluster"]["server"])


def _enrol(server: str) -> None:
    ensure("flavor", "pod", "flavor", "create", "pod", "--kind", "container", "--vcpus", "1", "--memory-mib", "64", "--disk-gib", "1")
    reserved = ("--reserved", "memory_mib=64,disk_gib=0")
    ensure("pool", "nodes", "pool", "create", "nodes", "--zone", "wuhan-1", "--overcommit", "vcpus=4", *reserved)
    how = ("--option", "run_as=65534", "--credentials-file", str(CREDENTIALS))
    ensure("endpoint", "cluster", "endpoint", "create", "cluster", "--driver", "kubernetes", "--uri", server, "--pool", "nodes", *how)
    chutian("host", "list", "--pool", "nodes", show=True)


def _story(kubectl: Path) -> None:
    request = demo.applied(PROJECT, CLERK, lambda: CLONE / "examples" / "containers.yaml")
    say("What the department has now")
    chutian("instance", "list", "--project", PROJECT, show=True, profile=CLERK)
    names = sorted(one["name"] for one in demo.instances(request, PROJECT))
    say("What one of them prints, and a command in it")
    chutian("instance", "logs", names[0], "--project", PROJECT, show=True, profile=CLERK)
    chutian(
        "instance",
        "exec",
        names[0],
        "--project",
        PROJECT,
        "--",
        "wget",
        "-qO-",
        "http://127.0.0.1:8080/etc/hostname",
        show=True,
        profile=CLERK,
    )
    chutian("quota", "show", PROJECT, show=True, profile=CLERK)
    say("The same in the cluster's words")
    print(_indented(_kubectl(kubectl, "get", "pods,services", "-A", "-l", "app.kubernetes.io/managed-by=chutian", "-o", "wide")))
    demo.give_back(request, PROJECT, CLERK)
    tell("their namespace goes in the next two looks of the controller, one every 15 s, so that nothing made meanwhile is lost")
    deadline = time.monotonic() + 120
    while left := _kubectl(kubectl, "get", "namespaces", "-l", "app.kubernetes.io/managed-by=chutian", "-o", "name", quiet=True).split():
        if time.monotonic() > deadline:
            raise DemoError(f"still in the cluster: {', '.join(left)}")
        time.sleep(1)
    tell("nothing of it is left in the cluster: no pod, no secret, no namespace")


def _kubectl(kubectl: Path, *words: str, quiet: bool = False) -> str:
    if not quiet:
        tell(f"[cluster] $ kubectl {' '.join(words)}")
    done = machine.run([kubectl, *words])
    if done.returncode != 0:
        raise DemoError(f"kubectl {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(demo.told("demo-containers", "Cluster", main))
