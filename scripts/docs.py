"""`python -m scripts.docs` writes the pages of `docs/` that say what the code says already; `--check` fails where one is stale.

In: the settings' class, the drivers' options, the command line's tables, the catalogue of messages. Out: `docs/configuration.md`,
`docs/cli.md`, and the tables between the markers of `docs/operations.md`. What is written by hand here is only what no code knows: what an
operator does about a code (`ADVICE`). The rejected alternative, tables kept by hand, is wrong after the second change.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from console import cli as command_line
from console import texts, verbs
from controller import messages
from controller.config import Settings
from controller.messages import adopting, facts, metal, reasons, refusals, region, rules
from controller.model import identity
from controller.model.identity import Right
from drivers.bare_metal.options import Options as BmcOptions
from drivers.fake.settings import Knobs
from drivers.kubernetes.options import Options as ClusterOptions
from drivers.libvirt.options import Options
from drivers.openstack.options import Options as RegionOptions

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = "<!-- Written by `python -m scripts.docs`. Don't edit: change the code that it is made from. -->\n"

ADVICE: Mapping[str, str] = {
    # reasons: why an instance, an image, a host or an endpoint is as it is
    "driver_error": "A bug of the driver. It is tried again; look for `driver_broke` in the log and report it.",
    "backend_busy": "Nothing; it is tried again.",
    "not_in_cluster": "Run the controller in a pod with an account, or enrol with the API server's address and a kubeconfig.",
    "credentials_elsewhere": "Enrol with the address that stands in the kubeconfig as `server`, or put the endpoint's there.",
    "host_unreachable": "Look at the host and the way to it. Its instances are kept as they are until it answers.",
    "backend_timeout": "Nothing at first; it is tried again. If it stays: the hypervisor is overloaded or hangs.",
    "backend_refused": "Read the detail (operators see it); mend the cause, then start, rebuild or delete the instance.",
    "invalid_spec": "Read the detail; change the flavor or the endpoint's options, then start or delete the instance.",
    "image_corrupt": "Bytes changed on disk; find out why. On the `host`: delete `base-SHA256.FORMAT` in its pool (`virsh vol-delete`)"
    " and start the instance, and a new copy is made from the controller's file. At the `controller`: restore `data_dir/images`, or import"
    " the image under another name.",
    "image_missing": "`data_dir/images` lacks the file: restore it from the backup.",
    "disk_missing": "Restore the volume on the host and start the instance; or rebuild it, which loses its data.",
    "not_supported": "This driver can't do that; choose another pool.",
    "deadline_passed": "See what the host was doing; start the instance again (a new try), or delete it. Of a bare machine: its endpoint's"
    " options `provision_s` and `wipe_s` give more time, as overwriting large disks needs.",
    "starts_later": "Nothing.",
    "waiting_for_room": "See “Terms, and starts that lie ahead” above.",
    "kept_past_term": "The department extends its term, or takes its protection away.",
    "gpu_models_mixed": "Put GPUs of one model into a host, or leave the others out of `vfio-pci` and IOMMU groups of their own.",
    "kvm_unavailable": "Turn on virtualisation in the host's firmware; for nested hosts, pass it through. Guests run, slowly.",
    "no_guest_runs": "Read the detail, and the log of the guest `chutian-probe-…` on the host (`/var/log/libvirt/qemu`).",
    "guest_crashed": "Read its console; start the instance again.",
    "guest_asleep": "The guest suspended itself; reboot it, and turn suspending off in the guest.",
    "guest_paused": "Somebody paused it on the host; resume it there (`virsh resume`), or reboot it.",
    "guest_hung": "Its watchdog fired. Read its console; reboot it.",
    "disk_error": "The host can't read or write its volume: look at the host's storage, then reboot the instance.",
    "disk_full": "The host's storage pool is full: make room, then reboot the instance.",
    "start_failed": "Read the hypervisor's log of the guest on its host; start the instance again.",
    "host_lost_guest": "The hypervisor lost it, for instance over a restart; it is started again.",
    "migration_failed": "Nothing of ours migrates yet: somebody did it by hand. Look at both hosts.",
    "machine_enrolled": "Retire one of the two hosts; if they really are two machines, give each its `host_uuid` (libvirtd.conf). Of an"
    " OpenStack region see above what tells two endpoints apart.",
    "tenant_unsettled": "Nothing; the project's namespace and quota are made, and it is tried again.",
    "eviction_held": "A PodDisruptionBudget in the project's namespace allows no eviction now: wait, or change the budget.",
    "credentials_refused": "Give the endpoint new credentials, or apply the manifest of `chutian endpoint rbac` again.",
    "machine_only_seen": "Set `depot_listen`, and build the ramdisk; see “Bare metal” above.",
    "machine_uninspected": "`chutian machine inspect NAME`; it is switched off for that.",
    "machine_quarantined": "See the run (`chutian run list --host NAME`). Replace the disk, then `chutian machine wipe NAME`; or, if you"
    " have seen to its disks yourself, `chutian machine trust NAME`.",
    "machine_taken": "Nothing; it goes on when the machine is free.",
    "machine_in_use": "Nothing while it is so. When the host is no more: `chutian host retire`, and the machine is free at the next look.",
    "machine_at_work": "Nothing; what was asked for is done when the playbook has ended.",
    "machine_differs": "Find out why: a module that failed or was added, or a BMC that was never told.",
    "depot_closed": "Look at `depot_listen`: is the address this machine's, has somebody else that port?",
    "bmc_unreachable": "Look at the BMC's address, cable and power, and the way to it (HTTPS, or UDP 623). One that hangs: unplug it.",
    "bmc_certificate_changed": "Ask who renewed it. If somebody did: `chutian endpoint update --option fingerprint=…`, with all others.",
    "bmc_certificate_untrusted": "Compare the fingerprint with the BMC's own display; `--option fingerprint=…` or `--option ca_file=…`.",
    "bmc_password_refused": "`chutian endpoint update --credentials-file`: one line `USER:PASSWORD`. The account may be locked by now.",
    "bmc_system_unknown": "Name one of those that there are: `redfish+https://BMC/redfish/v1/Systems/ID`.",
    "bmc_busy": "Nothing; it is tried again. A BMC that stays so wants a reset of its own.",
    "ipmi_cipher_refused": "Update the BMC's firmware, or `--option cipher_suite=3`, which signs with SHA-1.",
    "power_refused": "Read the detail: the machine may be in its self-test, or an update may run.",
    "power_unchanged": "Ask anew, by force. If it stays: look at the machine; the BMC takes actions and carries out none.",
    "playbook_task_failed": "Read the task and its detail in the run; mend it; ask anew. Every playbook begins again from its start.",
    "playbook_unusable": "Compare the controller's `playbooks/` with the release; `ansible-playbook --syntax-check` says where.",
    "result_unreadable": "Ask anew; if it stays, report the playbook.",
    "run_cancelled": "Nothing; ask anew when it is wanted: `chutian instance start`, or `chutian machine inspect`, `wipe` or `patch`.",
    "run_interrupted": "Nothing; it is begun again. If it stays: memory and disk of the controller's machine.",
    "machine_written_off": "Find its disks. Should the machine come back: `chutian machine wipe NAME`; it can't be trusted as it is.",
    "wipe_interrupted": "See to memory and disk of the controller's machine; then `chutian machine wipe NAME`.",
    "run_too_large": "Look at what the run's last task was given, and at what it printed.",
    "depot_unreachable": "Start the depot (`python -m drivers.bare_metal.depot`); look at the way from the provisioning network to it.",
    "boot_device_ignored": "See the boot order in its setup; give `boot_mode`; update the BMC; boot by CD, not by network, or the reverse.",
    "no_dhcp_answer": "Look at the DHCP server's log for the machine's MAC; it must name the depot's boot URL to iPXE.",
    "ramdisk_silent": "Read the machine's serial console: the ramdisk says there what it waits for.",
    "wrong_machine": "Compare the BMC's address, the boot MAC and the SMBIOS UUID with the machine in the rack.",
    "checksum_mismatch": "Import the image again. If it happens again: look at the disk of the controller's machine.",
    "disk_too_small": "A smaller image, or a machine with a larger disk.",
    "write_error": "Replace the disk; or name another root disk.",
    "readback_mismatch": "Replace the disk.",
    "database_restored": "Look whether anybody has it (is it on, does anything answer?). Trust it if not; retire its host if so.",
    "wipe_failed": "Replace the disk and destroy it by your own rules; wipe again, which proves the others; inspect, to know the new one.",
    "ssh_unreachable": "Read the machine's console. User data with `ssh_keys` of its own has other host keys than expected.",
    "rights_missing": "`chutian endpoint rbac`, with the `--option`s that the endpoint has, and `kubectl apply` by the cluster's people.",
    "place_taken": "Read the detail; `kubectl delete` what it names, or have it deleted; then `chutian instance start`.",
    "policy_refused": "Read the detail: a rule of the cluster (Pod Security, a limit range, a webhook). Change the request, or the rule.",
    "host_silent": "Look at the node; `chutian host fence` switches it off by its BMC. Once it is certainly off, say so: `kubectl"
    " taint node NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`, or delete the node; of a region: `openstack compute"
    " service set --down HOST nova-compute`.",
    "machine_off": "Nothing; what can be started elsewhere is. Find out why it is off, and switch it on when it may run again"
    " (`chutian machine power on`).",
    "host_fenced": "Start the instance to have it elsewhere. Take the taint off when the node is back (of a region: `--up`).",
    "host_refused": "The node has less left than we think, or lacks a label: `kubectl describe node`.",
    "host_keeps_refusing": "Look at the node (`kubectl describe node`) and at how much disk the container writes; start or resize it.",
    "node_cordoned": "Nothing; `kubectl uncordon NODE` opens it again.",
    "node_tainted": "Nothing; the node is used again when its taints are gone.",
    "unschedulable": "A volume's storage may not reach that node: `kubectl describe pod`.",
    "image_pull_failed": "Look at the way from the node to the registry, and at the image's name.",
    "image_absent": "Import the image on the node, or let it be fetched.",
    "container_config_wrong": "Read the detail: an image that runs as root needs the endpoint's `run_as`, or another `pod_security`.",
    "container_not_created": "Read the node's log of its container runtime.",
    "container_evicted": "Look at the node's disk and memory (`kubectl describe node`).",
    "claim_unbound": "`kubectl describe pvc`; a storage class that provides volumes, or the endpoint's option `storage_class`.",
    "secret_missing": "Ask who deleted the Secret.",
    "devices_taken": "`kubectl get resourceclaims -A` says who holds devices of that node's ResourceSlices; have them let go, or wait.",
    "device_claim_missing": "Ask who deleted the ResourceClaim.",
    "device_claim_gone": "Ask who deleted the ResourceClaim. `chutian instance reboot` makes another.",
    "gpu_class_absent": "Install the GPUs' DRA driver with its DeviceClass, or name another by the option `gpu_device_class`.",
    "gpu_class_unread": "Make a DeviceClass that compares `device.driver` and attributes for equality, joined by `&&`, and name that one.",
    "region_lacks": "Read what is missing: a service of the catalogue, nova's version, a role, a quota, a network. See to it there, or give"
    " the endpoint other credentials or `sees=opaque`.",
    "region_quota": "`openstack quota set` for the project, or delete servers of it that aren't ours.",
    "flavor_missing": "`openstack flavor create` with just that size and no extra specs; or enrol with an administrator's credentials.",
    "adoptee_gone": "`chutian instance disown` gives its quota back.",
    "adoptee_changed": "`chutian instance disown`, then adopt it as it is now.",
    "no_room_to_adopt": "`chutian pool update POOL --overcommit vcpus=…`, up to nova's own ratio; or have something migrated off the host.",
    "service_disabled": "Nothing; `openstack compute service set --enable HOST nova-compute` opens it again.",
    "no_valid_host": "Compare nova's own ratios with the pool's overcommit; nova's scheduler says in its log which filter left no host.",
    "build_failed": "Read nova-compute's log on the host that the detail names; start the instance again.",
    "image_inactive": "Look at the image in glance (`openstack image show`): what is deleted there is sent again at the next try.",
    "network_missing": "Look at the endpoint's option `network`, at free addresses, and at neutron's agents on the host.",
    "volume_failed": "Look at the storage of nova and cinder.",
    "server_broken": "`openstack server show`, `openstack server event list`; nova-compute's log on its host. Start or reboot it.",
    "server_set_aside": "Ask who paused, suspended, rescued or shelved it. Starting the instance brings it back.",
    "server_stuck": "`openstack server event list`; nova-compute's log on its host. An administrator's `openstack server set --state error`"
    " ends the task, and then the instance is started again. A build that no hypervisor has begun is deleted and asked for anew by itself.",
    "power_contradicts": "Look at its host: the guest may be gone or paused there. `openstack server reboot --hard` makes it anew.",
    "resize_refused": "nova needs `allow_resize_to_same_host = true` in nova.conf, and the host room for both sizes at once.",
    "pool_missing": "The endpoint's storage pool is gone or stopped; the driver makes and starts it at its next connect.",
    "digest_differs": "The file isn't the one meant, or was damaged on the way: compare the digest, import again.",
    "size_differs": "The upload was cut off: upload again.",
    "not_an_image": "Give the right `--format`; flatten images with a backing file first (`qemu-img convert`).",
    "image_too_large": "Raise `max_image_bytes`, or use a smaller image.",
    "download_failed": "Look at the address and at the controller's way to it; enter the image again.",
    "store_full": "Make room in `data_dir/images`; import again.",
    # events that want somebody to look
    "image.failed": "See its reason.",
    "endpoint.unreachable": "Look at the host and the way to it; see its reason.",
    "endpoint.orphan_found": "See “Orphans” above.",
    "endpoint.meddled": "Ask who did it in the cluster.",
    "endpoint.stranger_found": "See “Orphans” above.",
    "host.unreachable": "See “A host that does not answer” above.",
    "machine.quarantined": "See `machine_quarantined`.",
    "run.failed": "`chutian run show ID`: which task, and why.",
    "run.interrupted": "Nothing; it is begun again.",
    "instance.unseen": "See “A host that does not answer” above.",
    "host.changed": "Nothing, if somebody changed the hardware; else ask who did.",
    "instance.failed": "See its reason, mend it, start or rebuild the instance.",
    "instance.retrying": "Nothing yet; the tries go on.",
    "instance.term_kept": "The department extends its term, or takes its protection away.",
    "instance.waiting_for_room": "See “Terms, and starts that lie ahead” above.",
    "instance.overdue": "See “Overdue” above.",
    "instance.vanished": "Ask who undefined it on the host.",
    "instance.stopped_by_other": "Often a shutdown from inside the guest; `chutian instance stop` is the way to keep one stopped.",
    "instance.altered_by_other": "Ask who undefined it on the host.",
    "instance.started_by_other": "Ask who started it on the host.",
    "instance.seen_elsewhere": "Two copies may run: stop the one on the wrong endpoint by hand.",
    "instance.preempted": "It agreed to that when it was asked for. Ask again without `preemptible`, or when there is room.",
    "waits_for_preempted": "Wait. Where it lasts, look at the events of what is `deleting` on its host.",
    "request.submitted": "An approver decides: `chutian request list --state pending`.",
    # errors of the API that the controller's operators can do something about
    "internal": "A bug: find `request_broke` in the log and report it.",
    "database_unavailable": "Look at PostgreSQL: is it running, is its disk full, are its connections used up?",
    "admission_slow": "The database is slow or locked; see its log. The same key tells what became of the call.",
    "schema_old": "`chutian migrate`, or `auto_migrate = true`.",
    "schema_unknown": "An older controller met a newer database: install the newer version there too.",
    "postgres_start_failed": "Read the words given and `data_dir/postgres/data/server.log`.",
    "data_dir_too_long": "Choose a shorter `data_dir`.",
}


# -- settings --------------------------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Every setting, and every option of an endpoint."""
    lines = [
        WRITTEN,
        "# Configuration",
        "",
        inspect.cleandoc(
            """
            The controller reads one TOML file, named by `--config` or by `CHUTIAN_CONFIG`, and the environment, which wins: the setting
            `listen` is `CHUTIAN_LISTEN` there. All is checked once at start; a setting that is unknown in the file is refused. Names that
            end in `_s` are seconds.

            ```toml
            # /etc/chutian/controller.toml
            data_dir = "/var/lib/chutian"
            listen = "0.0.0.0:8443"
            ```

            ## Settings
            """
        ),
        "",
        "| setting | default | values | what for |",
        "|---|---|---|---|",
        *(_setting(name, field) for name, field in Settings.model_fields.items()),
        "",
        "## Options of an endpoint with the driver `libvirt`",
        "",
        "Given with `chutian endpoint create … --option NAME=VALUE`; an unknown one is refused.",
        "",
        *_options(Options),
        "",
        "## Options of an endpoint with the driver `kubernetes`",
        "",
        "The address is `https://HOST:PORT` (the API server), or `in-cluster` where the controller itself runs in a pod.",
        "",
        *_options(ClusterOptions),
        "",
        "## Options of an endpoint with the driver `openstack`",
        "",
        "The address is `openstack+https://HOST:PORT/v3` (keystone); `openstack+http` for the controller's own machine alone.",
        "",
        *_options(RegionOptions),
        "",
        "## Options of an endpoint with the driver `bare_metal`",
        "",
        "The address is `redfish+https://HOST:PORT/redfish/v1/Systems/ID`, without the path where the BMC has one machine; or `ipmi://HOST:PORT`.",
        "",
        *_options(BmcOptions),
        "",
        "## Options of an endpoint with the driver `fake`",
        "",
        "For trials and tests: in the address, `fake:NAME?hosts=10&build_s=2` (in the controller's memory) or `fake:///DIR?hosts=10`",
        "(a folder), or with `--option`.",
        "",
        *_options(Knobs),
    ]
    return "\n".join(lines) + "\n"


def _setting(name: str, field: FieldInfo) -> str:
    default = "" if field.default is None else f"`{_shown(field.default)}`"
    return f"| `{name}` | {default} | {_values(field)} | {_cell(field.description or '')} |"


def _values(field: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(one, name)}" for one in field.metadata for name, sign in _BOUNDS.items() if getattr(one, name, None) is not None
    ]
    return ", ".join([_kind(field.annotation), *limits])


_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_KINDS = {"Path": "path", "str": "text", "int": "integer", "float": "number", "bool": "true or false"}


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if isinstance(annotation, UnionType):
        return " or ".join(_kind(one) for one in get_args(annotation) if one is not type(None))
    return _KINDS[annotation.__name__]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _options(of: type) -> Iterator[str]:
    """Name, default and comment of each field, from the class's source."""
    yield "| option | default | what for |"
    yield "|---|---|---|"
    for line in inspect.getsource(of).splitlines():
        found = re.fullmatch(r"    (\w+): [^=]+ = (.+?)(?:  # (.+))?", line)
        if found:
            default = getattr(of(), found[1])
            shown = _shown(default)
            yield f"| `{found[1]}` | {f'`{shown}`' if shown else ''} | {_cell(found[3] or '')} |"


# -- command line ----------------------------------------------------------------------------------------------------------------


def cli() -> str:
    """The help of every command, in English."""
    root = command_line.build("en")
    say = texts.speak("en")
    blocks = [f"{WRITTEN}\n# The command line\n\nThe same text as `chutian COMMAND --help` (`--lang zh` shows it in Chinese).\n"]
    for path, command, ctx in commands(root):
        if "--help" not in {name for param in command.params for name in param.opts}:
            text = f"{command.help}: options with `{' '.join(path)} --help`, on the controller's machine."
            blocks.append(f"## `{' '.join(path)}`\n\n{text}\n")
            continue
        level = "#" * min(2 + max(len(path) - 2, 0), 3)
        text = "\n".join(line.rstrip() for line in verbs.help_text(ctx, say).splitlines())
        blocks.append(f"{level} `{' '.join(path)}`\n\n```text\n{text}\n```\n")
    return "\n".join(blocks)


def commands(root: click.Group) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Every command with the words that call it, the groups included."""
    ctx = click.Context(root, info_name="chutian", obj=("en", texts.speak("en")), max_content_width=100, terminal_width=100)
    yield from _below(("chutian",), root, ctx)


def _below(
    path: tuple[str, ...], command: click.Command, ctx: click.Context
) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    yield path, command, ctx
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None:
                yield from _below((*path, name), child, click.Context(child, parent=ctx, info_name=name))


# -- roles -----------------------------------------------------------------------------------------------------------------------

RIGHTS: Mapping[Right, str] = {
    Right.READ: "reads",
    Right.USE: "requests, instances",
    Right.DECIDE: "decides",
    Right.SET_UP: "projects, limits, roles",
    Right.PEOPLE: "users",
    Right.OPERATE: "hosts, pools, catalogue",
    Right.SEE_FLEET: "sees hosts",
}


def roles() -> str:
    """What each role allows."""
    lines = [f"| role | {' | '.join(RIGHTS.values())} |", "|---" * (len(RIGHTS) + 1) + "|"]
    lines += [
        f"| {role} | {' | '.join('yes' if right in allowed else '' for right in RIGHTS)} |" for role, allowed in identity.RIGHTS.items()
    ]
    return "\n".join(lines) + "\n"


# -- messages --------------------------------------------------------------------------------------------------------------------


def sections() -> dict[str, list[str]]:
    """The codes of the catalogue under the comments that head them in its sources."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in "".join(map(inspect.getsource, (refusals, reasons, metal, region, adopting, facts, rules))).splitlines():
        if heading := re.fullmatch(r"    # (.+)", line):
            title = heading[1]
        elif (code := re.match(r'    "([\w.]+)": \(', line)) and code[1] in messages.CATALOGUE:
            found.setdefault(title, []).append(code[1])
    return found


def catalogue() -> str:
    """All codes, what they say in both languages, and what to do."""
    blocks = []
    for title, codes in sections().items():
        advised = any(code in ADVICE for code in codes)
        blocks += [f"### {title[0].upper()}{title[1:]}", "", f"| code | says | 中文 |{' what to do |' if advised else ''}"]
        blocks.append("|---|---|---|---|" if advised else "|---|---|---|")
        for code in codes:
            english, chinese = messages.CATALOGUE[code]
            tail = f" {_cell(ADVICE.get(code, ''))} |" if advised else ""
            blocks.append(f"| `{code}` | {_cell(english)} | {_cell(chinese)} |{tail}")
        blocks.append("")
    return "\n".join(blocks).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# -- writing ---------------------------------------------------------------------------------------------------------------------

PAGES: Mapping[str, Callable[[], str]] = {"docs/configuration.md": configuration, "docs/cli.md": cli}
PARTS: Mapping[tuple[str, str], Callable[[], str]] = {
    ("docs/operations.md", "roles"): roles,
    ("docs/operations.md", "messages"): catalogue,
}


def wanted() -> dict[Path, str]:
    """Every generated file as it should be. Raises ValueError where a page lacks its markers."""
    found = {ROOT / name: make() for name, make in PAGES.items()}
    for (name, part), make in PARTS.items():
        path = ROOT / name
        begin, end = f"<!-- {part}: written by `python -m scripts.docs` -->\n", f"<!-- end of {part} -->\n"
        head, began, rest = found.get(path, path.read_text("utf-8")).partition(begin)
        _, ended, tail = rest.partition(end)
        if not began or not ended:
            raise ValueError(f"{name} lacks the markers of {part}")
        found[path] = f"{head}{begin}\n{make()}\n{end}{tail}"
    return found


def stale() -> list[Path]:
    """Generated files that are not as they should be."""
    return [path for path, text in wanted().items() if not path.exists() or path.read_text("utf-8") != text]


def main() -> int:
    """Write, or with `--check` only say what is stale."""
    if sys.argv[1:] not in ([], ["--check"]):
        print("usage: python -m scripts.docs [--check]", file=sys.stderr)
        return 2
    old = stale()
    if sys.argv[1:]:
        for path in old:
            print(f"{path.relative_to(ROOT)} is stale: run python -m scripts.docs", file=sys.stderr)
        return 1 if old else 0
    made = wanted()
    for path in old:
        path.write_text(made[path], "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
