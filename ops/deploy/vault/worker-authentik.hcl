# Its own login at Authentik.
path "secret/data/authentik/*" {
  capabilities = ["read"]
}
