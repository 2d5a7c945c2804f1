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
      wanted = var.ingress_class != null
      object = {
        apiVersion = "networking.k8s.io/v1"
        kind       = "Ingress"
        metadata   = { name = "pitwall", namespace = var.namespace, annotations = merge(var.ingress_annotations, var.homepage) }
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

    route = {
      wanted = var.gateway != null
      object = {
        apiVersion = "gateway.networking.k8s.io/v1"
        kind       = "HTTPRoute"
        metadata   = { name = "pitwall", namespace = var.namespace, annotations = var.homepage }
        spec = {
          parentRefs = [for gateway in var.gateway[*] : { name = gateway.name, namespace = gateway.namespace }]
          hostnames  = [var.host]
          rules = [{
            matches     = [{ path = { type = "PathPrefix", value = "/" } }]
            backendRefs = [{ name = "pitwall", port = 80 }]
            # /api/events stays open, and a segment is passed on while it is fetched: no limit.
            timeouts = { request = "0s", backendRequest = "0s" }
          }]
        }
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

    disruption_control = {
      wanted = var.split
      object = {
        apiVersion = "policy/v1"
        kind       = "PodDisruptionBudget"
        metadata   = { name = "pitwall-control", namespace = var.namespace }
        spec = {
          maxUnavailable = 1
          selector       = { matchLabels = { "app.kubernetes.io/name" = "pitwall", "app.kubernetes.io/component" = "control-plane" } }
        }
      }
    }

    scale = {
      wanted = var.autoscale != null
      object = {
        apiVersion = "autoscaling/v2"
        kind       = "HorizontalPodAutoscaler"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          scaleTargetRef = { apiVersion = "apps/v1", kind = "StatefulSet", name = "pitwall" }
          minReplicas    = var.edges
          maxReplicas    = try(var.autoscale.edges, var.edges)
          metrics = concat(
            [for viewers in try(var.autoscale.viewers, null)[*] : {
              type = "Pods"
              pods = {
                metric = { name = "pitwall_viewers" }
                target = { type = "AverageValue", averageValue = tostring(viewers) }
              }
            }],
            [for percent in try(var.autoscale.cpu_percent, null)[*] : {
              type = "Resource"
              resource = {
                name   = "cpu"
                target = { type = "Utilization", averageUtilization = percent }
              }
            } if try(var.autoscale.viewers, null) == null]
          )
          # Viewers come at once when a session begins, and an edge that goes moves its viewers.
          behavior = {
            scaleUp   = { stabilizationWindowSeconds = 0, policies = [{ type = "Percent", value = 100, periodSeconds = 15 }] }
            scaleDown = { stabilizationWindowSeconds = 900, policies = [{ type = "Pods", value = 1, periodSeconds = 120 }] }
          }
        }
      }
    }

    secret = {
      wanted = var.external_secret != null
      object = {
        apiVersion = "external-secrets.io/v1"
        kind       = "ExternalSecret"
        metadata   = { name = "pitwall", namespace = var.namespace }
        spec = {
          # A new value is not read by pods that run: keys are rotated in steps, each with a restart.
          refreshInterval = "1h0m0s"
          secretStoreRef  = { kind = try(var.external_secret.kind, ""), name = try(var.external_secret.store, "") }
          target          = { name = "pitwall", creationPolicy = "Owner" }
          data = [for field in ["seal.key", "admin.token", "store.url"] : {
            secretKey = field
            remoteRef = { key = try(var.external_secret.key, ""), property = field }
          }]
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
            merge(
              { ports = [{ port = 8080, protocol = "TCP" }] },
              { for name in var.ingress_namespace[*] : "from" => [{ namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = name } } }] }
            ),
            # From edges, and from a control plane that stands by to the one that leads.
            {
              from  = [{ podSelector = { matchLabels = { "app.kubernetes.io/name" = "pitwall" } } }]
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
