# Everything else in this directory is without a provider, so that .ci/stacks can render it and
# check it against the schemas of Kubernetes: plain objects, not the provider's resources. For that
# the cluster has to be there when it is planned, and values are as Kubernetes itself writes them
# ("1536Mi", not "1.5Gi").

terraform {
  required_version = ">= 1.5"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.36, < 4"
    }
  }
}

resource "kubernetes_manifest" "object" {
  for_each = local.objects
  manifest = each.value
}

# After what their pods look for when they start.
resource "kubernetes_manifest" "workload" {
  for_each   = local.workloads
  manifest   = each.value
  depends_on = [kubernetes_manifest.object]

  wait {
    rollout = true
  }
}
