# Its own logins at Kubernetes and at the registry.
path "secret/data/kubernetes/*" {
  capabilities = ["read"]
}
path "secret/data/registry/*" {
  capabilities = ["read"]
}
