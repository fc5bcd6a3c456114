# Its own login at Coder, the one at Forgejo, from where templates come, and the tokens that it makes for CI.
path "secret/data/coder/*" {
  capabilities = ["read"]
}
path "secret/data/forgejo/*" {
  capabilities = ["read"]
}
path "secret/data/stead/tokens/*" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/stead/tokens/*" {
  capabilities = ["read"]
}
path "secret/destroy/stead/tokens/*" {
  capabilities = ["update"]
}
