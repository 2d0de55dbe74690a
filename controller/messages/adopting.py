"""What is told of adopting: what stands in its way, what came of it."""

from __future__ import annotations

ADOPTING: dict[str, tuple[str, str]] = {
    # why something can't be adopted as it is
    "not_adoptable": ("It can't be adopted.", "无法接管。"),
    "boots_from_volume": (
        "It boots from a volume, and an instance here has a disk of its own. It stays with the region's people.",
        "该服务器从云硬盘启动，而本系统的实例使用本地系统盘，只能继续由区域管理。",
    ),
    "other_zone": (
        "It is in the availability zone {zone}, and this endpoint is another one. Enrol that zone, or the region as a whole.",
        "该服务器位于可用区 {zone}，不属于此接入点。请接入该可用区或整个区域。",
    ),
    "volumes_attached": (
        "It has {count} volumes attached, which no instance here has. Have them detached first.",
        "该服务器挂载了 {count} 块云硬盘，本系统的实例不支持，请先卸载。",
    ),
    "size_unsaid": (
        "Its flavor ({flavor}) does not say how large its disk is, so it can't be counted. Have it resized to one that does.",
        "其规格（{flavor}）未注明磁盘大小，无法计入配额。请先调整为注明磁盘大小的规格。",
    ),
    "more_disks": (
        "Its flavor gives it more than one disk (ephemeral: {ephemeral_gib} GiB, swap: {swap_mib} MiB), which no instance here has.",
        "其规格带有附加磁盘（临时盘 {ephemeral_gib} GiB，交换盘 {swap_mib} MiB），本系统的实例不支持。",
    ),
    "special_hardware": (
        "Its flavor gives out hardware that can't be counted here ({what}). It stays with the region's people.",
        "其规格包含本系统无法计量的专用硬件（{what}），只能继续由区域管理。",
    ),
    "server_unsettled": (
        "It is {status}; it has to be on or off, with nothing under way. Try again then.",
        "当前状态为 {status}；须处于开机或关机状态且无进行中的任务，请稍后再试。",
    ),
    "server_locked": (
        "It is locked in the region, so nobody else may change it. Have it unlocked there.",
        "该服务器已在区域中锁定，不允许他人操作，请先解锁。",
    ),
    "other_owner": (
        "It bears the mark of another Chutian, which looks after it. Have it given back there first (chutian instance disown).",
        "该服务器带有另一套楚天系统的标记并由其管理，请先在该系统中交还（chutian instance disown）。",
    ),
    "adoptee_gone": (
        "What was to be adopted is gone ({server}). Give it up: chutian instance disown.",
        "待接管的对象已不存在（{server}）。请放弃接管：chutian instance disown。",
    ),
    "adoptee_changed": (
        "It is of another size by now ({vcpus} vCPUs, {memory_mib} MiB, {disk_gib} GiB), or on another host. Give it up and adopt it anew.",
        "待接管对象的规格已变为 {vcpus} vCPU、{memory_mib} MiB 内存、{disk_gib} GiB 磁盘，或已迁至其他主机：请放弃后重新接管。",
    ),
    # what is refused
    "adopted_already": (
        "It was adopted already: instance {instance} of {project}.",
        "已被接管：{project} 的实例 {instance}。",
    ),
    "foreign_not_found": (
        "Endpoint {name} has nothing of the id '{id}' that isn't ours. See 'chutian endpoint adopt {name}'.",
        "接入点 {name} 上没有可接管的“{id}”。请查看 chutian endpoint adopt {name}。",
    ),
    "driver_adopts_nothing": (
        "What endpoints of the driver '{driver}' have already can't be adopted; those of OpenStack regions can.",
        "驱动“{driver}”的接入点不支持接管已有对象；OpenStack 区域支持。",
    ),
    "no_room_to_adopt": (
        "It runs on host {host}, of which the pool {pool} does not promise that much ({resources}). Raise the pool's overcommit first.",
        "该对象在主机 {host} 上运行，但超出资源池 {pool} 在该主机上的可分配量（{resources}）。请先提高资源池超分比。",
    ),
    "adoptee_host_not_up": ("Host {name} is not up, so what it runs can't be adopted.", "主机 {name} 不在线，无法接管其上的对象。"),
    "adopted_image_unknown": (
        "{name} was adopted, and nobody knows from which image it was made. Name the one that it is to be rebuilt from.",
        "{name} 为接管的实例，原始镜像未知。请指定用于重建的镜像。",
    ),
    "never_adopted": (
        "{name} was made here, not adopted, so there is nobody to give it back to. It can be deleted.",
        "{name} 由本系统创建，并非接管而来，无处交还；如不再需要可删除。",
    ),
    "adoption_under_way": (
        "{name} is being adopted and isn't ours yet. Wait for that, or give it up: chutian instance disown.",
        "{name} 正在接管中，尚未归本系统管理。请等待完成，或放弃接管：chutian instance disown。",
    ),
    # what happened
    "instance.adopted": (
        "{name} was adopted: {adopted} (of {group}) of endpoint {endpoint} counts in quota from now on. Nothing was done to it.",
        "已接管 {name}：接入点 {endpoint} 的 {adopted}（属于 {group}）从此计入配额，其运行未受影响。",
    ),
    "instance.disown_asked": ("Giving {name} back, as it is, was asked for.", "请求交还 {name}（保持原状）。"),
    "instance.disowned": (
        "{name} is no instance any more: its marks are gone, and it goes on at its backend as it was.",
        "{name} 已交还：本系统标记已清除，其在原平台上继续运行。",
    ),
}
