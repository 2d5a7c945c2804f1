# Pitwall on Kubernetes (1.30 or later): terragrunt apply
#
# Before the first time, in this order; none of it is Terraform's, so that no secret is in its state:
#
#   kubectl create namespace f1-streams
#   kubectl --namespace f1-streams create secret generic pitwall \
#     --from-literal=seal.key="$(openssl rand -hex 32)" \
#     --from-literal=admin.token="$(openssl rand -hex 32)" \
#     --from-literal=store.url=rediss://pitwall:PASSWORD@redis.example.com:6379
#   kubectl --namespace f1-streams create secret generic pitwall-sources --from-file=sources/
#
# The user of Redis needs what stacks/compose/make-secrets gives to its own. The NFS export is
# writable by user 10001.

terraform {
  source = "./module"
}

locals {
  kubeconfig = get_env("KUBECONFIG", pathexpand("~/.kube/config"))
  namespace  = "f1-streams"
}

inputs = {
  namespace = local.namespace
  image     = "registry.example.com/pitwall:0.1.0"
  host      = "tv.example.com"
  nfs       = { server = "nfs.example.com", path = "/srv/pitwall" }

  # One pod, the control plane beside the edge. Apart, for more viewers than one edge has room for:
  # split = true
  # edges = 3

  # Whose X-Forwarded-For says who a viewer is, for [edge.limits]: the range of the ingress controller's pods.
  # config = <<-EOF
  #   [edge]
  #   trusted_proxies = ["10.42.0.0/16"]
  # EOF

  # Where the Prometheus operator is: what to scrape, and the alerts.
  # prometheus_rules = file("${get_terragrunt_dir()}/../prometheus/pitwall.rules.yml")

  # Where Grafana has a sidecar for dashboards.
  # grafana_dashboards = {
  #   for name in fileset("${get_terragrunt_dir()}/../grafana/dashboards", "*.json") :
  #   name => file("${get_terragrunt_dir()}/../grafana/dashboards/${name}")
  # }
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-EOF
    provider "kubernetes" {
      config_path = "${local.kubeconfig}"
    }
  EOF
}

remote_state {
  backend = "kubernetes"
  config = {
    secret_suffix = "pitwall"
    namespace     = local.namespace
    config_path   = local.kubeconfig
  }
  generate = {
    path      = "backend.tf"
    if_exists = "overwrite_terragrunt"
  }
}
