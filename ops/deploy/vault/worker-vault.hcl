# It says which version of each login is current, and proves that it can be read; and it looks for what
# lies beneath our folders and no run wants. It writes nothing.
path "secret/data/authentik/*" {
  capabilities = ["read"]
}
path "secret/data/coder/*" {
  capabilities = ["read"]
}
path "secret/data/forgejo/*" {
  capabilities = ["read"]
}
path "secret/data/kubernetes/*" {
  capabilities = ["read"]
}
path "secret/data/mail/*" {
  capabilities = ["read"]
}
path "secret/data/proxmox/*" {
  capabilities = ["read"]
}
path "secret/data/registry/*" {
  capabilities = ["read"]
}
path "secret/data/s3/*" {
  capabilities = ["read"]
}
path "secret/data/truenas/*" {
  capabilities = ["read"]
}
path "secret/data/stead/buckets/*" {
  capabilities = ["read"]
}
path "secret/metadata/stead/buckets/*" {
  capabilities = ["list", "read"]
}
path "secret/metadata/stead/buckets" {
  capabilities = ["list"]
}
path "secret/data/stead/tokens/*" {
  capabilities = ["read"]
}
path "secret/metadata/stead/tokens/*" {
  capabilities = ["list", "read"]
}
path "secret/metadata/stead/tokens" {
  capabilities = ["list"]
}
