# Its own login at Forgejo, and the tokens that it gives to repositories.
path "secret/data/forgejo/*" {
  capabilities = ["read"]
}
path "secret/data/stead/tokens/*" {
  capabilities = ["read"]
}
