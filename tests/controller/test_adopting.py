"""What isn't ours becomes ours without being touched, and is given back: one transaction, whoever dies after it, whoever else wants it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller import errors
from controller.actions import adopting, fleet, instances
from controller.actions.adopting import Restless, Told, Wish
from controller.store import instances as store
from drivers.adopting import Adopts
from drivers.errors import Transient
from drivers.fake.foreign import stranger
from drivers.fake.world import forget
from tests.controller.asking import ask, backend, create, row_of, sound, told
from tests.controller.fixtures import PLENTY, ROOT, Cloud, make_cloud
from tests.controller.off import Meddled
from tests.controller.stepping import Crash, Stepper

GUEST = "aaaaaaaa-0000-4000-8000-000000000001"
OTHER = "aaaaaaaa-0000-4000-8000-000000000002"
HOST = "host-0001"
SIZE = (4, 4096, 40)


@pytest.fixture
def cloud(database: Any, settings: Any) -> Iterator[Cloud]:
    """Two hosts of 16 vCPUs; on the first there is a guest of 4 that isn't ours."""
    made = make_cloud(database, settings, hosts=2)
    made.auto_approve(ROOT, PLENTY)
    made.world.foreign[GUEST] = stranger(GUEST, "Web Server", HOST, SIZE, live=True)
    Stepper(made).look()
    yield made
    forget(made.uri)


def ask_driver(cloud: Cloud, wish: Wish, stepper: Stepper | None = None) -> tuple[Mapping[str, Any], Told]:
    """What the API asks before the transaction."""
    row, adopted = cloud.run(lambda conn: adopting.before(conn, cloud.admin, "fake", wish))
    driver = (stepper or Stepper(cloud)).open(row)
    assert isinstance(driver, Adopts)
    found = driver.foreigner(wish.id)
    assert found is not None
    return row, Told(found, driver.inventory_with(adopted | {wish.id}), adopted)


def adopt(cloud: Cloud, wish: Wish | None = None) -> str:
    wish = wish or Wish(GUEST, ROOT)
    row, answer = ask_driver(cloud, wish)
    return str(cloud.run(lambda conn: adopting.adopt(conn, cloud.env, cloud.admin, row, wish, answer))["id"])


def room(cloud: Cloud) -> tuple[int, int, int]:
    """Of the host that it is on: what it may promise, what it has promised, what nobody has."""
    (row,) = cloud.rows("SELECT vcpus, used_vcpus FROM hosts WHERE backend_name = :name", name=HOST)
    return row["vcpus"], row["used_vcpus"], row["vcpus"] - row["used_vcpus"]


def really_free(cloud: Cloud) -> int:
    """What is free there, whoever has the rest."""
    theirs = sum(one.vcpus for one in cloud.world.foreign.values() if one.host == HOST)
    return 16 - theirs - cloud.world.used(HOST)[0]


def quota(cloud: Cloud) -> tuple[int, int]:
    (row,) = cloud.rows(
        "SELECT u.instances, u.vcpus FROM usage u JOIN projects p ON p.id = u.project_id WHERE p.path = 'hubei' AND kind = 'vm'"
    )
    return row["instances"], row["vcpus"]


# -- adopting ------------------------------------------------------------------------------------------------------------------------


def test_what_is_adopted_counts_at_once_and_is_marked_without_being_touched(cloud: Cloud) -> None:
    assert room(cloud) == (12, 0, 12)
    id_ = adopt(cloud)
    assert (quota(cloud), room(cloud)) == ((1, 4), (16, 4, 12)), "its host has it back in the moment in which it counts"
    assert cloud.world.records() == {}, "not marked yet"
    Stepper(cloud).settle()
    row, record = row_of(cloud, id_), backend(cloud, id_)
    assert (row["name"], row["state"], row["condition"], row["goal"], row["adopted"]) == (
        "web-server",
        "active",
        "running",
        "running",
        GUEST,
    )
    assert (row["image"], row["flavor"], row["host"]) == (None, "large", HOST)
    assert (record.live, record.boots, cloud.world.boots(id_), record.generation) == (True, 0, 0, 1)
    assert told(cloud, id_) == ["instance.adopted", "instance.active"]
    before = cloud.rows("SELECT * FROM hosts ORDER BY name")
    Stepper(cloud).look()
    assert cloud.rows("SELECT * FROM hosts ORDER BY name") == before, "what was written of the host is what a look finds"
    sound(cloud)


def test_what_is_off_is_adopted_as_stopped_and_stays_off(cloud: Cloud) -> None:
    cloud.world.foreign[OTHER] = stranger(OTHER, "Ärchiv", HOST, (1, 1024, 10), live=False)
    id_ = adopt(cloud, Wish(OTHER, ROOT, "archive"))
    Stepper(cloud).settle()
    assert (row_of(cloud, id_)["state"], row_of(cloud, id_)["goal"], backend(cloud, id_).live) == ("stopped", "stopped", False)


def test_afterwards_it_is_an_instance_like_any_other(cloud: Cloud) -> None:
    id_, stepper = adopt(cloud), Stepper(cloud)
    stepper.settle()
    for verb, more, state in (("stop", (), "stopped"), ("start", (), "active"), ("reboot", (), "active")):
        ask(cloud, verb, id_, *more)
        stepper.settle()
        assert row_of(cloud, id_)["state"] == state
    cloud.flavor("huge", 8, 8192, 80)
    ask(cloud, "resize", id_, "huge")
    stepper.settle()
    assert (backend(cloud, id_).vcpus, quota(cloud), room(cloud)) == (8, (1, 8), (16, 8, 8))
    cloud.world.destroy(id_)
    stepper.look()
    stepper.settle()
    assert told(cloud, id_)[-2:] == ["instance.stopped_by_other", "instance.mended"]
    ask(cloud, "delete", id_)
    stepper.settle()
    stepper.look()
    assert (row_of(cloud, id_)["state"], quota(cloud), room(cloud), cloud.world.foreign) == ("deleted", (0, 0), (16, 0, 16), {})
    sound(cloud)


def test_nobody_knows_its_image_so_it_is_rebuilt_from_one_that_is_named(cloud: Cloud) -> None:
    id_, stepper = adopt(cloud), Stepper(cloud)
    stepper.settle()
    with pytest.raises(errors.InvalidState) as refusal:
        ask(cloud, "rebuild", id_, None)
    assert refusal.value.text == "adopted_image_unknown"
    ask(cloud, "rebuild", id_, "debian")
    stepper.settle()
    assert (row_of(cloud, id_)["state"], row_of(cloud, id_)["image"], backend(cloud, id_).build) == ("active", "debian", 2)


# -- refused -------------------------------------------------------------------------------------------------------------------------


def untouched(cloud: Cloud) -> None:
    assert (quota(cloud), room(cloud), list(cloud.world.foreign)) == ((0, 0), (12, 0, 12), [GUEST])
    assert cloud.rows("SELECT 1 FROM instances") == cloud.rows("SELECT 1 FROM allocations") == []


def test_a_limit_that_is_too_small_refuses_in_the_words_of_admission(cloud: Cloud) -> None:
    cloud.limit(ROOT, vcpus=3)
    with pytest.raises(errors.QuotaExceeded) as refusal:
        adopt(cloud)
    (over,) = refusal.value.details["over"]
    assert over == {
        "project": ROOT, "kind": "any", "resource": "vcpus", "asked": 4, "limit": 3, "used": 0, "held": 0, "free": 3,
    }  # fmt: skip
    untouched(cloud)


def test_a_name_that_is_taken_is_refused(cloud: Cloud) -> None:
    create(cloud, name="web-server")
    with pytest.raises(errors.AlreadyExists):
        adopt(cloud)
    adopt(cloud, Wish(GUEST, ROOT, "web-server-2"))


def test_what_is_adopted_is_adopted_once(cloud: Cloud) -> None:
    adopt(cloud)
    with pytest.raises(errors.AlreadyExists) as refusal:
        adopt(cloud)
    assert (refusal.value.text, refusal.value.params) == ("adopted_already", {"instance": "web-server", "project": ROOT})


def test_of_two_who_adopt_it_in_the_same_moment_one_does(cloud: Cloud) -> None:
    wish = Wish(GUEST, ROOT)
    row, answer = ask_driver(cloud, wish)
    adopt(cloud, Wish(GUEST, cloud.project("health")))
    with pytest.raises(errors.AlreadyExists):
        cloud.run(lambda conn: adopting.adopt(conn, cloud.env, cloud.admin, row, wish, answer))


def test_who_was_told_of_hosts_before_somebody_else_adopted_there_asks_again(cloud: Cloud) -> None:
    cloud.world.foreign[OTHER] = stranger(OTHER, "db", HOST, SIZE, live=True)
    wish = Wish(GUEST, ROOT)
    row, answer = ask_driver(cloud, wish)
    adopt(cloud, Wish(OTHER, ROOT))
    with pytest.raises(Restless):
        cloud.run(lambda conn: adopting.adopt(conn, cloud.env, cloud.admin, row, wish, answer))
    adopt(cloud)
    assert room(cloud) == (16, 8, 8)
    Stepper(cloud).settle()
    sound(cloud)


def test_a_look_that_was_told_of_hosts_before_an_adoption_writes_nothing_of_them(cloud: Cloud) -> None:
    """It looked, and is slow to write; meanwhile something is adopted, or given back."""
    stepper = Stepper(cloud)
    late: list[str] = []
    stepper.points = Meddled(meddle=lambda where: late.append(adopt(cloud)) if where == "after observe_all" and not late else None)
    stepper.look()
    assert late
    assert room(cloud) == (16, 4, 12)
    assert cloud.rows("SELECT 1 FROM endpoints WHERE due_at <= now()"), "it is looked at again at once"
    stepper.settle()


def test_a_pool_that_promises_less_than_runs_there_refuses(cloud: Cloud) -> None:
    """The hardware's part of the guest is small where its backend overcommits; what we would promise isn't."""
    wish = Wish(GUEST, ROOT)
    row, answer = ask_driver(cloud, wish)
    small = replace(answer, inventory=replace(answer.inventory, hosts=tuple(replace(one, vcpus=3) for one in answer.inventory.hosts)))
    with pytest.raises(errors.NoCapacity) as refusal:
        cloud.run(lambda conn: adopting.adopt(conn, cloud.env, cloud.admin, row, wish, small))
    assert (refusal.value.text, refusal.value.params["resources"]) == ("no_room_to_adopt", "vcpus")
    untouched(cloud)


def test_hosts_kept_to_spare_count_what_is_adopted(cloud: Cloud) -> None:
    """The other host has room for what is here of ours, which is nothing, and not for the guest."""
    cloud.world.describe("host-0002", vcpus=8)
    Stepper(cloud).look()
    cloud.flavor("six", 6, 6144, 60)
    cloud.run(lambda conn: fleet.cordon(conn, cloud.admin, HOST, True, None))
    create(cloud, flavor="six")
    cloud.run(lambda conn: fleet.cordon(conn, cloud.admin, HOST, False, None))
    cloud.run(lambda conn: fleet.update_pool(conn, cloud.admin, "general", None, {"spare_hosts": 1}))
    with pytest.raises(errors.NoCapacity) as refusal:
        adopt(cloud)
    assert refusal.value.details["rules"][-1]["rule"] == "spare_hosts"


def test_what_is_being_adopted_is_not_acted_upon_before_it_is_ours(cloud: Cloud) -> None:
    id_ = adopt(cloud)
    for verb, more in (("stop", ()), ("reboot", ()), ("resize", ("large",)), ("rebuild", ("debian",)), ("delete", ())):
        with pytest.raises(errors.InvalidState) as refusal:
            ask(cloud, verb, id_, *more)
        assert refusal.value.text == "adoption_under_way"


def test_what_is_not_any_more_what_was_booked_is_not_marked_and_can_be_given_up(cloud: Cloud) -> None:
    id_ = adopt(cloud)
    cloud.world.foreign[GUEST] = replace(cloud.world.foreign[GUEST], vcpus=8)
    Stepper(cloud).settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["reason"]["code"], row["reason"]["params"]["vcpus"]) == ("error", "adoptee_changed", 8)
    ask(cloud, "disown", id_)
    Stepper(cloud).settle()
    assert (row_of(cloud, id_)["state"], quota(cloud), list(cloud.world.foreign)) == ("deleted", (0, 0), [GUEST])


def test_what_vanished_before_it_was_marked_is_named(cloud: Cloud) -> None:
    id_ = adopt(cloud)
    cloud.world.foreign.clear()
    Stepper(cloud).settle()
    assert (row_of(cloud, id_)["state"], row_of(cloud, id_)["reason"]["code"]) == ("error", "adoptee_gone")
    ask(cloud, "disown", id_)
    Stepper(cloud).settle()
    assert (row_of(cloud, id_)["state"], quota(cloud)) == ("deleted", (0, 0))


# -- given back ----------------------------------------------------------------------------------------------------------------------


def test_what_is_given_back_goes_on_and_its_room_is_never_anybodys(cloud: Cloud) -> None:
    id_, stepper = adopt(cloud), Stepper(cloud)
    stepper.settle()
    ask(cloud, "disown", id_)
    ask(cloud, "disown", id_)
    stepper.settle()
    assert (row_of(cloud, id_)["state"], row_of(cloud, id_)["disowned"], quota(cloud)) == ("deleted", True, (0, 0))
    assert room(cloud)[2] == 0, "until a look has told what is left"
    guest = cloud.world.foreign[GUEST]
    assert (guest.live, guest.boots, guest.owner, cloud.world.records()) == (True, 0, "", {})
    stepper.look()
    assert room(cloud) == (12, 0, 12)
    assert told(cloud, id_)[-2:] == ["instance.disown_asked", "instance.disowned"]
    again = adopt(cloud)
    stepper.settle()
    assert (row_of(cloud, again)["state"], backend(cloud, again).boots) == ("active", 0)
    sound(cloud)


def test_what_we_made_is_not_given_to_anybody(cloud: Cloud) -> None:
    (id_,) = create(cloud)
    with pytest.raises(errors.InvalidState) as refusal:
        ask(cloud, "disown", id_)
    assert refusal.value.text == "never_adopted"


def test_a_mark_that_came_late_is_taken_off_and_what_bears_it_is_not_removed(cloud: Cloud) -> None:
    """A controller that was paused before it marked goes on after all is over."""
    id_, stepper = adopt(cloud), Stepper(cloud)
    (row,) = cloud.run(lambda conn: store.pick(conn, 0.0, [], 10))
    ask(cloud, "disown", id_)
    stepper.settle()
    assert row_of(cloud, id_)["state"] == "deleted"
    stepper.examine(row)
    assert list(cloud.world.records()) == [id_], "that was too late"
    stepper.look()
    assert (cloud.world.records(), list(cloud.world.foreign)) == ({}, [GUEST])
    stepper.look()
    assert room(cloud) == (12, 0, 12)


# -- dying anywhere ------------------------------------------------------------------------------------------------------------------


def asked(cloud: Cloud, verb: str) -> tuple[str, str]:
    """The instance, and the state that it comes to."""
    id_ = adopt(cloud)
    if verb == "adopt":
        return id_, "active"
    Stepper(cloud).settle()
    ask(cloud, verb, id_)
    return id_, "deleted"


@pytest.mark.parametrize("verb", ["adopt", "disown"])
@pytest.mark.parametrize("fatal", range(1, 16))
def test_whoever_dies_wherever_it_comes_to_the_same(cloud: Cloud, verb: str, fatal: int) -> None:
    id_, state = asked(cloud, verb)
    try:
        stepper = Stepper(cloud, fatal)
        stepper.settle()
        stepper.look()
    except Crash:
        assert room(cloud)[2] <= really_free(cloud), "nothing is offered twice"
    else:
        assert fatal > 8, "there were places to die at"
    assert room(cloud)[2] >= 0, "and nothing is over its capacity"
    Stepper(cloud).settle()
    assert room(cloud)[2] <= really_free(cloud)
    Stepper(cloud).look()
    assert row_of(cloud, id_)["state"] == state
    assert room(cloud)[2] == really_free(cloud) == 12
    one = backend(cloud, id_) if verb == "adopt" else cloud.world.foreign[GUEST]
    assert (one.live, one.boots) == (True, 0)
    sound(cloud)


@pytest.mark.parametrize("after", [False, True])
def test_a_driver_that_fails_is_asked_again(cloud: Cloud, after: bool) -> None:
    id_ = adopt(cloud)
    cloud.world.fail_next("ensure", Transient(detail="not now"), after=after)
    Stepper(cloud).settle()
    assert (row_of(cloud, id_)["state"], backend(cloud, id_).boots) == ("active", 0)
    ask(cloud, "disown", id_)
    cloud.world.fail_next("disown", Transient(detail="not now"), after=after)
    Stepper(cloud).settle()
    assert (row_of(cloud, id_)["state"], list(cloud.world.foreign)) == ("deleted", [GUEST])


def test_the_verbs_are_told_apart_by_who_may(cloud: Cloud) -> None:
    member, _ = cloud.user("zhang", ROOT)
    id_ = adopt(cloud)
    with pytest.raises(errors.Forbidden):
        cloud.run(lambda conn: adopting.before(conn, member, "fake", Wish(OTHER, ROOT)))
    with pytest.raises(errors.Forbidden):
        cloud.run(lambda conn: instances.disown(conn, cloud.env, member, id_, None))
