"""What the API answers that it does not do, or can't."""

from __future__ import annotations

REFUSALS: dict[str, tuple[str, str]] = {
    # errors of requests to the API
    "internal": (
        "Something went wrong inside the controller. It was logged; please try again.",
        "控制器内部出错，已记录日志，请稍后重试。",
    ),
    "invalid_request": ("The request is not valid: {detail}", "请求无效：{detail}"),
    "unauthenticated": (
        "A valid token is needed. Log in with 'chutian login', or ask an administrator for a token.",
        "需要有效的令牌。请执行 chutian login 登录，或向管理员申请令牌。",
    ),
    "needs_right": (
        "You may not do this on project {project} (it needs the right '{right}'). Ask its administrator.",
        "您在项目 {project} 上无权执行此操作（需要“{right}”权限），请联系项目管理员。",
    ),
    "needs_right_overall": (
        "This needs the right '{right}' on a whole tree of projects. Ask an administrator.",
        "此操作需要整棵项目树的“{right}”权限，请联系管理员。",
    ),
    "needs_right_above": (
        "The policy, level and limits of {project} are set from above: this needs the right '{right}' on its parent.",
        "{project} 的策略、等保级别与限额由上级设定：需要上级项目的“{right}”权限。",
    ),
    "bounds_looser": (
        "A policy may not allow more than the one that {project} is under. Ask whoever set that.",
        "策略不能比 {project} 所受的更宽松，请联系其设定者。",
    ),
    "priority_too_high": (
        "{project} may ask for '{most}' at most. Ask for less, or have an administrator above it raise that (--max-priority {priority}).",
        "{project} 最高可申请“{most}”优先级。请降低优先级，或请上级项目管理员调高（--max-priority {priority}）。",
    ),
    "may_not_preempt": (
        "{project} may not preempt. Ask without it, or have an administrator above it allow that (--may-preempt).",
        "{project} 不允许抢占。请去掉抢占选项，或请上级项目管理员开通（--may-preempt）。",
    ),
    "preempt_later": (
        "What starts later can't preempt: leave out the one or the other.",
        "预约开始时间的申请不能同时抢占，请去掉其中一项。",
    ),
    "preempt_undecided": (
        "Only what the policy of {project} approves at once may preempt, and this is more. Ask without it, or for less.",
        "只有 {project} 策略可自动批准的申请才能抢占，此申请超出其范围。请去掉抢占选项或减少申请量。",
    ),
    "preemption.would_do": ("Preemption would make room.", "抢占可以腾出空间。"),
    "preemption.of": (
        "Without {victims} preemptible instances of lower classes there would be room.",
        "抢占 {victims} 个较低优先级的实例即可腾出空间。",
    ),
    "waits_for_preempted": (
        "It waits until the instances that it preempted are gone.",
        "正在等待被抢占的实例全部退出。",
    ),
    "own_request": (
        "You asked for this yourself; another approver has to decide.",
        "这是您本人提交的申请，须由其他审批人决定。",
    ),
    "not_found": ("There is no such thing.", "没有找到。"),
    "route_not_found": ("There is nothing at this address; see /docs.", "该地址不存在，请参阅 /docs。"),
    "method_not_allowed": ("This address does not take {method}; see /docs.", "该地址不支持 {method}，请参阅 /docs。"),
    "project_not_found": ("There is no project '{project}'.", "没有项目“{project}”。"),
    "user_not_found": ("There is no user '{user}'.", "没有用户“{user}”。"),
    "token_not_found": ("There is no token '{token}'.", "没有令牌“{token}”。"),
    "role_not_found": ("{user} does not have the role {role} on {path}.", "{user} 在 {path} 上没有角色 {role}。"),
    "request_not_found": ("There is no request '{request}'.", "没有申请单“{request}”。"),
    "instance_not_found": ("There is no instance '{instance}'.", "没有实例“{instance}”。"),
    "flavor_not_found": ("There is no flavor '{name}'.", "没有规格“{name}”。"),
    "image_not_found": ("There is no image '{name}'.", "没有镜像“{name}”。"),
    "pool_not_found": ("There is no pool '{name}'.", "没有资源池“{name}”。"),
    "endpoint_not_found": ("There is no endpoint '{name}'.", "没有接入点“{name}”。"),
    "host_not_found": ("There is no host '{name}'.", "没有主机“{name}”。"),
    "project_exists": ("There is a project '{path}' already.", "项目“{path}”已存在。"),
    "user_exists": ("There is a user '{name}' already.", "用户“{name}”已存在。"),
    "flavor_exists": ("There is a flavor '{name}' already.", "规格“{name}”已存在。"),
    "image_exists": ("There is an image '{name}' already.", "镜像“{name}”已存在。"),
    "pool_exists": ("There is a pool '{name}' already.", "资源池“{name}”已存在。"),
    "endpoint_enrolled": ("This address is enrolled already, as endpoint '{name}'.", "该地址已作为接入点“{name}”接入。"),
    "machine_enrolled": (
        "It is enrolled already, as host '{name}', and would count twice. (libvirt: give each machine a UUID, host_uuid in libvirtd.conf.)",
        "它已作为主机“{name}”接入，其容量会重复计算。若确为两台机器，两者的系统 UUID 须不同（libvirtd.conf 的 host_uuid）。",
    ),
    "endpoint_exists": ("There is an endpoint '{name}' already.", "接入点“{name}”已存在。"),
    "service_ports_differ": (
        "Item {item}: the service '{service}' of the project has the ports {have}, not {want}. Give the same, or name another service.",
        "第 {item} 项：本项目的服务“{service}”的端口是 {have}，而不是 {want}。同一服务后的所有实例端口须一致，或为该项另起服务名。",
    ),
    "instance_exists": (
        "Project {project} has, or holds, an instance named '{name}' already. Choose another name.",
        "项目 {project} 中已有名为“{name}”的实例（或已为其预留），请换一个名称。",
    ),
    "already_exists": ("It exists already.", "已存在。"),
    "stale_generation": (
        "It has changed since you read it (you saw generation {seen}, it is now {now}). Read it again and decide anew.",
        "自您读取后它已被修改（您看到的版本为 {seen}，现为 {now}）。请重新读取后再操作。",
    ),
    "key_reused": (
        "The idempotency key '{key}' was used for another call. Use a new key.",
        "幂等键“{key}”已用于另一个请求，请使用新的键。",
    ),
    "not_a_label": (
        "'{name}' can't be a name: use 1 to 63 lower-case letters, digits and hyphens, not at either end a hyphen.",
        "“{name}”不能用作名称：请使用 1 至 63 个小写字母、数字或连字符，且首尾不能是连字符。",
    ),
    "unknown_flavor": (
        "Item {item}: there is no flavor '{flavor}'. See 'chutian flavor list'.",
        "第 {item} 项：没有规格“{flavor}”，请查看 chutian flavor list。",
    ),
    "unknown_image": (
        "Item {item}: there is no image '{image}'. See 'chutian image list'.",
        "第 {item} 项：没有镜像“{image}”，请查看 chutian image list。",
    ),
    "unknown_pool": ("Item {item}: there is no pool '{pool}'.", "第 {item} 项：没有资源池“{pool}”。"),
    "unknown_zone": ("Item {item}: there is no zone '{zone}'.", "第 {item} 项：没有可用区“{zone}”。"),
    "unknown_site": ("Item {item}: there is no site '{site}'.", "第 {item} 项：没有地点“{site}”。"),
    "bad_oci_image": (
        "{image} is no image of a registry; one looks like registry.example/name:tag.",
        "{image} 不是镜像仓库引用，应形如 registry.example/name:tag。",
    ),
    "flavor_kind": ("Item {item}: flavor {flavor} is for {kind} instances.", "第 {item} 项：规格 {flavor} 适用于 {kind} 类实例。"),
    "image_not_ready": (
        "Item {item}: image {image} is not ready (it is {state}).",
        "第 {item} 项：镜像 {image} 尚不可用（状态为 {state}）。",
    ),
    "arch_differs": (
        "Item {item}: image {image} is for {image_arch}, flavor {flavor} for {flavor_arch}.",
        "第 {item} 项：镜像 {image} 为 {image_arch} 架构，规格 {flavor} 为 {flavor_arch} 架构。",
    ),
    "flavor_disk_small": (
        "Item {item}: image {image} needs {need} GiB of disk, flavor {flavor} has {have}. Choose a larger flavor.",
        "第 {item} 项：镜像 {image} 需要 {need} GiB 磁盘，规格 {flavor} 只有 {have} GiB，请选择更大的规格。",
    ),
    "flavor_memory_small": (
        "Item {item}: image {image} needs {need} MiB of memory, flavor {flavor} has {have}. Choose a larger flavor.",
        "第 {item} 项：镜像 {image} 需要 {need} MiB 内存，规格 {flavor} 只有 {have} MiB，请选择更大的规格。",
    ),
    "quota_exceeded": (
        "{project} would go over its limit of {resource} (asked: {asked}).",
        "{project} 的{resource}将超出限额（申请量：{asked}）。",
    ),
    "no_capacity": ("No host can take this now ({hosts} looked at).", "目前没有主机能够容纳（已检查 {hosts} 台）。"),
    "no_room_to_grow": ("Its host has no room for the larger size ({resources}).", "所在主机没有足够的余量（{resources}）。"),
    "approval_required": (
        "Project {project} does not let this be decided at once. Hand it in as a request: 'chutian request create'.",
        "项目 {project} 的策略不允许立即批准，请提交申请单：chutian request create。",
    ),
    "reason_needed": ("A refusal needs a reason: tell the applicant what to change.", "驳回必须说明理由，请告诉申请人需要修改什么。"),
    "request_decided": ("The request is {state} already.", "该申请单已是“{state}”状态。"),
    "limit_below_usage": (
        "{path} uses {used} and holds {held} of {resource}: the limit can't be {limit}. Free some first.",
        "{path} 已使用 {used}、预留 {held}（{resource}），限额不能设为 {limit}，请先释放资源。",
    ),
    "project_occupied": (
        "{path} can't be removed: it has {projects} projects below it, {instances} instances and {requests} requests on record.",
        "不能删除 {path}：其下有 {projects} 个子项目，记录中有 {instances} 个实例、{requests} 份申请单。",
    ),
    "instance_going": ("{name} is being deleted.", "{name} 正在删除。"),
    "instance_protected": (
        "{name} is protected. Take the protection away first: 'chutian instance unprotect'.",
        "{name} 受保护，请先解除保护：chutian instance unprotect。",
    ),
    "instance_not_begun": (
        "{name} has not begun yet: until then it can only be protected, extended or deleted.",
        "{name} 尚未开始，在此之前只能启用保护、延期或删除。",
    ),
    "no_term": ("{name} has no term that could be extended.", "{name} 没有设定期限，无需延期。"),
    "place_promised": (
        "{name} is given back at the end of its term, and its place is promised from then on: it can't be resized, protected or extended.",
        "{name} 将在到期时释放，其位置已承诺给后续申请，因此不能再调整规格、启用保护或延期。",
    ),
    "ends_without_term": (
        "What is to be given back at the end of its term needs a term (term_days).",
        "选择到期释放时必须填写期限（term_days）。",
    ),
    "starts_too_late": ("It can start at most {days} days from now.", "开始时间最多可在 {days} 天之内。"),
    "starts_in_past": ("Its start lies in the past. Leave it out to start at once.", "开始时间已过，如需立即开始请不要填写。"),
    "reboot_stopped": ("{name} is to be stopped; start it instead.", "{name} 应处于停止状态，请改用启动。"),
    "unknown_baseline": (
        "There is no CPU baseline '{baseline}' for the architecture {arch}; there are: {there}.",
        "架构 {arch} 没有 CPU 基线“{baseline}”，可选：{there}。",
    ),
    "numa_too_many": (
        "{vcpus} vCPUs can't be in {numa_nodes} NUMA nodes: each needs one at least.",
        "{vcpus} 个 vCPU 不能分布到 {numa_nodes} 个 NUMA 节点：每个节点至少一个 vCPU。",
    ),
    "gpu_fields_alone": (
        "A GPU model or a share is asked for, and no GPU: say gpus as well.",
        "指定了 GPU 型号或份额，但 GPU 数为 0：请同时指定 gpus。",
    ),
    "gpu_share_of_one": (
        "{gpu_milli} thousandths of each of {gpus} GPUs can't be had: a share is of one GPU (gpus 1).",
        "不能申请 {gpus} 个 GPU 各 {gpu_milli}‰：份额只能取自一个 GPU（gpus 为 1）。",
    ),
    "disk_shrinks": ("A disk can't shrink: it has {have} GiB, the flavor {want}.", "磁盘不能缩小：现为 {have} GiB，规格为 {want} GiB。"),
    "image_in_use": (
        "Image {name} is on record for {uses} instances or requests and stays.",
        "镜像 {name} 被 {uses} 个实例或申请单引用，不能删除。",
    ),
    "image_has_content": ("Image {name} is {state}: its content can't be given again.", "镜像 {name} 的状态为 {state}，不能再次上传内容。"),
    "plan_of_what": (
        "A plan to {kind} needs: drain a host; all others a pool; defragment and preempt a flavor, too.",
        "规划（{kind}）缺少对象：drain 需要主机；其余需要资源池；defragment 和 preempt 还需要规格。",
    ),
    "plan.drain": ("{count} moves empty {what}.", "迁移 {count} 次即可腾空 {what}。"),
    "plan.consolidate": ("{count} moves empty {benefit} hosts of {what}.", "迁移 {count} 次即可腾空 {what} 的 {benefit} 台主机。"),
    "plan.rebalance": (
        "{count} moves level {what}: the fullest host goes from {peak} % to {then} %.",
        "迁移 {count} 次使 {what} 更均衡：最满的主机由 {peak}% 降到 {then}%。",
    ),
    "plan.defragment": ("{count} moves make room for {benefit} more in {what}.", "迁移 {count} 次可在 {what} 多放 {benefit} 个。"),
    "plan.preempt": (
        "Without {victims} preemptible instances there is room for {places} more in {what}.",
        "删除 {victims} 个可抢占实例即可在 {what} 再放 {places} 个。",
    ),
    "plan.fits": (
        "There is room for {places} more in {what} as it is; nobody need make way.",
        "{what} 现在就能再放 {places} 个，无需抢占。",
    ),
    "plan.no_room": (
        "There is no room in {what}, even without all that may be preempted for that class.",
        "即使抢占该优先级可抢占的全部实例，{what} 也没有空间。",
    ),
    "plan.nothing_to_move": ("Nothing is there to be moved.", "没有需要迁移的实例。"),
    "plan.no_beneficial_move": ("No move is worth its while.", "没有值得做的迁移。"),
    "plan.unsolvable": (
        "{unsolvable} instances find no other place; nothing should be begun.",
        "有 {unsolvable} 个实例无处可去，不应开始。",
    ),
    "plan.not_resilient": (
        "{what} could not lose so many hosts and restart what they run, so nothing is proposed.",
        "{what} 无法在失去这么多主机后重启其实例，因此不提出迁移。",
    ),
    "would_misplace": (
        "{name}: with that, {count} or more instances or holds may not be where they are, {first} the first; move or delete them first.",
        "{name}：修改后将有至少 {count} 个实例或预留处于不允许的位置（如 {first}），请先迁移或删除。",
    ),
    "pool_in_use": ("Pool {name} has endpoints or hosts.", "资源池 {name} 中仍有接入点或主机。"),
    "pool_too_full": (
        "Host {host} of pool {name} holds more {resources} than that would allow.",
        "资源池 {name} 的主机 {host} 已占用的 {resources} 超出修改后的容量。",
    ),
    "endpoint_has_hosts": ("Endpoint {name} has {count} hosts that are not retired.", "接入点 {name} 仍有 {count} 台未退役的主机。"),
    "endpoint_refused": ("The endpoint can't be reached like that: {detail}", "无法接入：{detail}"),
    "driver_without_rights": (
        "Driver {driver} needs no rights of its own. These do: {drivers}.",
        "驱动 {driver} 无需单独授权；需要授权的有：{drivers}。",
    ),
    "unknown_driver": ("There is no driver '{driver}'; there are: {drivers}.", "没有驱动“{driver}”，可用的驱动：{drivers}。"),
    "host_occupied": (
        "{count} instances are on, or held on, {name}. Move or delete them first.",
        "{name} 上有 {count} 个实例（或预留），请先迁移或删除。",
    ),
    "power_is_seen": (
        "The driver of {name} sees that it is {power}. What an operator says counts where nobody sees it: once it is off and silent.",
        "{name} 的驱动已观测到电源状态为 {power}。只有观测不到时（例如关机失联后）才采用人工填写的状态。",
    ),
    "host_off": ("Its host is switched off.", "所在主机已关机。"),
    "host_to_wake": (
        "It is off, and {count} instances wait for it: somebody has to switch it on.",
        "主机已关机，有 {count} 个实例在等待，请人工开机。",
    ),
    "host_retired": ("{name} is retired.", "{name} 已退役。"),
    "host_not_up": ("Host {name} is not up, so nothing can be moved off it.", "主机 {name} 不在线，无法清空。"),
    "no_log": (
        "The output of instances of this kind can't be followed; look at their console.",
        "此类实例的输出不能持续跟踪，请查看控制台日志。",
    ),
    "command_unended": (
        "The command did not end within {seconds} s, and may still be running in the container.",
        "命令未在 {seconds} 秒内结束，可能仍在容器中运行。",
    ),
    "no_exec": ("No command can be run in instances of this kind.", "此类实例不能执行命令。"),
    "drain_impossible": (
        "{count} of what host {name} runs can't be started elsewhere; nothing has changed. The details say which and why.",
        "主机 {name} 上有 {count} 个实例无法在别处启动，未作任何更改。详情列出了实例及原因。",
    ),
    "no_console": ("Instances of this kind have no console log.", "此类实例没有控制台日志。"),
    "body_too_large": ("The body is larger than {limit} bytes.", "请求体超过 {limit} 字节。"),
    "body_not_json": ("The body is not JSON: {detail}", "请求体不是有效的 JSON：{detail}"),
    "length_needed": ("Say how long the content is (Content-Length).", "请提供 Content-Length。"),
    "bad_cursor": ("The cursor is not one of ours. Begin without one.", "游标无效，请不带游标重新开始。"),
    "bad_if_match": ("If-Match takes a generation in quotes, as ETag gave it.", "If-Match 应为带引号的版本号，与 ETag 一致。"),
    "bad_key": ("An Idempotency-Key has 1 to 128 visible ASCII characters.", "Idempotency-Key 应为 1 至 128 个可见 ASCII 字符。"),
    # the controller can't answer
    "unavailable": ("The controller can't answer now. Try again.", "控制器暂时无法响应，请重试。"),
    "database_unavailable": (
        "The controller can't reach its database now. Try again; nothing was lost.",
        "控制器暂时无法访问数据库，请重试，数据没有丢失。",
    ),
    "admission_slow": (
        "No decision came in time. Ask again with the same Idempotency-Key to learn what became of it.",
        "未能及时得到结果。请使用相同的 Idempotency-Key 再次请求以获知结果。",
    ),
    "fleet_restless": ("The fleet changes too fast to decide. Try again.", "资源变化过快，请重试。"),
    "schema_old": (
        "The database's schema ({have}) is older than this controller's ({want}). Run: chutian migrate",
        "数据库结构（{have}）旧于控制器所需（{want}）。请执行：chutian migrate",
    ),
    "schema_unknown": (
        "The database's schema ({have}) is newer than this controller knows ({want}). Run a newer controller.",
        "数据库结构（{have}）新于控制器所知（{want}）。请使用更新版本的控制器。",
    ),
    "certificate_request_invalid": (
        "That can't be signed: {detail}. Make one with 'openssl req -new' and a key on the curve P-256.",
        "无法签发该证书请求：{detail}。请使用 openssl req -new 及 P-256 曲线密钥生成。",
    ),
    "seal_keys_unreadable": (
        "{path} is not a file of keys (NAME and 32 hexadecimal digits on each line). Restore it from its backup.",
        "{path} 不是密钥文件（每行为名称与 32 位十六进制数）。请从备份恢复。",
    ),
    "seal_keys_others": (
        "The database was sealed with other keys: {detail}. Restore the key file that belongs to it, or share the first controller's.",
        "数据库由其他密钥密封：{detail}。请恢复与之对应的密钥文件，或使用首个控制器的密钥文件。",
    ),
    "postgres_start_failed": ("The embedded PostgreSQL did not start: {detail}", "内置 PostgreSQL 启动失败：{detail}"),
    "data_dir_too_long": (
        "data_dir is too long for a socket's path: at most {longest} characters.",
        "data_dir 路径过长，最多 {longest} 个字符。",
    ),
}
