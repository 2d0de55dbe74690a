"""Each command makes the calls that the API's contract names, and prints what a person or a program needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

ID = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
OTHER = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a22"
SIZES = {"vcpus": 2, "memory_mib": 4096, "disk_gib": 40, "gpus": 0}
Run = Callable[..., Any]


def instance(**more: Any) -> dict[str, Any]:
    fields = {
        "id": ID,
        "name": "web-1",
        "project": "hubei/health",
        "kind": "vm",
        "flavor": "small",
        "image": "debian-13",
        "goal": "running",
    }
    seen = {
        "state": "active",
        "condition": "running",
        "reason": None,
        "host": None,
        "zone": "wuhan-a",
        "addresses": ["10.0.0.7"],
        "protected": False,
        "priority": "normal",
        "preemptible": False,
    }
    times = {"generation": 1, "observed_generation": 1, "created_at": "2026-11-23T08:30:00.000Z", "since": "2026-11-23T08:30:05.000Z"}
    return {**fields, **SIZES, **seen, **times, **more}


MADE = {"id": ID, "name": "n", "path": "hubei/health", "generation": 1}

CALLS = [  # command line, the call it makes, the call's body
    ("project show hubei/health", "GET /v1/projects/hubei%2Fhealth", None),
    ("project create hubei/health/his", "POST /v1/projects", {"name": "his", "parent": "hubei/health"}),
    ("project create hubei --description x", "POST /v1/projects", {"name": "hubei", "parent": None, "description": "x"}),
    (
        "project update hubei --auto-approve vcpus=8,instances=3",
        "PATCH /v1/projects/hubei",
        {"policy": {"auto_approve": {"vcpus": 8, "instances": 3}}},
    ),
    ("project update hubei --no-auto-approve", "PATCH /v1/projects/hubei", {"policy": {"auto_approve": None}}),
    (
        "project update hubei --max-priority critical --no-may-preempt",
        "PATCH /v1/projects/hubei",
        {"policy": {"max_priority": "critical", "may_preempt": False}},
    ),
    (
        "project create hubei/his --may-preempt",
        "POST /v1/projects",
        {"name": "his", "parent": "hubei", "policy": {"may_preempt": True}},
    ),
    ("project delete hubei", "DELETE /v1/projects/hubei", None),
    ("project grant hubei/health zhang member", "PUT /v1/projects/hubei%2Fhealth/roles", {"user": "zhang", "role": "member"}),
    ("user create zhang --display-name Z", "POST /v1/users", {"name": "zhang", "display_name": "Z"}),
    ("user disable zhang", "PATCH /v1/users/zhang", {"disabled": True}),
    ("user enable zhang", "PATCH /v1/users/zhang", {"disabled": False}),
    (f"user revoke {ID}", f"DELETE /v1/tokens/{ID}", None),
    (
        "flavor create small --vcpus 2 --memory-mib 4096 --disk-gib 40 --arch x86_64 --trait ssd --trait numa",
        "POST /v1/flavors",
        {"name": "small", **SIZES, "arch": "x86_64", "traits": ["ssd", "numa"]},
    ),
    ("flavor delete small", "DELETE /v1/flavors/small", None),
    (
        "pool create general --zone wuhan-a --site W --overcommit vcpus=4,disk_gib=1.5 --reserved memory_mib=512",
        "POST /v1/pools",
        {"name": "general", "zone": "wuhan-a", "site": "W", "overcommit": {"vcpus": 4.0, "disk_gib": 1.5}, "reserved": {"memory_mib": 512}},
    ),
    ("pool delete general", "DELETE /v1/pools/general", None),
    (
        "endpoint create kvm1 --driver libvirt --uri qemu:///system --pool general --option network=default --option dns=1.1.1.1,8.8.8.8",
        "POST /v1/endpoints",
        {
            "name": "kvm1",
            "driver": "libvirt",
            "uri": "qemu:///system",
            "pool": "general",
            "options": {"network": "default", "dns": "1.1.1.1,8.8.8.8"},
        },
    ),
    ("endpoint delete kvm1", "DELETE /v1/endpoints/kvm1", None),
    (
        f"endpoint adopt region {ID} --project hubei/health --name web",
        "POST /v1/endpoints/region/adopt",
        {"id": ID, "project": "hubei/health", "name": "web"},
    ),
    (f"instance disown {ID} --yes", f"POST /v1/instances/{ID}/disown", None),
    ("host cordon h1", "POST /v1/hosts/h1/cordon", None),
    ("host drain h1 --yes", "POST /v1/hosts/h1/drain", None),
    ("host fence h1 --yes", "POST /v1/hosts/h1/fence", None),
    ("machine power off m1 --yes", "POST /v1/machines/m1/power", {"power": "off"}),
    ("machine power on m1", "POST /v1/machines/m1/power", {"power": "on"}),
    ("endpoint update kvm1 --option network=other", "PATCH /v1/endpoints/kvm1", {"options": {"network": "other"}}),
    (
        "instance create --project hubei/health --flavor pod --kind container --image registry.example/app:1 --name app",
        "POST /v1/instances",
        {
            "project": "hubei/health",
            "flavor": "pod",
            "name": "app",
            "kind": "container",
            "container": {"image": "registry.example/app:1"},
        },
    ),
    ("host uncordon h1", "POST /v1/hosts/h1/uncordon", None),
    ("host retire h1", "POST /v1/hosts/h1/retire", None),
    (f"request approve {ID} --reason fine", f"POST /v1/requests/{ID}/approve", {"reason": "fine"}),
    (f"request refuse {ID} --reason no", f"POST /v1/requests/{ID}/refuse", {"reason": "no"}),
    (f"request cancel {ID}", f"POST /v1/requests/{ID}/cancel", None),
    (
        "instance create --project hubei/health --flavor small --image debian-13 --name web --zone wuhan-a --spread anti_affinity",
        "POST /v1/instances",
        {
            "project": "hubei/health",
            "flavor": "small",
            "image": "debian-13",
            "name": "web",
            "zone": "wuhan-a",
            "spread": {"mode": "anti_affinity", "domain": "host"},
        },
    ),
    (f"instance start {ID}", f"POST /v1/instances/{ID}/start", None),
    (f"instance stop {ID}", f"POST /v1/instances/{ID}/stop", None),
    (f"instance reboot {ID}", f"POST /v1/instances/{ID}/reboot", None),
    (f"instance resize {ID} --flavor large", f"POST /v1/instances/{ID}/resize", {"flavor": "large"}),
    (f"instance rebuild {ID}", f"POST /v1/instances/{ID}/rebuild", {}),
    (f"instance rebuild {ID} --image debian-14", f"POST /v1/instances/{ID}/rebuild", {"image": "debian-14"}),
    (f"instance protect {ID}", f"POST /v1/instances/{ID}/protect", None),
    (f"instance unprotect {ID}", f"POST /v1/instances/{ID}/unprotect", None),
    (f"instance extend {ID} --days 30", f"POST /v1/instances/{ID}/extend", {"days": 30}),
    (
        "instance create --project hubei --flavor small --image debian --term-days 30 --ends --starts-at 2026-12-01T08:00:00+08:00",
        "POST /v1/instances",
        {"project": "hubei", "flavor": "small", "image": "debian", "term_days": 30, "ends": True, "starts_at": "2026-12-01T08:00:00+08:00"},
    ),
    (f"instance delete {ID}", f"DELETE /v1/instances/{ID}", None),
]


@pytest.mark.parametrize(("line", "call", "body"), CALLS, ids=[line for line, _, _ in CALLS])
def test_a_command_makes_its_call_and_says_what_it_did(line: str, call: str, body: Any, chutian: Run, server: Any) -> None:
    server.on(call, MADE)
    ran = chutian(*line.split())
    assert ran.code == 0, ran.err
    assert [(f"{one[0]} {one[1]}", one[2]) for one in server.calls()] == [(call, body)]
    assert ran.out.strip()
    if call.startswith("POST"):
        assert server.seen[0].headers["idempotency-key"]


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("flavor list", "GET /v1/flavors"),
        ("host list", "GET /v1/hosts"),
        ("request list", "GET /v1/requests"),
        (f"instance show {ID}", f"GET /v1/instances/{ID}"),
        ("quota show hubei", "GET /v1/projects/hubei/quota"),
        ("whoami", "GET /v1/whoami"),
        ("events", "GET /v1/events"),
        (f"explain instance {ID}", f"GET /v1/instances/{ID}/explain"),
        ("flavor create s --vcpus 1 --memory-mib 1 --disk-gib 1", "POST /v1/flavors"),
        (f"instance stop {ID}", f"POST /v1/instances/{ID}/stop"),
    ],
)
def test_programs_get_the_apis_own_body_unchanged(line: str, call: str, output: str, chutian: Run, server: Any) -> None:
    body = {"id": ID, "name": "n", "items": [{"z": "汉", "a": None, "memory_mib": 4096}], "next": None, "new_field": {"x": [1, 2.5, True]}}
    server.on(call, body)
    ran = chutian("--output", output, *line.split())
    assert ran.code == 0, ran.err
    assert (json.loads if output == "json" else yaml.safe_load)(ran.out) == body
    assert "汉" in ran.out
    assert ran.err == ""


def test_a_list_is_a_table_aligned_on_screen(chutian: Run, server: Any) -> None:
    server.on(
        "GET /v1/instances",
        {"items": [instance(), instance(name="数据库", id=OTHER, state="error", reason={"code": "x", "text": "断电"})], "next": None},
    )
    ran = chutian("instance", "list", "--project", "hubei/health")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["NAME", "PROJECT", "STATE", "PRIORITY", "FLAVOR", "IMAGE", "ADDRESSES", "ZONE", "REASON"]
    assert lines[1].startswith("web-1   hubei/health  active")
    assert lines[2].startswith("数据库  hubei/health  error")
    assert lines[2].endswith("断电")
    assert server.seen[0].query == {"project": "hubei/health"}


def test_wide_shows_more_columns_and_whole_ids(chutian: Run, server: Any) -> None:
    server.on("GET /v1/instances", {"items": [instance()], "next": None})
    assert ID not in chutian("instance", "list").out
    assert f"{ID}" in chutian("instance", "list", "-o", "wide").out


def test_a_list_says_how_to_see_the_rest_and_all_follows_every_page(chutian: Run, server: Any) -> None:
    first, second = {"items": [{"name": "a"}], "next": "c1"}, {"items": [{"name": "b"}], "next": None}
    server.on("GET /v1/flavors", first, first, second)
    ran = chutian("flavor", "list", "--limit", "1")
    assert "--cursor c1" in ran.err
    assert "c1" not in ran.out
    everything = json.loads(chutian("flavor", "list", "--all", "-o", "json").out)
    assert everything == {"items": [{"name": "a"}, {"name": "b"}], "next": None}


def test_an_empty_list_says_so_in_the_callers_language(chutian: Run, server: Any) -> None:
    server.on("GET /v1/flavors", {"items": [], "next": None})
    assert chutian("flavor", "list", CHUTIAN_LANG="zh").out == "没有。\n"
    assert server.seen[0].headers["accept-language"] == "zh"


def test_projects_are_drawn_as_a_tree(chutian: Run, server: Any) -> None:
    paths = ["hubei", "hubei/health", "hubei/health/his", "hubei/health-2", "hubei/tax", "far/away"]
    items = [
        {"id": ID, "path": path, "name": path.rpartition("/")[2], "description": "", "policy": {"auto_approve": None}} for path in paths
    ]
    server.on("GET /v1/projects", {"items": items, "next": None})
    drawn = [line.split("  -")[0].rstrip() for line in chutian("project", "list").out.splitlines()[1:]]
    assert drawn == ["far/away", "hubei", "├─ health", "│  └─ his", "├─ health-2", "└─ tax"]


def test_quota_shows_limits_with_bars_and_where_each_comes_from(chutian: Run, server: Any) -> None:
    rows = [
        {"project": "hubei/health", "kind": "any", "resource": "vcpus", "limit": 16, "used": 8, "held": 4, "free": 4},
        {"project": "hubei", "kind": "vm", "resource": "gpus", "limit": None, "used": 1, "held": 0, "free": None},
    ]
    server.on("GET /v1/projects/hubei%2Fhealth/quota", {"project": "hubei/health", "rows": rows})
    ran = chutian("quota", "show", "hubei/health")
    assert "hubei/health  any   vcpus     16     8     4     4     ██████████▒▒▒▒▒····· 75%" in ran.out
    assert "hubei         vm    gpus      ∞      1     0     ∞" in ran.out
    assert "free = limit - used - held" in ran.err


def test_quota_is_set_and_taken_away(chutian: Run, server: Any) -> None:
    server.on("PUT /v1/projects/hubei/limits", {"project": "hubei", "rows": []})
    assert chutian("quota", "set", "hubei", "vcpus=16", "gpus=none", "--kind", "vm").code == 0
    assert server.seen[0].body == {
        "limits": [{"kind": "vm", "resource": "vcpus", "amount": 16}, {"kind": "vm", "resource": "gpus", "amount": None}]
    }


def test_a_command_in_a_container_is_run_as_if_it_were_here(chutian: Run, server: Any) -> None:
    left = {"exit_code": 3, "stdout": "web-1\n", "stderr": "odd\n", "truncated": False}
    server.on(f"POST /v1/instances/{ID}/exec", left, left)
    ran = chutian("instance", "exec", ID, "--", "cat", "-n", "/etc/hostname")
    assert (ran.code, ran.out, ran.err) == (3, "web-1\n", "odd\n")
    assert server.seen[0].body == {"command": ["cat", "-n", "/etc/hostname"], "timeout_s": 30}
    assert json.loads(chutian("instance", "exec", ID, "true", "--output", "json").out) == left


def test_a_command_in_a_container_is_never_asked_for_twice(chutian: Run, server: Any) -> None:
    busy = {"error": {"code": "unavailable", "message": "not just now", "details": {}}}
    server.on(f"POST /v1/instances/{ID}/exec", (503, busy, {"Retry-After": "0"}), (200, {}))
    assert chutian("instance", "exec", ID, "--", "pay", "twice").code == 6
    assert len(server.seen) == 1


def test_a_command_reads_a_text_and_a_file_that_is_none_is_wrong_usage(chutian: Run, server: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\xff\xfe")
    ran = chutian("instance", "exec", ID, "--stdin", str(tmp_path / "in"), "--", "cat")
    assert (ran.code, server.seen) == (2, [])
    assert "UTF-8" in ran.err


def test_the_log_of_what_has_none_to_follow_is_asked_for_again_and_again(chutian: Run, server: Any) -> None:
    refused = {"error": {"code": "invalid_state", "message": "none", "details": {"reason": "no_log"}}}
    gone = {"error": {"code": "not_found", "message": "gone", "details": {}}}
    server.on(f"GET /v1/instances/{ID}/log", (409, refused))
    server.on(f"GET /v1/instances/{ID}/console", (200, {"text": "up\n"}), (404, gone))
    assert chutian("instance", "logs", "-f", ID).out == "up\n"


@pytest.mark.parametrize("amounts", [["vcpus"], ["vcpus=many"], ["vcpus=-1"], ["cores=4"], ["vcpus=1", "vcpus=2"], []])
def test_an_amount_that_makes_no_sense_is_wrong_usage(amounts: list[str], chutian: Run, server: Any) -> None:
    assert chutian("quota", "set", "hubei", *amounts).code == 2
    assert server.seen == []


def test_changing_a_pool_keeps_the_ratios_that_are_not_named(chutian: Run, server: Any) -> None:
    server.on("GET /v1/pools/g", {"name": "g", "generation": 5, "overcommit": {"vcpus": 4.0, "memory_mib": 1.2}, "reserved": {"vcpus": 1}})
    server.on("PATCH /v1/pools/g", {"name": "g"})
    assert chutian("pool", "update", "g", "--overcommit", "vcpus=2").code == 0
    assert server.seen[1].body == {"overcommit": {"vcpus": 2.0, "memory_mib": 1.2}}
    assert server.seen[1].headers["if-match"] == '"5"'
    assert chutian("pool", "update", "g").code == 2


@pytest.mark.parametrize("option", [None, "gpu_device_class=gpu.example.com"])
def test_rights_are_printed_for_the_options_that_an_endpoint_will_have(option: str | None, chutian: Run, server: Any) -> None:
    server.on("GET /v1/drivers/kubernetes/rights", {"manifest": "kind: ClusterRole\n"})
    done = chutian("endpoint", "rbac", *(("--option", option) if option else ()))
    assert (done.code, done.out) == (0, "kind: ClusterRole\n")
    assert server.seen[-1].query == ({"option": option} if option else {})


def test_what_is_not_ours_is_listed_with_what_it_counts_and_what_it_would_be_refused_with(chutian: Run, server: Any) -> None:
    guest = {
        "id": ID,
        "name": "Web Server",
        "status": "active",
        "host": "c1",
        "image": "ubuntu",
        "counts": {"vcpus": 2, "memory_mib": 4096},
    }
    guest |= {"fits": False, "refusal": {"code": "quota_exceeded", "message": "Too much."}, "obstacle": {"code": "x", "text": "Locked."}}
    server.on("GET /v1/endpoints/region/foreign", {"items": [guest], "next": "more"})
    done = chutian("endpoint", "adopt", "region", "--project", "hubei/health")
    assert done.code == 0
    assert server.seen[-1].query == {"project": "hubei/health"}
    for text in (ID, "Web Server", "vcpus=2 memory_mib=4GiB", "no", "Too much.", "Locked."):
        assert text in done.out
    assert "FITS" not in chutian("endpoint", "adopt", "region").out, "nobody's limits were asked about"
    assert chutian("endpoint", "adopt", "region", ID).code == 2, "whose it is to become"


def test_hosts_show_what_is_used_of_their_capacity(chutian: Run, server: Any) -> None:
    host = {"id": ID, "name": "h1", "pool": "g", "zone": "z", "arch": "x86_64", "state": "up", "cordoned": True, "instances": 3}
    host |= {"reason": {"code": "node_cordoned", "text": "Closed by its own people."}}
    server.on(
        "GET /v1/hosts", {"items": [{**host, "capacity": {**SIZES, "vcpus": 64}, "used": {**SIZES, "memory_mib": 512}}], "next": None}
    )
    ran = chutian("host", "list", "--state", "up")
    assert "2 / 64" in ran.out
    assert "512 MiB / 4 GiB" in ran.out
    assert "Closed by its own people." in ran.out, "else one that its cluster has cordoned looks open"
    assert server.seen[0].query == {"state": "up"}


def test_a_token_is_printed_alone_so_that_it_can_be_kept_in_a_file(chutian: Run, server: Any) -> None:
    server.on("POST /v1/users/zhang/tokens", {"id": ID, "name": "ci", "token": "ct_new", "expires_at": "2027-01-01T00:00:00Z"})
    ran = chutian("user", "token", "zhang", "--name", "ci", "--days", "30")
    assert ran.out == "ct_new\n"
    assert "ct_new" not in ran.err
    assert server.seen[0].body == {"name": "ci", "expires_in_days": 30}


def test_an_instance_is_found_by_name_and_by_the_beginning_of_its_id(chutian: Run, server: Any) -> None:
    listed = {"items": [instance(), instance(id=OTHER, name="web-10")], "next": None}
    server.on("GET /v1/instances", listed)
    server.on(f"GET /v1/instances/{ID}", instance())
    assert chutian("instance", "show", "web-1", "--project", "hubei/health").code == 0
    assert server.seen[0].query["name"] == "web-1"
    assert server.seen[0].query["project"] == "hubei/health"
    assert chutian("instance", "show", ID[:-1]).code == 0
    assert chutian("instance", "show", "nothing").code == 4


def test_an_ambiguous_name_names_the_candidates(chutian: Run, server: Any) -> None:
    server.on("GET /v1/instances", {"items": [instance(), instance(id=OTHER, project="hubei/tax")], "next": None})
    ran = chutian("instance", "delete", "web-1")
    assert ran.code == 1
    assert "hubei/tax" in ran.err
    assert ID in ran.err
    assert [one.method for one in server.seen] == ["GET"]
    assert chutian("instance", "show", ID[:13]).code == 1


def test_an_instance_takes_keys_and_user_data_from_files_but_never_a_private_key(chutian: Run, server: Any, tmp_path: Path) -> None:
    server.on("POST /v1/instances", MADE)
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA zhang\n")
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
    (tmp_path / "ud").write_text("#cloud-config\n")
    base = ["instance", "create", "-p", "p", "--flavor", "f", "--image", "i", "--user-data", str(tmp_path / "ud")]
    assert chutian(*base, "--ssh-key", str(tmp_path / "id")).code == 2
    assert server.seen == []
    assert chutian(*base, "--ssh-key", str(tmp_path / "id.pub")).code == 0
    assert server.seen[0].body["ssh_keys"] == ["ssh-ed25519 AAAA zhang"]
    assert server.seen[0].body["user_data"] == "#cloud-config\n"


def test_the_idempotency_key_can_be_given_and_is_told_when_nobody_knows_whether_it_was_done(chutian: Run, server: Any) -> None:
    args = ["instance", "create", "-p", "p", "--flavor", "f", "--image", "i"]
    server.on("POST /v1/instances", MADE)
    chutian(*args, "--idempotency-key", "mine")
    assert server.seen[0].headers["idempotency-key"] == "mine"
    server.on("POST /v1/instances", "drop")
    ran = chutian(*args)
    assert ran.code == 6
    assert len({one.headers["idempotency-key"] for one in server.seen[1:]}) == 1
    assert f"--idempotency-key {server.seen[1].headers['idempotency-key']}" in ran.err


REQUEST = {"project": "hubei/health", "reason": "挂号系统上线", "items": [{"flavor": "small", "image": "debian-13", "count": 3}]}


@pytest.mark.parametrize("form", ["yaml", "json", "stdin"])
def test_a_request_is_read_from_a_file_or_stdin(form: str, chutian: Run, server: Any, tmp_path: Path) -> None:
    made = {"id": ID, "state": "pending", "instances": [], "decision": None, "created_by": "zhang", **REQUEST}
    server.on("POST /v1/requests", (201, made))
    text = json.dumps(REQUEST) if form == "json" else yaml.safe_dump(REQUEST, allow_unicode=True)
    (tmp_path / "request").write_text(text)
    ran = chutian("request", "create", "-f", "-" if form == "stdin" else str(tmp_path / "request"), stdin=text)
    assert ran.code == 0, ran.err
    assert server.seen[0].body == REQUEST
    assert "3 × small" in ran.out


@pytest.mark.parametrize(
    ("text", "option", "sent"),
    [
        ("starts_at: 2026-12-01T08:00:00Z", [], "2026-12-01T08:00:00+00:00"),
        ("starts_at: '2026-12-01T08:00:00+08:00'", [], "2026-12-01T08:00:00+08:00"),
        ("starts_at: 2026-12-01T08:00:00Z", ["--starts-at", "2026-12-02T00:00:00Z"], "2026-12-02T00:00:00+00:00"),
        ("starts_at: 2026-12-01", [], datetime(2026, 12, 1).astimezone().isoformat()),
        ("reason: none", ["--starts-at", "2026-12-01 08:00"], datetime(2026, 12, 1, 8).astimezone().isoformat()),
    ],
)
def test_a_start_is_read_as_people_write_it(text: str, option: list[str], sent: str, chutian: Run, server: Any, tmp_path: Path) -> None:
    server.on(
        "POST /v1/requests", (201, {"id": ID, "state": "pending", "instances": [], "decision": None, "created_by": "zhang", **REQUEST})
    )
    (tmp_path / "request").write_text(f"{text}\nproject: x\nitems: []\n")
    ran = chutian("request", "create", "-f", str(tmp_path / "request"), "--ends", "--term-days", "9", *option)
    assert ran.code == 0, ran.err
    assert server.seen[0].body["starts_at"] == sent
    assert (server.seen[0].body["ends"], server.seen[0].body["term_days"]) == (True, 9)


def test_one_file_goes_to_any_pool(chutian: Run, server: Any, tmp_path: Path) -> None:
    server.on(
        "POST /v1/requests", (201, {"id": ID, "state": "pending", "instances": [], "decision": None, "created_by": "zhang", **REQUEST})
    )
    (tmp_path / "request").write_text("project: x\nitems: [{flavor: a}, {flavor: b, pool: other}]\n")
    assert chutian("request", "create", "-f", str(tmp_path / "request"), "--pool", "region").code == 0
    assert server.seen[0].body["items"] == [{"flavor": "a", "pool": "region"}, {"flavor": "b", "pool": "region"}]


def test_a_start_that_is_no_moment_is_wrong_usage(chutian: Run, server: Any) -> None:
    ran = chutian("instance", "create", "-p", "p", "--flavor", "f", "--image", "i", "--starts-at", "tomorrow")
    assert ran.code == 2
    assert "tomorrow" in ran.err
    assert server.seen == []


@pytest.mark.parametrize("text", ["", "- a", "a: [", "project: x", "items: 3"])
def test_a_file_that_is_no_request_is_wrong_usage(text: str, chutian: Run, server: Any, tmp_path: Path) -> None:
    (tmp_path / "request").write_text(text)
    assert chutian("request", "create", "-f", str(tmp_path / "request")).code == 2
    assert chutian("explain", "request", str(tmp_path / "none")).code == 2
    assert server.seen == []


def test_explaining_makes_nothing(chutian: Run, server: Any, tmp_path: Path) -> None:
    (tmp_path / "request").write_text(json.dumps(REQUEST))
    refusal = {
        "code": "no_capacity",
        "message": "No host can hold it.",
        "details": {"rules": [{"rule": "zone", "excluded": 2, "text": "zone"}], "changes": []},
    }
    fits, tight = {"fits": True, "refusal": None}, {"fits": False, "refusal": refusal}
    server.on("POST /v1/requests", fits, tight, tight)
    assert chutian("explain", "request", str(tmp_path / "request")).out == "It fits.\n"
    ran = chutian("request", "create", "--explain", "-f", str(tmp_path / "request"))
    assert (ran.code, "No host can hold it." in ran.out, "zone: 2 excluded" in ran.err) == (5, True, True)
    assert json.loads(chutian("explain", "request", str(tmp_path / "request"), "-o", "json").out) == tight
    assert {one.query["explain"] for one in server.seen} == {"true"}


def test_explaining_an_instance_tells_its_story(chutian: Run, server: Any) -> None:
    event = {
        "id": "1.1",
        "at": "2026-11-23T08:30:00.000Z",
        "kind": "instance.active",
        "object_name": "web-1",
        "project": "p",
        "text": "web-1 runs",
    }
    server.on(f"GET /v1/instances/{ID}/explain", {"instance": instance(), "text": "It runs where there was room.", "events": [event]})
    ran = chutian("explain", "instance", ID)
    assert ran.out.splitlines()[0] == "It runs where there was room."
    assert "web-1 runs" in ran.out


@pytest.mark.parametrize("known", [True, False])
def test_explaining_an_instance_says_how_long_it_was_expected_to_run(chutian: Run, server: Any, known: bool) -> None:
    host = {"host": "h-7", "points": -0.5, **({"kept_days": 1.25} if known else {})}
    placement = {
        "hosts": 3,
        "fits": 1,
        "asked": {"expected_days": 11.24} if known else {},
        "rules": [],
        "chosen": ["h-7"],
        "best": [host],
    }
    server.on(f"GET /v1/instances/{ID}/explain", {"instance": instance(), "text": "-", "events": [], "placement": placement})
    out = chutian("explain", "instance", ID).out
    assert "h-7: score -0.500" in out
    assert ("Expected to run on 11.2 of the next 14 days" in out, "keep from running empty for 1.2 days" in out) == (known, known)


def test_explaining_tells_apart_what_was_then_and_what_is_now(chutian: Run, server: Any) -> None:
    miss = {"rules": [{"rule": "cordon", "text": "take no new instances"}, {"rule": "gpus", "text": "have too few free GPUs"}]}
    placement = {
        "at": "2026-11-23T08:30:00.000Z",
        "names": ["web-0", "web-1"],
        "hosts": 3,
        "fits": 1,
        "asked": {},
        "rules": [],
        "chosen": ["h-7", "h-7"],
        "given": [{"gpus": ["gpu-0"], "numa_nodes": []}, {"gpus": ["gpu-1", "gpu-2"], "numa_nodes": [0]}],
        "nearest": [{"host": "h-8", "short": {"gpus": 0.25}, **miss}, {"host": "h-9", "rules": miss["rules"][:1], "short": {}}],
    }
    body = {"instance": instance() | {"host": "h-7"}, "text": "-", "events": [], "placement": placement}
    address = f"GET /v1/instances/{ID}/explain"
    server.on(
        address,
        {**body, "not_there": {"host": "h-8", "short": {"gpus": 0.5}, **miss}},
        {**body, "not_there": {"host": "h-7", "rules": [], "short": {}}},
    )
    out = chutian("explain", "instance", ID, "--host", "h-8").out
    assert "When it was placed (2026-11-23 " in out
    assert "Given to it on h-7: GPU gpu-1, gpu-2; NUMA node 0" in out
    assert "h-8 came near: take no new instances; have too few free GPUs (0.25 lacking)" in out
    assert "h-9 came near: take no new instances\n" in out
    assert "Now it can't be on h-8: hosts like it take no new instances; have too few free GPUs (0.5 lacking)" in out
    assert "It is on h-7." in chutian("explain", "instance", ID, "--host", "h-7").out


@pytest.mark.parametrize(("after", "said"), [(None, "by its start\n"), (["p/web-9"], "by its start (p/web-9)\n")])
def test_who_starts_later_is_told_of_a_promise(chutian: Run, server: Any, after: list[str] | None, said: str) -> None:
    placement = {"at": "2026-11-23T08:30:00.000Z", "hosts": 3, "fits": 0, "asked": {}, "rules": [], "promised": True, "after": after}
    body = {"instance": instance(), "text": "-", "events": [], "placement": placement}
    server.on(f"GET /v1/instances/{ID}/explain", body)
    assert said in chutian("explain", "instance", ID).out


def test_refusals_say_how_many_of_several_would_have_found_a_place(chutian: Run, server: Any) -> None:
    rule = {"rule": "vcpus", "excluded": 3, "text": "have too few free vCPUs"}
    kept = {"at": "2026-11-23T08:30:00.000Z", "project": "p", "names": ["a-1", "a-2", "a-3"], "hosts": 3, "fits": 0, "room": 2, "asked": {}}
    server.on("GET /v1/placements", {"items": [{**kept, "rules": [rule]}], "next": None})
    out = chutian("explain", "refusals").out
    assert "2 of 3 would find a place; for the next, of 3 hosts:" in out
    assert "have too few free vCPUs: 3 excluded" in out


def test_flavors_show_how_much_of_a_gpu_and_of_which_model(chutian: Run, server: Any) -> None:
    sizes = {"kind": "vm", "vcpus": 1, "memory_mib": 1024, "disk_gib": 1}
    found = [
        {"name": "share", **sizes, "gpus": 1, "gpu_milli": 250, "gpu_model": "a100"},
        {"name": "two", **sizes, "gpus": 2, "gpu_milli": 1000, "gpu_model": None},
        {"name": "none", **sizes, "gpus": 0, "gpu_milli": 1000, "gpu_model": None},
    ]
    server.on("GET /v1/flavors", {"items": found, "next": None})
    assert [line.split()[6:-1] for line in chutian("flavor", "list").out.splitlines()[1:]] == [["0.25", "a100"], ["2"], ["0"]]


def test_a_host_shows_what_is_used_of_each_gpu_and_numa_node(chutian: Run, server: Any) -> None:
    gpus = [{"id": f"gpu-{n}", "model": "a100", "there": n == 0, "shared": True, "used_milli": 250 * n} for n in range(2)]
    size = {"vcpus": 16, "memory_mib": 65536}
    nodes = [
        {
            "number": 0,
            "cpus": list(range(16)),
            "memory_mib": 65536,
            "there": True,
            "capacity": size,
            "used": {"vcpus": 12, "memory_mib": 8192},
        }
    ]
    server.on("GET /v1/hosts/h-1", {"name": "h-1", "gpu_devices": gpus, "numa_nodes": nodes})
    out = chutian("host", "show", "h-1").out
    assert "gpu-0 (a100; 0 / 1), gpu-1 (a100; 0.25 / 1) gone" in out
    assert "0 (12 / 16 vCPUs; 8 GiB / 64 GiB of memory)" in out


def test_events_are_lines(chutian: Run, server: Any) -> None:
    event = {"id": "1.1", "at": "2026-11-23T08:30:00.000Z", "kind": "k", "object_name": "web\x1b[31m-1", "project": None, "text": "runs"}
    server.on("GET /v1/events", {"items": [event], "next": "1.1"})
    ran = chutian("events", "--project", "p")
    assert "web[31m-1  runs" in ran.out
    assert "\x1b" not in ran.out


def test_following_events_begins_with_the_newest_and_goes_on_from_there(chutian: Run, server: Any) -> None:
    event = {"at": "2026-11-23T08:30:00.000Z", "object_name": "web-1", "project": "p"}
    stream = b'id: 1.2\nevent: k\ndata: {"id": "1.2", "text": "second"}\n\n'
    refused = (401, {"error": {"code": "unauthenticated", "message": "revoked", "details": {}}})
    server.on("GET /v1/events", {"items": [{**event, "id": "1.1", "text": "first"}], "next": "1.1"}, stream, refused)
    ran = chutian("events", "--follow", "-o", "json")
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == ["first", "second"]
    assert server.seen[1].query["after"] == "1.1"
    assert ran.code == 3


def test_the_console_is_printed_as_it_is_into_a_pipe(chutian: Run, server: Any) -> None:
    server.on(f"GET /v1/instances/{ID}/console", {"text": "boot\r\n\x1b[32mok\x1b[0m\n"})
    ran = chutian("instance", "console", ID, "--max-bytes", "100")
    assert ran.out == "boot\r\n\x1b[32mok\x1b[0m\n"
    assert server.seen[0].query == {"max_bytes": "100"}


@pytest.mark.parametrize(("content", "form"), [(b"QFI\xfb....", "qcow2"), (b"\0" * 3_000_000, "raw")])
def test_an_image_is_imported_from_a_file(content: bytes, form: str, chutian: Run, server: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(content)
    server.on("POST /v1/images", (201, {"id": ID, "name": "deb", "state": "waiting"}))
    server.on(f"PUT /v1/images/{ID}/content", {"id": ID, "name": "deb", "state": "ready"})
    ran = chutian("image", "import", "deb", "--file", str(tmp_path / "disk"), "--arch", "x86_64", "--min-disk-gib", "2")
    assert ran.code == 0, ran.err
    assert server.seen[0].body == {"name": "deb", "arch": "x86_64", "format": form, "min_disk_gib": 2}
    assert server.seen[1].raw == content
    assert "100%" in ran.err
    assert "ready" in ran.out


def test_an_image_whose_content_was_not_sent_says_how_to_send_it_again(chutian: Run, server: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    server.on("POST /v1/images", (201, {"id": ID, "name": "deb", "state": "waiting"}))
    server.on(f"PUT /v1/images/{ID}/content", "drop")
    ran = chutian("image", "import", "deb", "--file", str(tmp_path / "disk"), "--arch", "x86_64")
    assert ran.code == 6
    assert f"chutian image upload deb --file {tmp_path / 'disk'}" in ran.err
    server.on("PUT /v1/images/deb/content", {"id": ID, "name": "deb", "state": "ready"})
    assert chutian("image", "upload", "deb", "--file", str(tmp_path / "disk")).code == 0


def test_an_image_is_fetched_from_a_url_and_waited_for(chutian: Run, server: Any) -> None:
    server.on("POST /v1/images", (201, {"id": ID, "name": "deb", "state": "importing"}))
    failed = {"id": ID, "name": "deb", "state": "failed", "reason": {"code": "digest", "text": "another digest"}}
    server.on(f"GET /v1/images/{ID}", {"id": ID, "name": "deb", "state": "importing"}, failed)
    args = ["image", "import", "deb", "--url", "https://x/d.raw", "--arch", "x86_64", "--wait"]
    assert chutian(*args).code == 2
    ran = chutian(*args, "--format", "raw")
    assert ran.code == 1
    assert "another digest" in ran.err
    assert chutian("image", "import", "deb", "--arch", "x86_64").code == 2
