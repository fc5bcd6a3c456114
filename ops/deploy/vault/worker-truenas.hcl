# Its own logins at TrueNAS, one for each.
path "secret/data/truenas/*" {
  capabilities = ["read"]
}
