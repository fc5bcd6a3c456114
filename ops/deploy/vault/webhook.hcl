# The key that Forgejo signs webhooks with.
path "secret/data/stead/webhook" {
  capabilities = ["read"]
}
