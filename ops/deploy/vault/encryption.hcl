# For every process that takes part where [encryption] names a key of Vault's: a second policy of each role.
path "transit/decrypt/stead" {
  capabilities = ["update"]
}
