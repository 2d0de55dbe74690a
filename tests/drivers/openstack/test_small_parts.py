"""The driver's small pure parts: addresses, options, credentials, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.messages import CATALOGUE, render
from drivers.errors import DriverError, HostUnreachable, InvalidSpec, PolicyRefused, Timeout, Transient, Unauthorized
from drivers.openstack import address, credentials, options
from drivers.openstack.failures import Collided, FlavorMissing, Gone, QuotaUsedUp, RegionLacks, ResizeRefused, failure, said

KEYSTONE = "https://keystone.lan:5000/v3"
SECRET = "s3cr3t-p4ssw0rd"  # noqa: S105
USER = {"username": "u", "password": SECRET, "project_name": "p"}
KEY = {"application_credential_id": "k", "application_credential_secret": SECRET}


# -- addresses ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("openstack+https://keystone.lan:5000/v3", "https://keystone.lan:5000/v3"),
        ("openstack+https://keystone.lan:5000/v3/", "https://keystone.lan:5000/v3"),
        ("openstack+https://keystone.lan", "https://keystone.lan/v3"),
        ("openstack+https://cloud.lan/identity", "https://cloud.lan/identity/v3"),
        ("openstack+https://[fd00::1]:5000", "https://[fd00::1]:5000/v3"),
        ("openstack+http://127.0.0.1:5000/v3", "http://127.0.0.1:5000/v3"),
        ("openstack+http://[::1]:5000/v3", "http://[::1]:5000/v3"),
        ("openstack+http://localhost:5000", "http://localhost:5000/v3"),
    ],
)
def test_an_address_names_keystones_third_version(given_: str, expected: str) -> None:
    assert address.parse(given_) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "openstack+http://keystone.lan:5000/v3",
        "openstack+http://10.0.0.1/v3",
        "openstack+http://localhost.evil.lan/v3",
        "https://keystone.lan/v3",
        "openstack://keystone.lan",
        "openstack+https://",
        "openstack+https://host:port/v3",
        "openstack+https://host:99999/v3",
        "openstack+https://keystone.lan/v3?x=1",
        "openstack+https://keystone.lan/v3#x",
        "openstack+https://key stone/v3",
        "openstack+https://[::1/v3",
        "",
    ],
)
def test_what_is_no_address_or_goes_in_clear_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSpec):
        address.parse(uri)


def test_an_address_with_a_password_is_refused_without_being_quoted() -> None:
    with pytest.raises(InvalidSpec) as caught:
        address.parse(f"openstack+https://u:{SECRET}@keystone.lan/v3")
    assert SECRET not in str(caught.value)


def test_a_service_whose_address_is_in_clear_is_refused() -> None:
    address.refuse_clear("https://nova.lan/v2.1", "compute")
    address.refuse_clear("http://127.0.0.1:8774/v2.1", "compute")
    for url in ("http://nova.lan/v2.1", "ftp://nova.lan", "nova.lan"):
        with pytest.raises(InvalidSpec):
            address.refuse_clear(url, "compute")


# -- options -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_",
    [
        {"seas": "hosts"},
        {"sees": "both"},
        {"interface": "private"},
        {"sees": "hosts", "zone": "az1"},
        {"ca_file": "ca.pem"},
        {"timeout_s": "0"},
        {"timeout_s": "301"},
        {"timeout_s": "1.5"},
        {"timeout_s": "１"},
        {"call_s": "-1"},
        {"look_s": ""},
        {"stuck_s": "x"},
        {"disk_gib": "0"},
    ],
)
def test_options_that_can_not_be_are_refused(given_: dict[str, str]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        options.parse({"credentials": SECRET, **given_})
    assert SECRET not in str(caught.value)


def test_options_say_what_they_mean_and_never_the_credentials() -> None:
    found = options.parse({"credentials": SECRET, "sees": "opaque", "zone": "az1"})
    assert (found.hosts, found.zone, found.credentials) == (False, "az1", SECRET)
    assert SECRET not in repr(found)
    assert options.parse({}).hosts


# -- credentials -------------------------------------------------------------------------------------------------------------------------


def clouds(auth: Any, **cloud: Any) -> str:
    return json.dumps({"clouds": {"ours": {"auth": auth, **cloud}}})


@pytest.mark.parametrize("line", ["u:s3cr3t-p4ssw0rd@p", "u:s3cr3t-p4ssw0rd@p\n", "u:s3cr3t-p4ssw0rd@p\r\n"])
def test_one_line_is_a_user_of_a_project(line: str) -> None:
    login = credentials.read(line, KEYSTONE)
    assert not login.by_application
    assert login.given == {**USER, "user_domain_name": "Default", "project_domain_name": "Default"}


def test_a_password_may_hold_what_separates() -> None:
    assert credentials.read("u:a@b:c@p", KEYSTONE).given["password"] == "a@b:c"  # noqa: S105


def test_a_cloud_by_password() -> None:
    login = credentials.read(clouds(USER, region_name="r1", interface="internal", auth_type="password", identity_api_version=3), KEYSTONE)
    assert (login.by_application, login.region, login.interface) == (False, "r1", "internal")
    assert login.given == {**USER, "user_domain_name": "Default", "project_domain_name": "Default"}


def test_yaml_is_read_as_people_write_it() -> None:
    auth = f"auth_url: {KEYSTONE}/, username: u, password: '{SECRET}', project_id: p, user_domain_id: d"
    text = f"clouds:\n  ours:\n    auth: {{{auth}}}\n"
    assert credentials.read(text, KEYSTONE).given == {"username": "u", "password": SECRET, "project_id": "p", "user_domain_id": "d"}


def test_one_domain_is_that_of_both() -> None:
    given_ = credentials.read(clouds({**USER, "domain_name": "d"}), KEYSTONE).given
    assert given_ == {**USER, "user_domain_name": "d", "project_domain_name": "d"}


@pytest.mark.parametrize("kind", ["", "v3applicationcredential"])
def test_a_cloud_by_application_credential(kind: str) -> None:
    login = credentials.read(clouds(KEY, **({"auth_type": kind} if kind else {})), KEYSTONE)
    assert login.by_application
    assert login.given == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        f"u:{SECRET}",
        f"u:{SECRET}@",
        f":{SECRET}@p",
        f"u\t:{SECRET}@p",
        f"clouds: [\n  {SECRET}",
        f"- {SECRET}\n- b",
        f"clouds:\n  {SECRET}\n",
        json.dumps({"clouds": {}}),
        json.dumps({"clouds": {"a": {"auth": USER}, "b": {"auth": USER}}}),
        clouds(None),
        clouds({"username": "u", "password": SECRET}),
        clouds({"password": SECRET, "project_name": "p"}),
        clouds({"username": "u", "project_name": "p"}),
        clouds({**USER, "token": "t"}),
        clouds({**USER, **KEY}),
        clouds({"application_credential_secret": SECRET}),
        clouds({"application_credential_secret": SECRET, "application_credential_name": "n"}),
        clouds(USER, auth_type="v3token"),
        clouds(USER, auth_type="v3applicationcredential"),
        clouds(USER, identity_api_version="2.0"),
        clouds(USER, interface="private"),
        clouds(USER, verify=False),
        clouds(USER, cacert="/etc/ca.pem"),
        clouds(USER, profile="vendor"),
        clouds({**USER, "auth_url": "https://elsewhere.lan:5000/v3"}),
        clouds({**USER, "auth_url": "https://keystone.lan:5001/v3"}),
        clouds({**USER, "auth_url": "https://[::1"}),
    ],
)
def test_credentials_that_can_not_be_are_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        credentials.read(text, KEYSTONE)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None, "the parser's own words quote lines"


def test_who_we_are_is_never_shown_with_its_secret() -> None:
    for text in (clouds(USER), clouds(KEY), f"u:{SECRET}@p"):
        assert SECRET not in repr(credentials.read(text, KEYSTONE))


# -- refusals ----------------------------------------------------------------------------------------------------------------------------

POLICY = "Policy doesn't allow os_compute_api:os-hypervisors:list to be performed."
PLACEMENT = "Access was denied to this resource. Policy does not allow placement:resource_providers:list to be performed."
QUOTA = "Quota exceeded for cores, instances: Requested 1, 1, but already used 1, 1 of 1, 1"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Compute host nope could not be found.", InvalidSpec),
        (401, "The request you have made requires authentication.", Unauthorized),
        (403, POLICY, RegionLacks),
        (403, PLACEMENT, RegionLacks),
        (403, QUOTA, QuotaUsedUp),
        (403, "Maximum number of ports exceeded", QuotaUsedUp),
        (403, "The server is locked", PolicyRefused),
        (404, "Instance x could not be found.", Gone),
        (409, "Cannot 'stop' instance x while it is in vm_state stopped", Collided),
        (409, "Quota exceeded for resources: ['port'].", QuotaUsedUp),
        (413, "Quota exceeded", QuotaUsedUp),
        (418, "", InvalidSpec),
        (429, "This request was rate-limited.", Transient),
        (500, "Unexpected API Error.", Transient),
        (502, "", HostUnreachable),
        (503, "no server is available to handle this request", Transient),
        (504, "", Timeout),
        (599, "", Transient),
    ],
)
def test_a_refusal_becomes_the_error_that_says_what_to_do(status: int, message: str, kind: type[DriverError]) -> None:
    error = failure(status, json.dumps({"anything": {"code": status, "message": message}}).encode(), "GET /x")
    assert type(error) is kind
    if kind is not RegionLacks:
        assert error.reason.params["detail"] == (message or f"GET /x: HTTP {status}")


@given(st.integers(300, 599), st.binary(max_size=3000))
def test_every_answer_is_an_error_with_a_sentence_and_only_404_means_gone(status: int, body: bytes) -> None:
    error = failure(status, body, "GET /x")
    assert isinstance(error, Gone) == (status == 404)
    for lang in ("en", "zh"):
        assert render(error.reason.code, error.reason.params, lang)
    assert all(len(str(value)) < 600 for value in error.reason.params.values())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"badRequest": {"code": 400, "message": "nova"}}', "nova"),
        (b'{"NeutronError": {"type": "X", "message": "neutron", "detail": ""}}', "neutron"),
        (b'{"error": {"code": 401, "message": "keystone", "title": "Unauthorized"}}', "keystone"),
        (b'{"errors": [{"status": 403, "title": "Forbidden", "detail": "placement", "request_id": "r"}]}', "placement"),
        (b"<html><head><title>403</title></head><body>glance &amp; others<br /></body></html>", "403 glance others"),
        (b'{"message": "two\\n  lines"}', "two lines"),
        (b"", ""),
        (b"[]", ""),
        (b"{}", ""),
        (b"7", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_sentence_is_found_in_whatever_form_a_service_gives_it(body: bytes, message: str) -> None:
    assert said(body) == message


def test_every_error_of_ours_has_a_sentence() -> None:
    for kind in (QuotaUsedUp, RegionLacks, ResizeRefused, FlavorMissing, Collided, Gone):
        assert kind.code in CATALOGUE
