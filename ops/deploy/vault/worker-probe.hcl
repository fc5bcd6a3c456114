# It needs nothing of Vault; who it is, it may ask.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
