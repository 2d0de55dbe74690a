"""In which order the submissions of one batch are decided.

In: drafts in order of arrival, and the sums that the transaction has locked anyway: it asks the database for nothing. Out: the drafts in
their turns. A project's share is of what bounds it: for each resource the tightest limit on its path (`scheduler.fairness` has the rest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.actions.draft import Draft
from quotas import check as quota
from scheduler.fairness import Account, Waiting, order


def in_turn(drafts: Sequence[Draft], nodes: Mapping[str, quota.Node]) -> list[Draft]:
    """Higher classes first, then projects with a lower dominant share, then whoever came earlier."""
    if len(drafts) < 2:
        return list(drafts)
    paths = {id_: path for draft in drafts for path in [draft.project["ancestors"]] for id_ in [path[-1]]}
    accounts = {id_: _account([nodes[above] for above in path]) for id_, path in paths.items()}
    keys = {key for account in accounts.values() for key in account.limits}
    waiting = [
        Waiting(tuple(draft.project["ancestors"]), draft.submission.rank, {key: quota.amount(draft.asked, *key) for key in keys})
        for draft in drafts
    ]
    return [drafts[number] for number in order(waiting, accounts)]


def _account(path: Sequence[quota.Node]) -> Account:
    """What the project at the end of the path has and holds, of all that it is limited in."""
    limits = quota.tightest(path)
    own = path[-1]
    return Account({key: quota.amount(own.used, *key) + quota.amount(own.held, *key) for key in limits}, limits)
