"""What is told of an OpenStack region: its servers, its limits, its hypervisors."""

from __future__ import annotations

REGION: dict[str, tuple[str, str]] = {
    # why the region, or something in it, can't be used
    "region_lacks": (
        "The OpenStack region lacks what the controller needs: {missing}. Have its people see to that, or give other credentials.",
        "OpenStack 区域缺少所需条件：{missing}。请联系区域管理员补齐，或更换凭据。",
    ),
    "region_quota": (
        "The project's limits in the OpenStack region are used up: {detail} Have them raised, or delete something; it is tried again.",
        "项目在 OpenStack 区域中的配额已用尽：{detail} 请提高区域配额，或删除不用的资源；系统会自动重试。",
    ),
    "flavor_missing": (
        "The OpenStack region has no flavor of {vcpus} vCPUs, {memory_mib} MiB and {disk_gib} GiB. Choose another size, or have it made.",
        "OpenStack 区域中没有 {vcpus} vCPU、{memory_mib} MiB 内存、{disk_gib} GiB 磁盘的规格。请改用其他规格，或请管理员新建。",
    ),
    "service_disabled": (
        "The region's own people want nothing new on it (nova-compute disabled): {detail} They open it again.",
        "区域管理员已停止在该主机新建实例（nova-compute 已停用）：{detail} 由其重新启用。",
    ),
    # why a server is as it is
    "no_valid_host": (
        "OpenStack found no host for it: {detail} Try again later or with a smaller size, or ask the operators for room.",
        "OpenStack 未找到可用主机：{detail} 请稍后重试、减小规格，或联系运维增加容量。",
    ),
    "build_failed": (
        "OpenStack could not build it: {detail} Start it to try again; if it fails again, ask the operators.",
        "OpenStack 构建失败：{detail} 可启动实例重试；仍失败请联系运维。",
    ),
    "image_inactive": (
        "OpenStack can't use its image: {detail} Start it to try again, or choose another image.",
        "OpenStack 无法使用其镜像：{detail} 可启动实例重试，或更换镜像。",
    ),
    "network_missing": (
        "OpenStack has no network or address for it: {detail} The operators see to the network; then start it.",
        "OpenStack 无法为其提供网络或地址：{detail} 请运维处理网络后再启动。",
    ),
    "volume_failed": (
        "OpenStack has no disk for it: {detail} The operators see to the storage; then start it.",
        "OpenStack 无法为其提供磁盘：{detail} 请运维处理存储后再启动。",
    ),
    "server_broken": (
        "OpenStack says that it is broken: {detail} Start or reboot it; if it stays so, rebuild it or ask the operators.",
        "OpenStack 报告其处于错误状态：{detail} 请启动或重启；仍未恢复请重建或联系运维。",
    ),
    "server_set_aside": (
        "Somebody set it aside in the OpenStack region: it is {status}. Start it to bring it back.",
        "有人在 OpenStack 区域中将其置为 {status} 状态。启动实例即可恢复。",
    ),
    "server_stuck": (
        "OpenStack has been at it since {since} and does not finish: {task}. The region's people can say why.",
        "OpenStack 自 {since} 起一直在执行 {task}，尚未完成。请联系区域管理员查明原因。",
    ),
    "power_contradicts": (
        "OpenStack says {status}, its hypervisor says {power}: what it really does is unknown. The operators look at its host.",
        "OpenStack 显示 {status}，虚拟化层显示 {power}：实际状态未知。请运维检查所在主机。",
    ),
    "resize_refused": (
        "OpenStack did not give it the new size: {detail}. It is as it was; choose another size, or ask the operators.",
        "OpenStack 未能调整规格：{detail}。实例保持原状；请选择其他规格，或联系运维。",
    ),
}
