variable "namespace" {
  description = "Exists already, with the secrets pitwall (seal.key, admin.token, store.url) and pitwall-sources (a file a source)."
  type        = string
}

variable "image" {
  description = "What the Dockerfile builds, in a registry that the cluster reaches."
  type        = string
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
  type    = string
  default = "nginx"
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
  description = "How many. Without split each has a control plane beside it, of which one leads; the others forward commands to it."
  type        = number
  default     = 1
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
