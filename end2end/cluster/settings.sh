# Sourced by tools/cluster and by inside: what both must say alike, and the files that the node's
# programs read.

# The newest release that still runs with Debian 12's containerd and with the first version of
# control groups. A change here is one in go.mod.
KUBERNETES=v1.34.4
COMPONENTS=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
NODE=node1
NODE_IP=172.31.255.1
SERVICE_NET=10.96.0.0/16
SERVICE_IP=10.96.0.1
POD_NET=10.244.0.0/24
PAUSE_IMAGE=pilothouse.test/pause:1
CONTAINERD=/run/containerd/containerd.sock

# write_settings DIR NAME
write_settings() {
    local dir=$1 name=$2 plugin
    # Nobody resolves names here. An address of the node's own refuses at once; an unused one would
    # keep everybody who asks waiting.
    : >"$dir/resolv.conf"
    cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$dir/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [$(for plugin in snapshotter.v1.{btrfs,devmapper,aufs,zfs} internal.v1.opt internal.v1.tracing tracing.processor.v1.otlp; do
        printf '"io.containerd.%s", ' "$plugin"
    done)]
[grpc]
  address = "$CONTAINERD"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  # To be killed later than others takes a right that a container may lack.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
TOML
    cat >"$dir/cni/10-pods.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_NET"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
    # Rules are written at most once a second, as everywhere: what is tested has to live with that.
    # Tracked connections are the machine's; a network of its own may not set their limits.
    cat >"$dir/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $dir/pki/kube-proxy.kubeconfig}
mode: ${PILOTHOUSE_PROXY_MODE:-nftables}
clusterCIDR: $POD_NET
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nftables: {minSyncPeriod: 1s}
iptables: {minSyncPeriod: 1s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
    # A disk that is nearly full would taint the node, and nothing would start.
    cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
tlsCertFile: $dir/pki/kubelet.crt
tlsPrivateKeyFile: $dir/pki/kubelet.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $dir/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /pilothouse/$name
enforceNodeAllocatable: [pods]
failSwapOn: false
failCgroupV1: false
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix://$CONTAINERD
resolvConf: $dir/resolv.conf
clusterDNS: [$NODE_IP]
clusterDomain: cluster.local
podLogsDir: /var/log/pods
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
registerNode: true
YAML
}

# metrics_manifest DIR: metrics.k8s.io is served by the metrics-server that runs beside the kubelet.
metrics_manifest() {
    cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {ports: [{name: https, port: 443, targetPort: 4443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metrics-server-1, namespace: kube-system, labels: {kubernetes.io/service-name: metrics-server}}
addressType: IPv4
endpoints: [{addresses: [$NODE_IP]}]
ports: [{name: https, port: 4443, protocol: TCP}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  service: {name: metrics-server, namespace: kube-system}
  caBundle: $(base64 -w0 <"$1/pki/ca.crt")
YAML
}

CGROUPS=/sys/fs/cgroup

# make_cgroups NAME: the parent of the pods' control groups, in every hierarchy there is. The kubelet
# looks for it and does not make it.
make_cgroups() {
    local hierarchy
    if [[ $(stat -fc %T "$CGROUPS") == cgroup2fs ]]; then
        local controllers
        mkdir -p "$CGROUPS/pilothouse/$1"
        controllers=$(sed 's/\([a-z_]\+\)/+\1/g' "$CGROUPS/cgroup.controllers")
        for hierarchy in "$CGROUPS" "$CGROUPS/pilothouse" "$CGROUPS/pilothouse/$1"; do
            printf '%s\n' "$controllers" >"$hierarchy/cgroup.subtree_control"
        done
        return
    fi
    for hierarchy in $(awk '/ - cgroup / { print $5 }' /proc/self/mountinfo); do
        mkdir -p "$hierarchy/pilothouse/$1"
    done
}

# remove_cgroups NAME: they can go once the last process in them has, deepest first.
remove_cgroups() {
    local tries
    for ((tries = 0; tries < 50; tries++)); do
        find "$CGROUPS" -depth -type d -path "*/pilothouse/$1*" -exec rmdir {} + 2>/dev/null || true
        [[ -n $(find "$CGROUPS" -maxdepth 3 -type d -path "*/pilothouse/$1" -print -quit 2>/dev/null) ]] || break
        sleep 0.1
    done
    # Another cluster may have its groups in there.
    find "$CGROUPS" -maxdepth 2 -type d -name pilothouse -exec rmdir {} + 2>/dev/null || true
}
