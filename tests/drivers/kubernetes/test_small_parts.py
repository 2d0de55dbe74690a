"""Options, credentials, refusals, rights, surroundings of a project, and the table of what was seen."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.messages import render
from drivers.container import Port, Tenant
from drivers.errors import (
    DriverError,
    HostUnreachable,
    InvalidSpec,
    PolicyRefused,
    TenantUnsettled,
    Timeout,
    Transient,
    Unauthorized,
)
from drivers.kubernetes import names, records, rights, tenancy
from drivers.kubernetes.access import NotInCluster, OtherServer, access
from drivers.kubernetes.cache import Table
from drivers.kubernetes.failures import Collided, Expired, Gone, Held, failure, unreachable
from drivers.kubernetes.options import Options, parse

# -- options and credentials -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"colour": "red"},
        {"pod_security": "strict"},
        {"egress": "some"},
        {"timeout_s": "0"},
        {"stale_s": "soon"},
        {"stop_s": "-1"},
        {"run_as": "www"},
        {"run_as": "0"},
        {"gpu_device_class": "Not A Class"},
    ],
)
def test_an_option_that_is_not_understood_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSpec):
        parse({"credentials": "the-secret-text", **given})


def test_root_is_allowed_where_the_level_allows_it() -> None:
    assert parse({"run_as": "0", "pod_security": "baseline"}).run_as == "0"


def test_credentials_are_not_shown() -> None:
    assert "the-secret-text" not in repr(parse({"credentials": "the-secret-text"}))


PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n").decode()
WORD = "tok3n-of-the-cluster"


def kubeconfig(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, context: str = "lab") -> str:
    whole = {
        "current-context": context,
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "clusters": [{"name": "lab", "cluster": {"certificate-authority-data": PEM, **(cluster or {})}}],
        "users": [{"name": "lab", "user": {"token": WORD, **(user or {})}}],
    }
    return json.dumps(whole)


REFUSED = {
    "nothing": "",
    "no YAML": f"[{WORD}",
    "no kubeconfig": WORD,
    "no context": kubeconfig(context="other"),
    "a program": kubeconfig(user={"exec": {"command": "/bin/sh"}}),
    "a provider": kubeconfig(user={"auth-provider": {"name": "gcp"}}),
    "a certificate's file": kubeconfig(user={"client-certificate": "/etc/passwd"}),
    "a key's file": kubeconfig(user={"client-key": "/etc/passwd"}),
    "a token's file": kubeconfig(user={"tokenFile": "/etc/passwd"}),
    "an authority's file": kubeconfig(cluster={"certificate-authority": "/etc/passwd"}),
    "no verifying": kubeconfig(cluster={"insecure-skip-tls-verify": True}),
    "a password": kubeconfig(user={"username": "a", "password": WORD}),
    "another's name": kubeconfig(user={"as": "admin"}),
    "no authority": kubeconfig(cluster={"certificate-authority-data": ""}),
    "an authority that is none": kubeconfig(cluster={"certificate-authority-data": "xyz"}),
    "nobody": kubeconfig(user={"token": ""}),
    "a certificate without key": kubeconfig(user={"client-certificate-data": PEM}),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_credentials_that_reach_outside_their_text_or_lack_something_are_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        access("https://10.0.0.1:6443", text)
    assert WORD not in str(caught.value)
    assert WORD not in str(caught.value.__cause__)


@pytest.mark.parametrize("uri", ["http://a:1", "a:6443", "https://", "https://u:p@a:1", "https://a:1?b=c", "file:///etc/passwd", ""])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSpec):
        access(uri, kubeconfig())


@pytest.mark.parametrize(
    ("uri", "server", "same"),
    [
        ("https://10.0.0.1:6443", "https://10.0.0.1:6443", True),
        ("https://10.0.0.1:6443/", "https://10.0.0.1:6443", True),
        ("https://API.lan", "https://api.lan:443/", True),
        ("https://[fd00::1]:6443", "https://[FD00::1]:6443", True),
        ("https://api.lan/k8s/one", "https://api.lan/k8s/one/", True),
        ("https://10.0.0.1:6443", "", True),  # it names none
        ("https://10.0.0.1:6443", "https://10.0.0.2:6443", False),
        ("https://10.0.0.1:6443", "https://10.0.0.1:6444", False),
        ("https://10.0.0.1:6443", "http://10.0.0.1:6443", False),
        ("https://api.lan", "https://api.lan:6443", False),
        ("https://api.lan/k8s/one", "https://api.lan/k8s/two", False),
        ("https://10.0.0.1:6443", f"https://me:{WORD}@10.0.0.2:6443/?token={WORD}", False),
        ("https://10.0.0.1:6443", f"https://10.0.0.1:{WORD}", False),
    ],
)
def test_credentials_for_another_server_are_refused_and_both_are_named(uri: str, server: str, same: bool) -> None:
    text = kubeconfig(cluster={"server": server})
    if same:
        access(uri, text).close()
        return
    with pytest.raises(OtherServer) as caught:
        access(uri, text)
    told = [render(caught.value.reason.code, caught.value.reason.params, language) for language in ("en", "zh")]
    for sentence in told:
        assert uri in sentence
        assert WORD not in sentence
    assert told[0] != told[1]


def test_outside_a_cluster_there_is_no_in_cluster() -> None:
    with pytest.raises(NotInCluster, match="KUBERNETES_SERVICE_HOST"):
        access("in-cluster", "")


def test_in_a_cluster_no_credentials_are_given() -> None:
    with pytest.raises(InvalidSpec, match="leave the credentials out") as caught:
        access("in-cluster", kubeconfig())
    assert WORD not in str(caught.value)


def test_good_credentials_are_taken() -> None:
    made = access("https://10.0.0.1:6443/", kubeconfig())
    try:
        assert made.configuration.host == "https://10.0.0.1:6443"
        assert made.configuration.get_api_key_with_prefix("BearerToken") == f"Bearer {WORD}"
        assert b"BEGIN" in Path(made.configuration.ssl_ca_cert).read_bytes()
    finally:
        made.close()


# -- refusals ----------------------------------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[int, str, dict[str, Any], type[DriverError]]] = [
    (401, "Unauthorized", {}, Unauthorized),
    (403, 'pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "n"', {}, Unauthorized),
    (403, 'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2', {}, TenantUnsettled),
    (403, 'pods "a" is forbidden: status unknown for quota: q, resources: pods', {}, TenantUnsettled),
    (403, 'error looking up service account n/default: serviceaccount "default" not found', {}, TenantUnsettled),
    (403, "unable to create new content in namespace n because it is being terminated", {}, TenantUnsettled),
    (403, 'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', {}, PolicyRefused),
    (403, "maximum memory usage per Container is 512Mi, but limit is 1Gi", {}, PolicyRefused),
    (400, 'admission webhook "w" denied the request: no', {}, PolicyRefused),
    (422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", {}, PolicyRefused),
    (500, 'failed calling webhook "w": timeout', {}, Transient),
    (400, "unknown field spec.colour", {}, InvalidSpec),
    (404, 'namespaces "n" not found', {"kind": "namespaces"}, TenantUnsettled),
    (404, 'pods "a" not found', {"kind": "pods"}, Gone),
    (409, "object has been modified", {}, Collided),
    (410, "too old resource version", {}, Expired),
    (422, "Pod is invalid: spec.containers[0].image: Required value", {}, InvalidSpec),
    (429, "too many requests", {}, Held),
    (500, "etcdserver: request timed out", {}, Transient),
    (503, "the server is currently unable", {}, Transient),
    (504, "timeout", {}, Timeout),
]


@pytest.mark.parametrize(("code", "said", "details", "kind"), ANSWERS, ids=[f"{row[0]} {row[1][:40]}" for row in ANSWERS])
def test_a_refusal_becomes_what_its_reader_can_do_about_it(code: int, said: str, details: dict[str, Any], kind: type[DriverError]) -> None:
    error = failure(code, json.dumps({"kind": "Status", "message": said, "details": details}).encode(), "GET /x")
    assert type(error) is kind
    if kind is not Unauthorized or code == 401:
        assert said in str(error)


def test_a_missing_right_is_named() -> None:
    said = 'User "a" cannot list resource "networkpolicies" in API group "networking.k8s.io" at the cluster scope'
    assert "list networkpolicies (networking.k8s.io)" in str(failure(403, json.dumps({"message": said}).encode(), ""))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b"null"])
def test_an_answer_that_is_no_status_still_says_what_was_asked_or_what_came(body: bytes) -> None:
    assert type(failure(502, body, "GET /x")) is Transient


def test_what_never_answered_is_unreachable() -> None:
    assert isinstance(unreachable(ConnectionRefusedError("refused")), HostUnreachable)


# -- rights ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"gpu_device_class": "gpu.example.com"}])
def test_the_manifest_grants_exactly_the_rights_that_are_asked_about(given: dict[str, str]) -> None:
    documents = {one["kind"]: one for one in yaml.safe_load_all(rights.rbac_manifest(given))}
    granted = {(rule["apiGroups"][0], rule["resources"][0], verb) for rule in documents["ClusterRole"]["rules"] for verb in rule["verbs"]}
    asked = {
        (one["group"], "/".join(filter(None, (one["resource"], one["subresource"]))), one["verb"])
        for one in rights.reviews(rights.needed(parse(given)))
    }
    assert granted == asked
    assert not any("*" in part for right in granted for part in right)
    assert not {verb for _, resource, verb in granted if resource == "secrets"} & {"get", "list", "watch"}


def test_all_missing_rights_are_listed() -> None:
    assert rights.missing(lambda _: True, rights.RIGHTS) == []
    assert rights.missing(lambda one: one["resource"] != "networkpolicies", rights.RIGHTS)[0].endswith(
        "networkpolicies (networking.k8s.io)"
    )
    assert rights.missing(lambda one: one["subresource"] != "eviction", rights.RIGHTS) == ["create pods/eviction"]


# -- a project's surroundings ------------------------------------------------------------------------------------------------------------

TENANT = Tenant("bureau-of-tests", "/province/bureau", 3, 4, 4096, 40, 1, {"web": (Port("http", 80),), "bare": ()})


def as_served(wanted: dict[str, Any]) -> records.Thing:
    raw = json.loads(json.dumps(wanted))
    raw["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    raw["spec"] = {**raw.get("spec", {}), "somethingDefaulted": True}
    return records.thing(raw, "")


def test_what_was_made_is_as_it_should_be_and_the_servers_defaults_do_no_harm() -> None:
    made = tenancy.surroundings(TENANT, "owner", Options())
    assert [one["kind"] for one in made] == ["Namespace", "LimitRange", "NetworkPolicy", "ResourceQuota", "Service", "Service"]
    for wanted in made:
        assert tenancy.holds(as_served(wanted), wanted)
        assert not tenancy.holds(None, wanted)


def test_a_quota_is_compared_by_amounts_and_a_change_is_seen() -> None:
    wanted = tenancy.surroundings(TENANT, "owner", Options())[3]
    assert wanted["spec"]["hard"]["requests.memory"] == "4096Mi"
    seen = json.loads(json.dumps(wanted))
    seen["spec"]["hard"]["requests.memory"] = "4Gi"
    assert tenancy.holds(as_served(seen), wanted)
    seen["spec"]["hard"]["requests.memory"] = "5Gi"
    assert not tenancy.holds(as_served(seen), wanted)


@pytest.mark.parametrize(
    ("enforced", "counts"),
    [
        (None, False),
        ({"pods": "3", "requests.memory": "4Gi"}, True),
        ({"pods": "2", "requests.memory": "4Gi"}, True),
        ({"pods": "4", "requests.memory": "4Gi"}, False),
        ({"pods": "3"}, False),
    ],
    ids=["not reckoned yet", "as written", "still less", "still more", "not all of it"],
)
def test_a_quota_is_in_force_once_nothing_beyond_it_is_let_in(enforced: dict[str, str] | None, counts: bool) -> None:
    raw = {"metadata": {"name": "chutian", "namespace": "n", "uid": "u", "resourceVersion": "1"}}
    raw |= {"spec": {"hard": {"pods": "3", "requests.memory": "4096Mi"}}, "status": {} if enforced is None else {"hard": enforced}}
    assert tenancy.in_force(records.thing(raw, "")) is counts
    assert not tenancy.in_force(None)


@pytest.mark.parametrize(
    ("status", "full"),
    [
        ({}, False),
        ({"hard": {"pods": "3"}}, False),
        ({"hard": {"pods": "3"}, "used": {"pods": "2"}}, False),
        ({"hard": {"pods": "3"}, "used": {"pods": "3"}}, True),
        ({"hard": {"pods": "3"}, "used": {"pods": "4"}}, True),
    ],
)
def test_nobody_asks_for_a_pod_that_the_quota_has_no_room_for(status: dict[str, Any], full: bool) -> None:
    raw = {"metadata": {"name": "chutian", "namespace": "n", "uid": "u", "resourceVersion": "1"}, "spec": {}, "status": status}
    assert tenancy.full(records.thing(raw, "")) is full
    assert not tenancy.full(None)


@pytest.mark.parametrize(("used", "there", "wrong"), [("5", 4, True), ("5", 5, False), ("4", 5, False), (None, 0, False)])
def test_a_quota_that_counts_what_is_not_there_is_made_to_count_anew(used: str | None, there: int, wrong: bool) -> None:
    wanted = tenancy.surroundings(TENANT, "owner", Options())[3]
    raw = {**wanted, "metadata": {**wanted["metadata"], "uid": "u", "resourceVersion": "1"}}
    raw["status"] = {"used": {"pods": used}} if used else {}
    assert tenancy.overcounts(records.thing(raw, ""), {tenancy.PODS: there}) is wrong
    assert not tenancy.overcounts(records.thing(raw, ""), {tenancy.CLAIMS: 0})
    assert not tenancy.overcounts(None, {tenancy.PODS: there})
    once, at_once, later = (tenancy.recounted(wanted, now) for now in (100.0, 101.0, 105.0))
    assert not tenancy.holds(as_served(wanted), once), "so it is written"
    assert tenancy.holds(as_served(once), at_once), "and not again at once"
    assert not tenancy.holds(as_served(once), later)
    assert tenancy.holds(as_served(once), wanted), "what is beside the amounts does no harm"


@pytest.mark.parametrize("level", ["restricted", "baseline", "privileged"])
def test_a_projects_namespace_has_the_level_of_the_endpoint_and_follows_it(level: str) -> None:
    tenant = Tenant("p", "/p", 1, 1, 64, 1, 0)
    namespace = tenancy.surroundings(tenant, "owner", Options(pod_security=level))[0]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == level
    raw = {**namespace, "metadata": {**namespace["metadata"], "uid": "u", "resourceVersion": "1"}}
    for other in ("restricted", "baseline", "privileged"):
        wanted = tenancy.surroundings(tenant, "owner", Options(pod_security=other))[0]
        assert tenancy.holds(records.thing(raw, "owner"), wanted) is (other == level)


def test_a_namespace_that_is_marked_to_go_is_not_as_it_should_be() -> None:
    wanted = tenancy.surroundings(TENANT, "owner", Options())[0]
    seen = json.loads(json.dumps(wanted))
    seen["metadata"]["annotations"][names.EMPTYING] = "5"
    assert not tenancy.holds(as_served(seen), wanted)


def test_nobody_outside_the_project_comes_in_and_egress_is_as_the_endpoint_says() -> None:
    policy = tenancy.surroundings(TENANT, "owner", Options())[2]["spec"]
    assert (policy["podSelector"], policy["policyTypes"]) == ({}, ["Ingress", "Egress"])
    assert policy["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert tenancy.surroundings(TENANT, "owner", Options(egress="any"))[2]["spec"]["policyTypes"] == ["Ingress"]


# -- the table ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    uid: str
    version: int


KEY = ("", "a")


@given(st.permutations([Row("one", 1), Row("one", 2), Row("one", 3)]))
def test_in_whatever_order_versions_come_the_newest_stays(rows: list[Row]) -> None:
    table: Table[Row] = Table(lambda _before, _after: None)
    assert not table.has(KEY, "one", 1)
    for row in rows:
        table.put(KEY, row)
    assert table.get(KEY) == Row("one", 3)
    assert table.has(KEY, "one", 2)
    assert not table.has(KEY, "one", 4)
    assert not table.has(KEY, "another", 2)


def test_what_was_deleted_does_not_come_back_by_a_late_event_and_its_successor_does() -> None:
    seen: list[tuple[Row | None, Row | None]] = []
    table: Table[Row] = Table(lambda before, after: seen.append((before, after)))
    table.put(KEY, Row("one", 1))
    table.drop(KEY, "one")
    table.put(KEY, Row("one", 2))
    assert table.get(KEY) is None
    table.put(KEY, Row("two", 5))
    table.drop(KEY, "one")
    table.put(KEY, Row("three", 4))
    assert table.get(KEY) == Row("two", 5)
    assert seen == [(None, Row("one", 1)), (Row("one", 1), None), (None, Row("two", 5))]


def test_a_whole_takes_away_what_it_does_not_name_but_for_what_was_written_since() -> None:
    table: Table[Row] = Table(lambda _before, _after: None)
    table.put(KEY, Row("old", 1))
    table.put(("", "b"), Row("new", 9))
    table.replace({("", "c"): Row("told", 3)}, at=5)
    assert {row.uid for row in table.all()} == {"new", "told"}
