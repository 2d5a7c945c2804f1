# What the pods need: configuration, state, and ways in.

locals {
  objects = { for name, one in local.all : name => one.object if one.wanted }

  all = {
    config = {
      wanted = true
      object = {
        apiVersion = "v1"
        kind       = "ConfigMap"
        metadata   = { name = "pitwall", namespace = var.namespace }
        data       = { "pitwall.toml" = var.config }
      }
    }

    # Static: no provisioner has to be there.
    volume = {
      wanted = true
      object = {
        apiVersion = "v1"
        kind       = "PersistentVolume"
        metadata   = { name = "${var.namespace}-pitwall" }
        spec = {
          accessModes                   = ["ReadWriteMany"]
          capacity                      = { storage = "1Gi" }
          persistentVolumeReclaimPolicy = "Retain"
          storageClassName              = ""
          # State is small, and lost where a write is given up.
          mountOptions = ["nfsvers=4.1", "hard"]
          nfs          = { server = var.nfs.server, path = var.nfs.path }
        }
      }
    }
    claim = {
      wanted = true
      object = {
        apiVersion = "v1"
        kind       = "PersistentVolumeClaim"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          accessModes      = ["ReadWriteMany"]
          storageClassName = ""
          volumeName       = "${var.namespace}-pitwall"
          resources        = { requests = { storage = "1Gi" } }
        }
      }
    }

    service = {
      wanted = true
      object = {
        apiVersion = "v1"
        kind       = "Service"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          # Any edge: nothing of a viewer is known to one only.
          selector = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = "edge" }
          ports    = [{ name = "http", port = 80, targetPort = "http", protocol = "TCP" }]
        }
      }
    }
    service_control = {
      wanted = var.split
      object = {
        apiVersion = "v1"
        kind       = "Service"
        metadata   = { name = "pitwall-control", namespace = var.namespace }
        spec = {
          selector = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = "control-plane" }
          ports    = [{ name = "commands", port = 8081, targetPort = "commands", protocol = "TCP" }]
        }
      }
    }

    ingress = {
      wanted = true
      object = {
        apiVersion = "networking.k8s.io/v1"
        kind       = "Ingress"
        metadata   = { name = "pitwall", namespace = var.namespace, annotations = var.ingress_annotations }
        spec = merge(
          {
            ingressClassName = var.ingress_class
            rules = [{
              host = var.host
              http = {
                paths = [{
                  path     = "/"
                  pathType = "Prefix"
                  backend  = { service = { name = "pitwall", port = { name = "http" } } }
                }]
              }
            }]
          },
          { for secret in var.tls_secret[*] : "tls" => [{ hosts = [var.host], secretName = secret }] }
        )
      }
    }

    # One at a time. Not minAvailable: with a single edge no node could ever be drained.
    disruption = {
      wanted = true
      object = {
        apiVersion = "policy/v1"
        kind       = "PodDisruptionBudget"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          maxUnavailable = 1
          selector       = { matchLabels = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = "edge" } }
        }
      }
    }

    # Only in: sources are anywhere, and Pitwall itself judges where it goes.
    network = {
      wanted = true
      object = {
        apiVersion = "networking.k8s.io/v1"
        kind       = "NetworkPolicy"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          podSelector = { matchLabels = { "app.kubernetes.io/name" = "pitwall" } }
          policyTypes = ["Ingress"]
          ingress = [
            { ports = [{ port = 8080, protocol = "TCP" }] },
            {
              from  = [{ podSelector = { matchLabels = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = "edge" } } }]
              ports = [{ port = 8081, protocol = "TCP" }]
            },
            {
              from  = [{ namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = var.prometheus_namespace } } }]
              ports = [{ port = 9180, protocol = "TCP" }, { port = 9181, protocol = "TCP" }]
            },
          ]
        }
      }
    }

    monitor = {
      wanted = var.prometheus_rules != null
      object = {
        apiVersion = "monitoring.coreos.com/v1"
        kind       = "PodMonitor"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          selector            = { matchLabels = { "app.kubernetes.io/name" = "pitwall" } }
          podMetricsEndpoints = [for port in ["edge-admin", "control-admin"] : { port = port, interval = "15s" }]
        }
      }
    }
    dashboards = {
      wanted = length(var.grafana_dashboards) > 0
      object = {
        apiVersion = "v1"
        kind       = "ConfigMap"
        # The default label of the sidecar in Grafana's and kube-prometheus-stack's charts.
        metadata = { name = "pitwall-dashboards", namespace = var.namespace, labels = { grafana_dashboard = "1" } }
        data     = var.grafana_dashboards
      }
    }
    rules = {
      wanted = var.prometheus_rules != null
      object = {
        apiVersion = "monitoring.coreos.com/v1"
        kind       = "PrometheusRule"
        metadata   = { name = "pitwall", namespace = var.namespace }
        # As often as the rules' tests assume, whatever the operator's Prometheus does by itself.
        spec = { groups = [for group in try(yamldecode(var.prometheus_rules).groups, []) : merge({ interval = "15s" }, group)] }
      }
    }
  }
}
