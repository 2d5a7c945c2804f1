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
  # By digest, as `docker push` prints it.
  image     = "registry.example.com/pitwall@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  host      = "tv.example.com"
  nfs       = { server = "nfs.example.com", path = "/srv/pitwall" }

  # One pod, the control plane beside the edge. Apart, for more viewers than one edge has room for; two
  # control planes, of which one leads:
  # split = true
  # edges = 3
  # autoscale = { edges = 10, viewers = 1000, cpu_percent = null }   # needs prometheus-adapter with pitwall_viewers
  # autoscale = { edges = 10, viewers = null, cpu_percent = 70 }     # needs metrics-server only

  # Where viewers come through, and the addresses of its pods: whose X-Forwarded-For says who a viewer is.
  ingress_namespace = "ingress-nginx"
  trusted_proxies   = ["10.42.0.0/16"]

  # A Gateway instead of the Ingress, or beside it:
  # ingress_class     = null
  # ingress_namespace = "envoy-gateway-system"
  # gateway           = { name = "public", namespace = "gateway" }

  # The secret pitwall from a store of the External Secrets Operator, instead of the one above. What the
  # store holds is pushed there once, as with `vault kv put secret/pitwall seal.key=… admin.token=… store.url=…`:
  # external_secret = { store = "vault", kind = "ClusterSecretStore", key = "pitwall" }

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
