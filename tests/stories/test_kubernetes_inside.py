"""A controller in a pod of the cluster that it looks after: it has the account of its pod, and no credentials are given to it.

The pod is a mount namespace of its own in which the files are where a kubelet puts them; account and tokens are the API server's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.errors import Unauthorized
from drivers.kubernetes.rights import NAMESPACE
from tests.drivers.kubernetes.backend import connect, credentials, with_token
from tests.drivers.kubernetes.waiting import until
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster
from tests.stories.containers import RUNS, a_tale

pytestmark = [pytest.mark.real, pytest.mark.slow]
ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
POD = 'mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"'


@contextmanager
def an_account(cluster: Cluster) -> Iterator[str]:
    """The name of one with the rights that are shipped."""
    assert credentials(), "the role is there"
    name = f"inside-{uuid.uuid4().hex[:8]}"
    cluster.api.ask(f"POST {ACCOUNTS}", {"metadata": {"name": name}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "chutian"}
    who = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    cluster.api.ask(f"POST {BINDINGS}", {"metadata": {"name": name}, "roleRef": role, "subjects": [who]})
    try:
        yield name
    finally:
        cluster.api.ask(f"DELETE {BINDINGS}/{name}")


def put(cluster: Cluster, folder: Path, account: str) -> str:
    """Files for a token of that account in place of those that are there, all at once, as a kubelet does it; the token."""
    token = cluster.api.ask(f"POST {ACCOUNTS}/{account}/token", {"spec": {"expirationSeconds": 600}})["status"]["token"]
    fresh = folder / f"..{account}"
    fresh.mkdir()
    for name, text in (("token", token), ("ca.crt", (cluster.settings.pki / "ca.crt").read_text()), ("namespace", NAMESPACE)):
        (fresh / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(fresh.name)
    (folder / "..new").replace(folder / "..data")
    return str(token)


def refused(cluster: Cluster, token: str) -> bool:
    try:
        connect("tests-nobody", given=with_token(cluster, token)).close()
    except Unauthorized:
        return True
    return False


def test_a_controller_in_a_pod_uses_the_pods_account_and_takes_up_its_next_token(tmp_path: Path) -> None:
    cluster = shared_cluster()
    pod = ("unshare", "--mount", "sh", "-c", POD, str(tmp_path))
    where = {"KUBERNETES_SERVICE_HOST": cluster.api.address, "KUBERNETES_SERVICE_PORT": str(cluster.api.port)}
    with a_tale(pod, **where) as tale, an_account(cluster) as first, an_account(cluster) as second:
        enrolment = {"name": "c", "driver": "kubernetes", "pool": "nodes", "uri": "in-cluster"}
        told = tale.admin.refused(400, "endpoint_refused", "POST /v1/endpoints", enrolment)
        assert "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt is missing" in told["message"]
        token = put(cluster, tmp_path, first)
        told = tale.admin.refused(400, "endpoint_refused", "POST /v1/endpoints", enrolment | {"credentials": "mine"})
        assert "leave the credentials out" in told["message"]
        tale.enrol({"uri": "in-cluster"})
        before = tale.ask(1, RUNS)
        tale.active(before)
        (pod_before,) = tale.pods(before[0])

        put(cluster, tmp_path, second)
        cluster.api.ask(f"DELETE {ACCOUNTS}/{first}")
        until("the first token is refused", lambda: refused(cluster, token))
        after = tale.ask(1, RUNS)
        tale.active(after)
        (pod_after,) = tale.pods(before[0])
        assert pod_after["metadata"]["uid"] == pod_before["metadata"]["uid"]
        tale.delete([*before, *after])
        cluster.api.ask(f"DELETE {ACCOUNTS}/{second}")
