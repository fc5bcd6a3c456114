# The key that signs the addresses of seeds, and what a seed holds: the agent's token, the key of its
# bucket, and the key of its owner's models.
path "secret/data/stead/seed" {
  capabilities = ["read"]
}
path "secret/data/stead/agents/*" {
  capabilities = ["read"]
}
path "secret/data/stead/buckets/*" {
  capabilities = ["read"]
}
path "secret/metadata/stead/buckets/*" {
  capabilities = ["read"]
}
path "secret/data/stead/models/*" {
  capabilities = ["read"]
}
path "secret/metadata/stead/models/*" {
  capabilities = ["read"]
}
