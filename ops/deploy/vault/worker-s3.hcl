# Its own login at Garage, and the keys of buckets.
path "secret/data/s3/*" {
  capabilities = ["read"]
}
path "secret/data/stead/buckets/*" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/stead/buckets/*" {
  capabilities = ["read"]
}
path "secret/destroy/stead/buckets/*" {
  capabilities = ["update"]
}
