# The pods: an edge with the control plane as its sidecar, or (split) each on its own.

locals {
  # Longer than it takes load balancers to hear that a pod is going.
  notice_seconds = 5

  # Each process keeps its state, the last map above all, under its pod's name: a StatefulSet, so
  # that it finds it again. Directories are made by Pitwall itself, as its own user.
  environment = [
    { name = "POD", valueFrom = { fieldRef = { fieldPath = "metadata.name" } } },
    { name = "PITWALL_STORE__KIND", value = "redis" },
    { name = "PITWALL_STORE__URL", valueFrom = { secretKeyRef = { name = "pitwall", key = "store.url" } } },
    { name = "PITWALL_ACCESS__SEAL_KEY_FILE", value = "/run/secrets/pitwall/seal.key" },
    { name = "PITWALL_ACCESS__ADMIN_TOKEN_FILE", value = "/run/secrets/pitwall/admin.token" },
    { name = "PITWALL_EDGE__PUBLIC_URL", value = "${var.tls_secret == null ? "http" : "https"}://${var.host}" },
  ]

  confined = {
    allowPrivilegeEscalation = false
    readOnlyRootFilesystem   = true
    capabilities             = { drop = ["ALL"] }
  }

  mounts = [
    { name = "conf", mountPath = "/pitwall/conf", readOnly = true },
    { name = "sources", mountPath = "/pitwall/conf/sources", readOnly = true },
    { name = "secrets", mountPath = "/run/secrets/pitwall", readOnly = true },
    { name = "state", mountPath = "/var/lib/pitwall" },
  ]

  edge = {
    name  = "edge"
    image = var.image
    args  = ["proxy"]
    env = concat(local.environment, [
      { name = "PITWALL_EDGE__LISTEN", value = "0.0.0.0:8080" },
      { name = "PITWALL_EDGE__ADMIN", value = "0.0.0.0:9180" },
      { name = "PITWALL_EDGE__DRAIN", value = "${var.drain_seconds}s" },
      { name = "PITWALL_EDGE__TRUSTED_PROXIES", value = jsonencode(var.trusted_proxies) },
      # An address, not a name: of the Service pitwall-control, as Kubernetes tells it to pods.
      { name = "PITWALL_EDGE__CONTROL", value = var.split ? "$(PITWALL_CONTROL_SERVICE_HOST):8081" : "127.0.0.1:8081" },
      { name = "PITWALL_STATE__DIR", value = "/var/lib/pitwall/$(POD)/edge" },
    ])
    ports = [
      { name = "http", containerPort = 8080, protocol = "TCP" },
      { name = "edge-admin", containerPort = 9180, protocol = "TCP" },
    ]
    startupProbe   = { httpGet = { path = "/healthz", port = "edge-admin" }, periodSeconds = 1, failureThreshold = 30 }
    livenessProbe  = { httpGet = { path = "/healthz", port = "edge-admin" }, periodSeconds = 10, timeoutSeconds = 3 }
    readinessProbe = { httpGet = { path = "/readyz", port = "edge-admin" }, periodSeconds = 2, timeoutSeconds = 1 }
    # It serves on meanwhile. Then comes SIGTERM, and it drains.
    lifecycle = { preStop = { sleep = { seconds = local.notice_seconds } } }
    # [edge.cache] bytes and fill_bytes are 768 MiB, and every viewer is a little.
    resources       = { requests = { cpu = "500m", memory = "1Gi" }, limits = { memory = "1536Mi" } }
    securityContext = local.confined
    volumeMounts    = local.mounts
  }

  control = {
    name  = "control-plane"
    image = var.image
    args  = ["control-plane"]
    env = concat(local.environment, [
      { name = "PITWALL_CONTROL__LISTEN", value = "0.0.0.0:8081" },
      # One that stands by, in another pod, passes commands on to the one that leads.
      { name = "ADDRESS", valueFrom = { fieldRef = { fieldPath = "status.podIP" } } },
      { name = "PITWALL_CONTROL__ADVERTISE", value = "$(ADDRESS):8081" },
      { name = "PITWALL_CONTROL__ADMIN", value = "0.0.0.0:9181" },
      { name = "PITWALL_STATE__DIR", value = "/var/lib/pitwall/$(POD)/control-plane" },
    ])
    ports = [
      { name = "commands", containerPort = 8081, protocol = "TCP" },
      { name = "control-admin", containerPort = 9181, protocol = "TCP" },
    ]
    startupProbe  = { httpGet = { path = "/healthz", port = "control-admin" }, periodSeconds = 1, failureThreshold = 30 }
    livenessProbe = { httpGet = { path = "/healthz", port = "control-admin" }, periodSeconds = 10, timeoutSeconds = 3 }
    # No readiness: an edge beside it that has a map plays, whatever this one has found.
    resources       = { requests = { cpu = "100m", memory = "256Mi" }, limits = { memory = "1Gi" } }
    securityContext = local.confined
    # Programs and scripts of sources write to /tmp.
    volumeMounts = concat(local.mounts, [{ name = "tmp", mountPath = "/tmp" }])
  }

  pod = {
    automountServiceAccountToken = false
    # The notice, the drain, and time to close.
    terminationGracePeriodSeconds = local.notice_seconds + var.drain_seconds + 10
    securityContext = {
      runAsNonRoot   = true
      runAsUser      = 10001
      runAsGroup     = 10001
      fsGroup        = 10001
      seccompProfile = { type = "RuntimeDefault" }
    }
    # 288 is 0440: for the group above.
    volumes = [
      { name = "conf", configMap = { name = "pitwall" } },
      # Sources hold passwords and tokens.
      { name = "sources", secret = { secretName = "pitwall-sources", optional = true, defaultMode = 288 } },
      { name = "secrets", secret = { secretName = "pitwall", defaultMode = 288 } },
      { name = "state", persistentVolumeClaim = { claimName = "pitwall" } },
      { name = "tmp", emptyDir = { sizeLimit = "1Gi" } },
    ]
  }

  # All that is different from one to the other.
  sets = {
    for name, set in {
      pitwall         = { role = "edge", replicas = var.autoscale == null ? var.edges : null, containers = concat([local.edge], [for beside in [local.control] : beside if !var.split]) }
      pitwall-control = { role = "control-plane", replicas = var.control_planes, containers = [local.control] }
    } : name => set if var.split || name == "pitwall"
  }

  workloads = {
    for name, set in local.sets : name => {
      apiVersion = "apps/v1"
      kind       = "StatefulSet"
      metadata   = { name = name, namespace = var.namespace, labels = { "app.kubernetes.io/name" = "pitwall" } }
      # What scales the edges says how many there are.
      spec = merge({ for replicas in set.replicas[*] : "replicas" => replicas }, {
        serviceName = name
        # Edges do not wait for each other.
        podManagementPolicy = "Parallel"
        selector            = { matchLabels = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = set.role } }
        template = {
          metadata = {
            labels = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = set.role }
            # Another configuration is another pod.
            annotations = { "pitwall/config" = sha256(var.config) }
          }
          spec = merge(local.pod, {
            containers = set.containers
            topologySpreadConstraints = [for key in ["topology.kubernetes.io/zone", "kubernetes.io/hostname"] : {
              maxSkew           = 1
              topologyKey       = key
              whenUnsatisfiable = "ScheduleAnyway"
              labelSelector     = { matchLabels = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = set.role } }
            }]
          })
        }
      })
    }
  }
}
