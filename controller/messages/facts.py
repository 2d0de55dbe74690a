"""What happened, as events tell it."""

from __future__ import annotations

FACTS: dict[str, tuple[str, str]] = {
    # events
    "project.created": ("Project {name} was created.", "创建了项目 {name}。"),
    "project.changed": ("Project {name} was changed ({fields}).", "修改了项目 {name}（{fields}）。"),
    "project.deleted": ("Project {name} was removed.", "删除了项目 {name}。"),
    "limit.set": (
        "The limit of {resource} ({of_kind}) of {name} was set to {amount}.",
        "{name} 的{resource}（{of_kind}）限额设为 {amount}。",
    ),
    "limit.removed": (
        "The limit of {resource} ({of_kind}) of {name} was taken away.",
        "取消了 {name} 的{resource}（{of_kind}）限额。",
    ),
    "role.granted": ("{name} became {role} on {path}.", "授予 {name} 在 {path} 上的 {role} 角色。"),
    "role.revoked": ("{name} is no longer {role} on {path}.", "收回 {name} 在 {path} 上的 {role} 角色。"),
    "user.created": ("User {name} was created.", "创建了用户 {name}。"),
    "user.disabled": ("User {name} was disabled.", "停用了用户 {name}。"),
    "user.enabled": ("User {name} was enabled.", "启用了用户 {name}。"),
    "token.issued": ("A token '{token}' was issued to {name} for {days} days.", "为 {name} 签发了令牌“{token}”，有效期 {days} 天。"),
    "token.revoked": ("The token '{token}' was revoked.", "吊销了令牌“{token}”。"),
    "flavor.created": ("Flavor {name} was created.", "创建了规格 {name}。"),
    "flavor.deleted": ("Flavor {name} was removed.", "删除了规格 {name}。"),
    "image.created": ("Image {name} was entered.", "登记了镜像 {name}。"),
    "image.deleted": ("Image {name} was removed.", "删除了镜像 {name}。"),
    "image.ready": ("Image {name} is ready; sha256 {sha256}.", "镜像 {name} 可用；sha256 为 {sha256}。"),
    "image.failed": ("Importing image {name} failed. {why}", "镜像 {name} 导入失败。{why}"),
    "pool.created": ("Pool {name} was created.", "创建了资源池 {name}。"),
    "pool.changed": ("Pool {name} was changed ({fields}).", "修改了资源池 {name}（{fields}）。"),
    "pool.deleted": ("Pool {name} was removed.", "删除了资源池 {name}。"),
    "endpoint.enrolled": ("Endpoint {name} was enrolled with {hosts} hosts.", "接入点 {name} 已接入，共 {hosts} 台主机。"),
    "endpoint.changed": ("Endpoint {name} is reached otherwise from now on.", "接入点 {name} 的连接方式已更改。"),
    "endpoint.forgotten": ("Endpoint {name} was let go.", "移除了接入点 {name}。"),
    "endpoint.connected": ("Endpoint {name} answers again.", "接入点 {name} 恢复响应。"),
    "endpoint.unreachable": ("Endpoint {name} does not answer. {why}", "接入点 {name} 没有响应。{why}"),
    "endpoint.orphan_found": (
        "Endpoint {name} has something with our mark that is not on record: {instance}. It was left alone.",
        "接入点 {name} 上发现带有本系统标记但无记录的对象：{instance}，未作处理。",
    ),
    "endpoint.meddled": (
        "Endpoint {name}: {what} of project {path} was changed or removed, by nobody's asking; it is as it should be again.",
        "接入点 {name}：项目 {path} 的 {what} 被更改或移除（非本系统操作），已恢复。",
    ),
    "endpoint.stranger_found": (
        "Endpoint {name}: {what} was made among what is project {path}'s, and is not ours. It was left alone.",
        "接入点 {name}：项目 {path} 的资源中出现非本系统创建的 {what}，未作处理。",
    ),
    "host.enrolled": ("Host {name} was enrolled.", "主机 {name} 已纳管。"),
    "hypervisor.certified": (
        "A certificate was made for the hypervisor {name} (serial {serial}).",
        "已为虚拟化主机 {name} 签发证书（序列号 {serial}）。",
    ),
    "host.changed": ("Host {name} has other facts than before.", "主机 {name} 的配置信息有变化。"),
    "host.reachable": ("Host {name} answers again.", "主机 {name} 恢复响应。"),
    "host.fenced": (
        "Host {name} is certain to run nothing any more; what was on it ({instances}) is started elsewhere where it can be. {why}",
        "已确认主机 {name} 不再运行任何实例；其上 {instances} 个实例将尽可能在别处启动。{why}",
    ),
    "host.draining": (
        "Host {name} is being emptied: what it runs is started elsewhere.",
        "主机 {name} 正在清空：其上的实例将在别处启动。",
    ),
    "host.unreachable": (
        "Host {name} does not answer; its {instances} instances are unknown. Nothing is started elsewhere.",
        "主机 {name} 没有响应，其上 {instances} 个实例状态未知，不会在别处启动。",
    ),
    "host.labelled": ("{name}: rack, dedication, power or idle draw was changed.", "{name} 的机架、专属、电源或空载功耗设置已修改。"),
    "host.cordoned": ("Host {name} takes no new instances.", "主机 {name} 停止接收新实例。"),
    "host.uncordoned": ("Host {name} takes new instances again.", "主机 {name} 恢复接收新实例。"),
    "host.retired": ("Host {name} was retired.", "主机 {name} 已退役。"),
    "request.submitted": (
        "A request of {name} for {count} instances waits for approval; quota and capacity are held for it.",
        "{name} 提交了 {count} 个实例的申请，等待审批；配额与容量已预留。",
    ),
    "request.approved_by_policy": (
        "A request of {name} for {count} instances was approved by the project's policy.",
        "{name} 的 {count} 个实例申请已按项目策略自动批准。",
    ),
    "request.approved": ("The request of {name} was approved. {reason}", "{name} 的申请已批准。{reason}"),
    "request.refused": ("The request of {name} was refused: {reason}", "{name} 的申请被驳回：{reason}"),
    "request.cancelled": ("The request of {name} was taken back.", "{name} 的申请已撤回。"),
    "request.expired": (
        "The request of {name} was not decided in time; what it held is free again.",
        "{name} 的申请逾期未决，预留的资源已释放。",
    ),
    "instance.accepted": ("{name} ({flavor}) was accepted and placed.", "{name}（{flavor}）已受理并完成调度。"),
    "instance.active": ("{name} is active.", "{name} 已运行。"),
    "instance.stopped": ("{name} is stopped.", "{name} 已停止。"),
    "instance.finished": ("{name} came to its end.", "{name} 已运行结束。"),
    "instance.deleted": ("{name} is gone.", "{name} 已删除。"),
    "instance.failed": ("{name} is in error. {why}", "{name} 出错。{why}"),
    "instance.retrying": ("{name}: a step failed and is tried again. {why}", "{name}：某一步骤失败，正在重试。{why}"),
    "instance.overdue": (
        "{name} is overdue: it is {state}, it should be {goal}. {why}",
        "{name} 超期未完成：当前 {state}，目标 {goal}。{why}",
    ),
    "instance.vanished": (
        "{name} was gone from its host; it is being put back: a machine from its disk, a container from its image.",
        "{name} 已不在主机上，正在恢复：虚拟机从其磁盘，容器从其镜像。",
    ),
    "instance.stopped_by_other": (
        "{name} was stopped, by nobody's asking; it is being started again.",
        "{name} 被停止（非本系统操作），正在重新启动。",
    ),
    "instance.started_by_other": (
        "{name} was started, by nobody's asking; it is being stopped again.",
        "{name} 被启动（非本系统操作），正在重新停止。",
    ),
    "instance.altered_by_other": (
        "{name} runs, but its definition was changed or removed on its host, by nobody's asking; it is being written again.",
        "{name} 仍在运行，但其定义在主机上被人更改或移除（非本系统操作），正在重新写入。",
    ),
    "instance.exec_asked": ("A command was run in {name}: {command}", "在 {name} 中执行了命令：{command}"),
    "instance.evacuated": (
        "The host of {name} is lost; {name} is started on another. Nothing is counted twice.",
        "{name} 所在主机已失效，正在另一主机上启动；配额不重复计算。",
    ),
    "instance.moved": ("{name} is moved off its host, which is being emptied.", "{name} 所在主机正在清空，实例迁往其他主机。"),
    "instance.troubled": ("{name} does not run as it should. {why}", "{name} 运行异常。{why}"),
    "instance.unseen": (
        "The host of {name} does not answer, so whether it runs is unknown. It is started nowhere else unless that host is certainly off.",
        "{name} 所在主机没有响应，运行状态未知；在确认该主机已关闭之前不会在别处启动。",
    ),
    "instance.seen_again": ("The host of {name} answers again.", "{name} 所在主机恢复响应。"),
    "instance.mended": ("{name} is as it should be again.", "{name} 已恢复正常。"),
    "instance.leftover_removed": (
        "A leftover of {name}, which was deleted, was found and removed: {endpoint}.",
        "已发现并清除已删除实例 {name} 的残留：{endpoint}。",
    ),
    "instance.seen_elsewhere": (
        "{name} was seen where it should not be: {endpoint}. It was left alone; the operators have to look at it.",
        "在不应出现之处发现 {name}：{endpoint}。未作处理，请运维人员检查。",
    ),
    "instance.start_asked": ("Starting {name} was asked for.", "请求启动 {name}。"),
    "instance.stop_asked": ("Stopping {name} was asked for.", "请求停止 {name}。"),
    "instance.reboot_asked": ("Rebooting {name} was asked for.", "请求重启 {name}。"),
    "instance.rebuild_asked": ("Rebuilding {name} from image {image} was asked for.", "请求以镜像 {image} 重建 {name}。"),
    "instance.resize_asked": ("Resizing {name} to {flavor} was asked for.", "请求将 {name} 调整为规格 {flavor}。"),
    "instance.delete_asked": ("Deleting {name} was asked for.", "请求删除 {name}。"),
    "instance.preempted": (
        "{name} was preempted: a request of class '{priority}' needs its place. It is deleted, with its disk.",
        "{name} 被抢占：优先级为“{priority}”的申请需要其位置。该实例及其磁盘将被删除。",
    ),
    "instance.term_ends": (
        "{name} is given back on {at}, at the end of its term. Extend it if it is needed for longer: 'chutian instance extend'.",
        "{name} 将于 {at} 到期释放；如需继续使用，请延期：chutian instance extend。",
    ),
    "instance.term_ended": (
        "The term of {name} ended on {at}; it is being deleted, as was asked for with it.",
        "{name} 已于 {at} 到期，按申请约定正在释放（删除）。",
    ),
    "instance.term_kept": (
        "The term of {name} ended on {at}; it stays because it is protected, and goes as soon as it no longer is. Extend it to keep it.",
        "{name} 已于 {at} 到期，因受保护而保留；解除保护后将立即释放。如需继续使用，请延期。",
    ),
    "instance.extended": ("The term of {name} was extended by {days} days.", "{name} 的期限延长了 {days} 天。"),
    "instance.waiting_for_room": (
        "{name} should have begun, and waits until the place that it was promised is free. It begins by itself then.",
        "{name} 应已开始，正在等待所承诺的位置空出，届时将自动开始。",
    ),
    "instance.protected": ("{name} is protected from deletion.", "{name} 已启用删除保护。"),
    "instance.unprotected": ("{name} is no longer protected from deletion.", "{name} 已解除删除保护。"),
}
