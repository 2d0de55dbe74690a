"""What `ensure` does next: a pure, total function from what is asked and what is seen to a few acts.

Invariants:

* A pod is made only when the one before it is gone: they have one name in one namespace, so the API server itself lets no second one be.
* Whether a pod is gone is the kubelet's word. Only that of a FENCED node is not waited for; `force` shortens the time that a container has
  to end and never does without that word. (What is known of a SILENT node elsewhere comes by `release`, and is decided in `conditions`.)
* What moves off a node that works leaves by eviction, however long that is held up, so that disruption budgets hold.
* What ended by itself, well or badly, is made anew only for a newer spec; what its node took away, for any.
* Where one pod will do for both specs only its counters are written anew.
"""

from __future__ import annotations

from enum import StrEnum

from drivers.base import Health, InstanceSpec, Power
from drivers.errors import InvalidSpec
from drivers.kubernetes import returning
from drivers.kubernetes.records import Pod


class Act(StrEnum):
    """One thing to do; each may be repeated safely."""

    CREATE = "create"
    STAMP = "stamp"  # write the counters, and the label of its service
    GIVE_SECRET = "give_secret"  # noqa: S105  # the Secret that its pod waits for
    DELETE = "delete"  # with its time to end
    HURRY = "hurry"  # with a second to end
    EVICT = "evict"
    ERASE = "erase"  # nothing runs of it, or never will: the object alone


SHORT_S = 1


def acts(spec: InstanceSpec, content: str, seen: Pod | None, health: Health) -> tuple[Act, ...]:
    """The acts towards the spec; `health` is that of the node that the pod is bound to, READY where to none.

    Raises InvalidSpec for a spec older than the one the pod was made from.
    """
    if seen is None or seen.mark is None:
        return (Act.CREATE,)
    if seen.mark.generation > spec.generation:
        raise InvalidSpec(detail=f"stale generation: {spec.generation} after {seen.mark.generation}")
    if seen.node and health is Health.FENCED:
        return (Act.ERASE, Act.CREATE)
    if seen.deleting:
        return (Act.HURRY,) if spec.force and seen.grace_s > SHORT_S else ()
    if _serves(spec, content, seen):
        return _complete(spec, seen)
    if not seen.node or seen.ended:
        return (Act.ERASE, Act.CREATE)
    if spec.host != seen.node and spec.power is Power.RUNNING and health is Health.READY:
        return (Act.EVICT,)
    return (Act.HURRY,) if spec.force else (Act.DELETE,)


def _complete(spec: InstanceSpec, seen: Pod) -> tuple[Act, ...]:
    waits = seen.container.reason == "CreateContainerConfigError" and bool(seen.secret)
    stamped = seen.mark is not None and seen.mark.generation == spec.generation and not seen.led_astray
    return (*((Act.GIVE_SECRET,) if waits else ()), *(() if stamped else (Act.STAMP,)))


def _serves(spec: InstanceSpec, content: str, seen: Pod) -> bool:
    """Whether this pod will do."""
    assert seen.mark is not None  # noqa: S101  # asked before
    if seen.mark.content != content or seen.altered:
        return False
    if returning.taken(seen):
        return False
    return not seen.ended or seen.mark.generation == spec.generation
