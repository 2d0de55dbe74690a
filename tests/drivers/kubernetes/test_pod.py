"""The objects that a spec becomes: what is asked for is in them, as it was written, and what is secret only where secrets are kept."""

from __future__ import annotations

import base64
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import InstanceSpec, Power
from drivers.container import Container, Port, Probe, Volume
from drivers.errors import InvalidSpec
from drivers.kubernetes import names
from drivers.kubernetes import pod as making
from drivers.kubernetes.options import Options
from tests.drivers.kubernetes.objects import OWNER, spec_of

RICH = Container(
    "registry.lan/web:1",
    command=("/bin/serve",),
    args=("--port", "8080"),
    env=(("MODE", "quiet"),),
    secrets=(("PASSWORD", "s3cret-v4lue"),),
    ports=(Port("http", 8080), Port("dns", 53, "udp")),
    volumes=(Volume("data", "/data", 3),),
    liveness=Probe(port=8080),
    readiness=Probe(port=8080, http_path="/ready", delay_s=1, period_s=2, timeout_s=3, failures=4),
    startup=Probe(command=("true",)),
    restart="on_failure",
    service="web",
)
PLAIN = making.Setting(OWNER, Options())


def made(setting: making.Setting = PLAIN, **changes: object) -> making.Json:
    return making.pod(spec_of(disk_gib=5, container=RICH, **changes), setting)


def expanded(text: str) -> str:
    """As a kubelet expands it where no variable is known (k8s.io/kubernetes/third_party/forked/golang/expansion)."""
    out, at = [], 0
    while at < len(text):
        if text[at] == "$" and at + 1 < len(text):
            out.append("$" if text[at + 1] == "$" else text[at : at + 2])
            at += 2
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


def test_the_pod_is_bound_to_its_host_by_us_and_gets_its_flavor_and_no_more() -> None:
    spec = made()["spec"]
    assert (spec["nodeName"], spec["schedulerName"], spec["restartPolicy"]) == ("node-1", "chutian", "OnFailure")
    sizes = {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "2Gi"}
    assert spec["containers"][0]["resources"] == {"requests": sizes, "limits": sizes}
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)


def test_of_what_is_promised_more_than_once_a_node_sets_a_part_aside() -> None:
    spec = made(memory_mib=256, overcommit={"vcpus": 3.0, "memory_mib": 1.0, "disk_gib": 2.0, "gpus": 4.0})["spec"]
    resources = spec["containers"][0]["resources"]
    assert resources["limits"] == {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "2Gi"}
    assert resources["requests"] == {"cpu": "333m", "memory": "256Mi", "ephemeral-storage": "1024Mi"}


def test_gpus_are_asked_for_under_the_name_that_the_endpoint_gives_them() -> None:
    setting = making.Setting(OWNER, Options(gpu_resource="huawei.com/Ascend910"))
    assert made(setting, gpus=2)["spec"]["containers"][0]["resources"]["limits"]["huawei.com/Ascend910"] == "2"


def test_a_claim_that_binds_late_leaves_binding_to_the_scheduler_which_has_one_node_to_choose_from() -> None:
    spec = made(replace(PLAIN, late=True))["spec"]
    assert "nodeName" not in spec
    assert "schedulerName" not in spec
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]


def test_a_stopped_instance_is_gated_and_bound_to_nothing() -> None:
    for late in (False, True):
        spec = made(replace(PLAIN, late=late), power=Power.STOPPED)["spec"]
        assert spec["schedulingGates"] == [{"name": names.STOPPED_GATE}]
        assert not {"nodeName", "affinity"} & spec.keys()


def test_probes_and_ports_are_as_asked() -> None:
    container = made()["spec"]["containers"][0]
    assert container["livenessProbe"]["tcpSocket"] == {"port": 8080}
    assert container["startupProbe"]["exec"] == {"command": ["true"]}
    ready = container["readinessProbe"]
    assert ready["httpGet"] == {"path": "/ready", "port": 8080}
    times = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
    assert [ready[name] for name in times] == [1, 2, 3, 4]
    assert {(port["containerPort"], port["protocol"]) for port in container["ports"]} == {(8080, "TCP"), (53, "UDP")}


def test_a_secret_is_in_the_secret_alone() -> None:
    pod = made()
    assert "s3cret" not in json.dumps(pod)
    assert base64.b64encode(b"s3cret-v4lue").decode() not in json.dumps(pod)
    assert "s3cret" not in repr(RICH)
    secret = making.secret(spec_of(disk_gib=5, container=RICH), OWNER, "uid-1")
    assert base64.b64decode(secret["data"]["PASSWORD"]) == b"s3cret-v4lue"
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert pod["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]


def test_each_volume_has_a_claim_that_the_pod_names() -> None:
    claim = making.claims(spec_of(disk_gib=5, container=RICH), PLAIN)[0]
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert made()["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}]
    assert made()["spec"]["containers"][0]["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


@pytest.mark.parametrize("level", ["restricted", "baseline", "privileged"])
def test_what_pod_security_wants_is_there(level: str) -> None:
    pod = made(making.Setting(OWNER, Options(pod_security=level, run_as="1000")))["spec"]
    strict = level == "restricted"
    assert pod["securityContext"].get("runAsNonRoot", False) is strict
    assert pod["securityContext"]["runAsUser"] == 1000
    assert (pod["containers"][0].get("securityContext") is not None) is strict


@given(st.text(alphabet="$()AB{}", max_size=12))
def test_a_command_reaches_the_container_as_it_was_written(text: str) -> None:
    probe = Probe(command=(text,))
    spec = spec_of(container=Container("web", command=(text,), args=(text,), env=(("A", text),), liveness=probe))
    container = making.pod(spec, PLAIN)["spec"]["containers"][0]
    asked = container["livenessProbe"]["exec"]["command"]  # the kubelet expands it as it does the others
    assert [expanded(word) for word in (*container["command"], *container["args"], container["env"][0]["value"], *asked)] == [text] * 4


UNCHANGED = {"generation", "force", "built", "image", "user_data", "ssh_keys", "hypervisor", "adopted", "kind", "arch"}
UNCHANGED |= {"cpu_baseline", "cells", "devices"}  # nodes tell of none: the cluster itself gives out what of them is whose
CHANGED = {
    "instance_id": "0190a000-0000-7000-8000-00000000000b",
    "project_id": "other",
    "name": "web-2",
    "host": "node-2",
    "vcpus": 2,
    "memory_mib": 65,
    "disk_gib": 6,
    "gpus": 1,
    "power": Power.STOPPED,
    "build": 2,
    "reboots": 1,
    "overcommit": {"vcpus": 2.0},
    "container": replace(RICH, image="other"),
}


@pytest.mark.parametrize("name", [one.name for one in fields(InstanceSpec)])
def test_every_field_of_a_spec_is_known_to_matter_or_not_to_the_pod(name: str) -> None:
    """Without secrets, whose name has the generation in it."""
    spec = spec_of(disk_gib=5, container=replace(RICH, secrets=()))
    if name in UNCHANGED:
        given_ = {
            "generation": 2,
            "force": True,
            "built": True,
            "user_data": "x",
            "ssh_keys": ("x",),
            "hypervisor": "x",
            "adopted": "x",
            "kind": "container",
            "arch": "x",
        }
        other = replace(spec, **{name: given_.get(name)})
        assert (
            making.pod(other, PLAIN)["metadata"]["annotations"][names.CONTENT]
            == making.pod(spec, PLAIN)["metadata"]["annotations"][names.CONTENT]
        )
        return
    one, two = making.pod(spec, PLAIN), making.pod(replace(spec, **{name: CHANGED[name]}), PLAIN)
    place = ("name", "namespace", "labels")
    assert (one["metadata"]["annotations"][names.CONTENT], *(one["metadata"][key] for key in place)) != (
        two["metadata"]["annotations"][names.CONTENT],
        *(two["metadata"][key] for key in place),
    )


REFUSED = {
    "no uuid": {"instance_id": "../../etc"},
    "upper-case uuid": {"instance_id": "0190A000-0000-7000-8000-00000000000A"},
    "no name": {"name": ""},
    "dots": {"name": "a.b"},
    "newline": {"name": "web\n"},
    "no container": {"container": None},
    "unknown restart": {"container": Container("web", restart="sometimes")},
    "volumes fill its disk": {"container": Container("web", volumes=(Volume("data", "/data", 2),))},
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_a_spec_that_can_be_no_pod_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec):
        making.pod(spec_of(**change), PLAIN)


@given(st.text(max_size=80))
def test_any_text_can_be_a_labels_value(text: str) -> None:
    value = names.label(text)
    assert 1 <= len(value) <= 63
    assert value == text or value.startswith("sha256.")
