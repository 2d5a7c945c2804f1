variable "namespace" {
  description = "Exists already, with the secrets pitwall (seal.key, admin.token, store.url; or external_secret) and pitwall-sources (a file a source)."
  type        = string
}

variable "image" {
  description = "What the Dockerfile builds, in a registry that the cluster reaches, by its digest: NAME@sha256:…, as `docker push` prints it. All pods then run the same image, also those that start later."
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by its digest, such as registry.example.com/pitwall@sha256:…."
  }
}

variable "host" {
  description = "The name under which viewers come."
  type        = string
}

variable "tls_secret" {
  description = "Certificate and key of the host; null: plain HTTP."
  type        = string
  default     = null
}

variable "ingress_class" {
  description = "null: no Ingress, for a cluster that has a Gateway only."
  type        = string
  default     = "nginx"
}

variable "ingress_namespace" {
  description = "Where the pods are that viewers come through: the ingress controller's or the Gateway's. Nothing else reaches the edges. null: anybody does, as with a controller on the network of its node."
  type        = string
  default     = "ingress-nginx"
}

variable "trusted_proxies" {
  description = "[edge] trusted_proxies: addresses of those pods, whose X-Forwarded-For says who a viewer is. Without it all viewers are one client to [edge.limits]."
  type        = list(string)
  default     = ["10.0.0.0/8"]
}

variable "gateway" {
  description = "A Gateway (Gateway API v1) to which an HTTPRoute is attached, beside the Ingress; its listener has the certificate. null: none."
  type        = object({ name = string, namespace = string })
  default     = null
}

variable "homepage" {
  description = "What a Homepage (gethomepage.dev) in the cluster shows of Pitwall; {}: nothing."
  type        = map(string)
  default = {
    "gethomepage.dev/enabled"      = "true"
    "gethomepage.dev/name"         = "Pitwall"
    "gethomepage.dev/description"  = "Live streams"
    "gethomepage.dev/group"        = "Media"
    "gethomepage.dev/icon"         = "mdi-racing-helmet"
    "gethomepage.dev/pod-selector" = "app.kubernetes.io/name=pitwall"
  }
}

variable "ingress_annotations" {
  description = "/api/events stays open, and a segment is passed on while it is fetched: no buffer, long timeouts. What one pod has not, another may. As nginx has them."
  type        = map(string)
  default = {
    "nginx.ingress.kubernetes.io/proxy-buffering"     = "off"
    "nginx.ingress.kubernetes.io/proxy-next-upstream" = "error timeout http_502 http_503 http_504"
    "nginx.ingress.kubernetes.io/proxy-read-timeout"  = "3600"
    "nginx.ingress.kubernetes.io/proxy-send-timeout"  = "3600"
  }
}

variable "nfs" {
  description = "The export for state, writable by user 10001."
  type        = object({ server = string, path = string })
}

variable "split" {
  description = "Edges and the control plane in pods of their own: a control plane that fails then takes no edge out of the Service."
  type        = bool
  default     = false
}

variable "edges" {
  description = "How many; with autoscale, how many at least. Without split each has a control plane beside it, of which one leads; the others forward commands to it."
  type        = number
  default     = 1
}

variable "control_planes" {
  description = "How many with split: one leads, and another takes over within 9 s when it fails."
  type        = number
  default     = 2
}

variable "autoscale" {
  description = "More edges as viewers come, up to `edges`: by pitwall_viewers of the custom metrics API (prometheus-adapter), of which an edge is to have `viewers`; by processor where that is null, of whose request it is to use `cpu_percent`. null: as many edges as above."
  type        = object({ edges = number, viewers = number, cpu_percent = number })
  default     = null
}

variable "external_secret" {
  description = "The secret pitwall is made by the External Secrets Operator (v1) from the entry `key` of a store, with the fields seal.key, admin.token and store.url. `kind`: SecretStore or ClusterSecretStore. null: it exists already."
  type        = object({ store = string, kind = string, key = string })
  default     = null
}

variable "config" {
  description = "pitwall.toml, but for what is set here by environment: addresses, secrets, store and state."
  type        = string
  default     = ""
}

variable "drain_seconds" {
  description = "[edge] drain."
  type        = number
  default     = 20
}

variable "prometheus_rules" {
  description = "stacks/prometheus/pitwall.rules.yml as text: a PrometheusRule of it and a PodMonitor, whose kinds have to be there; null: neither."
  type        = string
  default     = null
}

variable "grafana_dashboards" {
  description = "Files of stacks/grafana/dashboards by name: a ConfigMap of them, with the label by which Grafana's sidecar finds it."
  type        = map(string)
  default     = {}
}

variable "prometheus_namespace" {
  description = "From where the admin listeners may be scraped."
  type        = string
  default     = "monitoring"
}
