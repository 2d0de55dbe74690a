"""Shared by all driver tests: the contract's assertions explain themselves as those of a test module do.

Setting up a bare machine takes a quarter of a minute, and a server of nova that boots some seconds, so that some of the contract's cases on
these are left to `make long`.
"""

import pytest

pytest.register_assert_rewrite("tests.drivers.contract", "tests.drivers.contract_changes", "tests.drivers.fake.backend")
LONG_ON_METAL = (  # what others do by the way, or tests/stories
    "test_a_generation_older_than_the_stamped_one_is_refused",
    "test_a_reboot_asked_once_happens_once[by force",
    "test_a_running_guest_gets_an_address",
    "test_a_running_instance_stops_and_starts_again[politely",
    "test_ensure_again_changes_nothing",
    "test_ensure_starts_an_instance_and_stamps_its_generation",
    "test_hostile_user_data_is_carried_as_it_is",
    "test_rebuild_keeps_the_identity_and_comes_up_again",
    "test_remove_makes_it_absent_and_may_be_repeated",
    "test_what_was_removed_may_be_made_again",
)
SHORT_ON_GUESTS = (  # what is another thing with a guest; the rest is tried with simulated hypervisors
    "test_the_console_shows",
    "test_a_running_instance_stops_and_starts_again",
    "test_a_reboot_asked_once_happens_once[by force",
    "test_resize_gives_the_new_size",
    "test_rebuild_keeps_the_identity",
    "test_remove_makes_it_absent",
    "test_an_instance_killed_behind_our_back",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "[bare-metal" in item.name and item.name.replace("bare-metal-", "").startswith(LONG_ON_METAL):
            item.add_marker(pytest.mark.long)
        if "[openstack-guests" in item.name and not item.name.replace("openstack-guests-", "").startswith(SHORT_ON_GUESTS):
            item.add_marker(pytest.mark.long)
