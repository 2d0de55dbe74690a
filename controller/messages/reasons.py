"""Why something is as it is: what drivers and the reconciler say."""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    # reasons given by drivers and the reconciler
    "driver_error": ("The driver failed unexpectedly: {detail}", "驱动意外出错：{detail}"),
    "backend_busy": ("The backend could not do it this time; it is tried again: {detail}", "后端此次未能完成，正在重试：{detail}"),
    "host_unreachable": ("The host does not answer: {detail}", "主机没有响应：{detail}"),
    "backend_timeout": ("The backend did not answer in time: {detail}", "后端响应超时：{detail}"),
    "backend_refused": ("The backend refused: {detail}", "后端拒绝：{detail}"),
    "not_in_cluster": (
        "Only a controller in a pod of the cluster can use 'in-cluster': {missing} is missing. Else give an address and a kubeconfig.",
        "只有运行在集群 Pod 内的控制器才能使用 in-cluster：缺少 {missing}。其他情形请给出地址和 kubeconfig。",
    ),
    "credentials_elsewhere": (
        "The kubeconfig is for {server}, the endpoint's address is {uri}: they must be the same.",
        "kubeconfig 对应的服务器是 {server}，接入点地址是 {uri}：两者必须一致。",
    ),
    "invalid_spec": ("The backend can't take this specification: {detail}", "后端无法接受该规格：{detail}"),
    "place_taken": (
        "Something in the cluster that is not ours stands in its place: {detail} The operators have to remove that; then start it.",
        "集群中有非本系统的对象占用其位置：{detail} 请运维人员移除后再启动。",
    ),
    "image_corrupt": (
        "Image {image} must not boot, its {algorithm} digest is not the one on record: {where}",
        "镜像 {image} 的 {algorithm} 摘要与记录不符，禁止启动：{where}",
    ),
    "image_missing": ("The bytes of image {image} are missing from the controller's store.", "控制器中缺少镜像 {image} 的文件。"),
    "disk_missing": (
        "The root disk is gone from the host; it is not replaced by an empty one. Restore it, or rebuild the instance.",
        "主机上的系统盘已丢失；不会以空盘替代。请恢复磁盘，或重建实例。",
    ),
    "user_data_sealed": (
        "The user data can't be opened: {detail}. Put the key back into the controller's key file, then start or rebuild the instance.",
        "无法解开用户数据：{detail}。请将密钥放回控制器的密钥文件，再启动或重建实例。",
    ),
    "not_supported": ("The backend can't do that: {detail}", "后端不支持：{detail}"),
    "tenant_unsettled": (
        "The backend has to be told of the project's share first: {detail}",
        "需先在后端登记本项目的资源份额：{detail}",
    ),
    "eviction_held": (
        "A disruption budget allows nobody to be taken away just now; it is tried again: {detail}",
        "中断预算暂不允许驱逐，正在重试：{detail}",
    ),
    "not_running": ("Nothing runs there just now: {detail}", "当前没有可操作的运行实例：{detail}"),
    "credentials_refused": (
        "The backend refuses the controller's credentials: {detail} Give the endpoint new ones.",
        "后端拒绝了控制器的凭据：{detail} 请更新接入点凭据。",
    ),
    "rights_missing": (
        "The controller's account lacks rights in the cluster: {missing}. Apply what 'chutian endpoint rbac' prints with its options.",
        "控制器账户在集群中缺少权限：{missing}。请以该接入点的选项运行 chutian endpoint rbac，并应用其输出。",
    ),
    "credentials_sealed": (
        "The endpoint's credentials can't be opened: {detail}. Put the key back into the controller's key file, or give it new ones.",
        "无法解开接入点凭据：{detail}。请将密钥放回控制器的密钥文件，或更新凭据。",
    ),
    "host_fenced": (
        "The host it was on is lost; it is started on another as soon as one is found.",
        "所在主机已失效，找到可用主机后立即启动。",
    ),
    "machine_off": (
        "Its machine is off, seen at {at} through the BMC endpoint: {endpoint}.",
        "其服务器已关机（{at} 查得），BMC 接入点：{endpoint}。",
    ),
    "no_room_to_evacuate": (
        "The host it was on is lost, and no other has room. Its quota is kept, and it is tried again; ask the operators for room.",
        "所在主机已失效，其他主机暂无空位。配额保留并持续重试，请联系运维增加容量。",
    ),
    "policy_refused": (
        "A rule of the cluster refuses it: {detail} The operators can say which; ask for something else, or have the rule changed.",
        "集群策略拒绝：{detail} 具体规则请咨询运维人员；请调整申请内容，或请其调整策略。",
    ),
    "guest_crashed": ("The guest crashed.", "客户机崩溃。"),
    "guest_asleep": ("The guest suspended itself.", "客户机自行进入了挂起状态。"),
    "guest_paused": ("The guest was paused on its host.", "客户机在主机上被暂停。"),
    "guest_hung": ("The guest hangs: its watchdog fired.", "客户机无响应，看门狗已触发。"),
    "disk_error": ("The host can't read or write the guest's disk.", "主机无法读写客户机磁盘。"),
    "disk_full": ("The host's storage is full; the guest was halted.", "主机存储空间已满，客户机已被暂停。"),
    "start_failed": ("The hypervisor could not start the guest.", "虚拟化层无法启动客户机。"),
    "host_lost_guest": ("The hypervisor lost the guest.", "虚拟化层丢失了客户机。"),
    "migration_failed": ("A migration of the guest failed half-way.", "客户机迁移中途失败。"),
    "host_silent": (
        "Its host does not answer, so whether it runs is unknown: {node} {detail} It can start elsewhere once that host is certainly off.",
        "所在主机没有响应，运行状态未知：{node} {detail} 在确认主机已关闭之前不会在别处启动。",
    ),
    "host_refused": (
        "Its host would not take it ({cause}): {detail} It is tried again by itself, ever later.",
        "所在主机拒绝接收（{cause}）：{detail} 系统将自动重试，间隔逐次加长。",
    ),
    "host_shut_down": (
        "Its host was shut down: {detail} It is started again by itself once the host is there.",
        "所在主机已关机：{detail} 主机恢复后将自动重新启动。",
    ),
    "node_cordoned": (
        "The cluster's own people want nothing new on it (cordoned). They free it with 'kubectl uncordon'.",
        "集群管理员已停止在该节点调度新任务（cordon）；可由其执行 kubectl uncordon 恢复。",
    ),
    "node_tainted": (
        "The cluster's own people want nothing new on it (taints: {taints}).",
        "集群管理员不允许在该节点放置新任务（污点：{taints}）。",
    ),
    "unschedulable": (
        "The cluster's scheduler finds no place for it; it is tried again: {detail}",
        "集群调度器未找到可用位置，正在重试：{detail}",
    ),
    "devices_taken": (
        "Others hold GPUs of its host that it was promised: {node} {detail} It starts as soon as they let go; ask the operators who.",
        "所在主机上承诺给它的 GPU 被其他负载占用：{node} {detail} 释放后将自动启动；请联系运维人员查明占用者。",
    ),
    "device_claim_missing": (
        "The claim for its GPUs is gone from the cluster, by nobody's asking; it is being made anew.",
        "集群中的 GPU 申领已被移除（非本系统操作），正在重新创建。",
    ),
    "device_claim_gone": (
        "It runs, but the claim for its GPUs was deleted, by nobody's asking: others may be given them. Restart it to claim some anew.",
        "正在运行，但其 GPU 申领已被删除（非本系统操作），这些 GPU 可能被分配给他人。请重启以重新申领。",
    ),
    "gpu_class_absent": (
        "The cluster has no device class '{device_class}', so none of its GPUs is given out.",
        "集群中没有设备类“{device_class}”，因此不分配其 GPU。",
    ),
    "gpu_class_unread": (
        "What device class '{device_class}' chooses is not understood, so none of its GPUs is given out: {detail}",
        "无法解读设备类“{device_class}”的选择条件，因此不分配其 GPU：{detail}",
    ),
    "image_pull_failed": (
        "Its image {reference} can't be fetched: {detail} Check its name, and that the registry may be reached; it is tried again.",
        "无法拉取镜像 {reference}：{detail} 请核对镜像名称并确认镜像仓库可访问；系统会继续重试。",
    ),
    "image_absent": (
        "Its image {reference} is not on the host, and may not be fetched. Ask an operator to bring it there.",
        "主机上没有镜像 {reference}，且不允许拉取；请联系运维人员导入。",
    ),
    "image_name_invalid": (
        "{reference} can't be an image's name. Correct it and ask anew.",
        "{reference} 不是有效的镜像名称，请更正后重新申请。",
    ),
    "image_unreadable": (
        "The host can't read the image {reference}: {detail} Build or push it once more, then start again.",
        "主机无法读取镜像 {reference}：{detail} 请重新构建或推送镜像后再启动。",
    ),
    "command_not_started": (
        "Its command can't be started: {detail} Check that the image has it, then ask anew.",
        "命令无法启动：{detail} 请确认镜像中存在该命令，更正后重新申请。",
    ),
    "container_config_wrong": (
        "The host can't set it up as asked: {detail} An image that runs as root, for instance, is not allowed.",
        "主机无法按要求配置容器：{detail} 例如，不允许以 root 身份运行的镜像。",
    ),
    "container_not_created": (
        "The host can't make the container: {detail} Start it again; if that fails too, ask an operator.",
        "主机无法创建容器：{detail} 请重新启动；若仍失败，请联系运维人员。",
    ),
    "container_out_of_memory": (
        "It used more memory than its flavor has and was ended. Choose a larger flavor, or let it use less.",
        "内存用量超出规格，已被终止。请选择更大的规格或降低内存用量。",
    ),
    "container_evicted": (
        "Its host took it away, mostly for more disk used than its flavor has: {detail} It is started again by itself, ever later.",
        "已被主机驱逐（多因磁盘用量超出规格）：{detail} 系统将自动重新启动，间隔逐次加长。",
    ),
    "host_keeps_refusing": (
        "Its host took it away or refused it {times} times in a row ({cause}); given up: {detail} Choose a larger flavor, or start it.",
        "主机已连续 {times} 次驱逐或拒绝（{cause}），不再自动重试：{detail} 请选择更大的规格，或重新启动。",
    ),
    "container_deadline": (
        "It ran for longer than it was given: {detail} Start it again.",
        "运行时间超出限定：{detail} 请重新启动。",
    ),
    "container_exited": (
        "It ended with exit code {code}. Its log says why: 'chutian instance logs'.",
        "已退出，退出码 {code}。原因请查看日志：chutian instance logs。",
    ),
    "container_crashes": (
        "It crashes again and again (exit code {code}, {restarts} restarts). Its log says why: 'chutian instance logs'.",
        "反复崩溃（退出码 {code}，已重启 {restarts} 次）。原因请查看日志：chutian instance logs。",
    ),
    "container_unready": (
        "It runs, but its own check says that it is not ready.",
        "正在运行，但就绪检查尚未通过。",
    ),
    "claim_unbound": (
        "Its volumes are not provided yet ({claims}). If that lasts, the cluster has no storage that provides them: ask the operators.",
        "其存储卷尚未就绪（{claims}）。若持续如此，说明集群没有可用的存储，请联系运维。",
    ),
    "secret_missing": (
        "Its secrets are gone from the cluster, by nobody's asking; they are being given again.",
        "集群中的密钥数据被移除（非本系统操作），正在重新下发。",
    ),
    "pool_missing": ("The host's storage pool is missing.", "主机缺少存储池。"),
    "starts_later": ("It begins at {at}.", "将于 {at} 开始。"),
    "waiting_for_room": (
        "It waits until the place that it was promised is free, and begins by itself then.",
        "正在等待所承诺的位置空出，届时将自动开始。",
    ),
    "kept_past_term": (
        "Its term is over. It stays because it is protected, and goes as soon as it no longer is; extend it to keep it.",
        "已到期，因受保护而保留；解除保护后将立即释放。如需继续使用，请延期。",
    ),
    "deadline_passed": ("It was not done within {seconds} seconds.", "未能在 {seconds} 秒内完成。"),
    "gpu_models_mixed": (
        "This host has GPUs of several models; only those of model '{model}' are given out.",
        "此主机有多种型号的 GPU，仅分配型号“{model}”。",
    ),
    "kvm_unavailable": (
        "KVM does not work on this host; guests run under software emulation, many times slower. {detail}",
        "此主机无法使用 KVM，客户机以软件模拟运行，速度慢很多。{detail}",
    ),
    "no_guest_runs": (
        "No guest runs on this host. {detail}",
        "此主机无法运行客户机。{detail}",
    ),
    "digest_differs": (
        "The content's {algorithm} digest is {actual}, not {expected} as given.",
        "内容的 {algorithm} 摘要为 {actual}，与给定的 {expected} 不符。",
    ),
    "cut_short": (
        "The image is cut short: its tables point behind its {size} bytes. Fetch or copy it once more.",
        "镜像不完整：其映射表指向 {size} 字节之后，请重新获取或复制。",
    ),
    "size_differs": ("{received} bytes came, not {expected} as announced.", "收到 {received} 字节，与声明的 {expected} 字节不符。"),
    "not_an_image": ("The content is not a {format} image: {detail}", "内容不是 {format} 镜像：{detail}"),
    "image_too_large": ("The content is larger than {limit} bytes.", "内容超过 {limit} 字节。"),
    "download_failed": ("The download failed: {detail}", "下载失败：{detail}"),
    "store_full": ("The controller's image store is full.", "控制器的镜像存储空间已满。"),
}
